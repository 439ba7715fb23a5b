"""The audit of a run: every kind of false figure is planted, and found."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.analysis.audit.begun import matrix
from bench.analysis.audit.checks import BEGUN, CHECKS, audit, notes_of
from bench.analysis.audit.durations import epoch_seconds
from bench.cli.commands.audit import audit as command
from bench.core.records import Record, RecordStore
from bench.core.schema.record_fields import ANSWERABLE
from tests.support.synthetic_records.agreeing import agreeing
from tests.support.synthetic_records.synthetic import (
    ENVIRONMENT,
    FIGURES,
    OTHER_DATASET,
    make_failure,
    make_record,
)

FRAMEWORKS = ("pytorch", "keras-tensorflow")


def blocks(processes: int = 4, match: str = "m") -> dict[str, Any]:
    turns = [[process, turn, 1] for process in range(processes) for turn in range(12 // processes)]
    return {"group": match, "blocks": turns, "stopped": "precision", "precision_goal": 0.03}


def timed(framework: str = "pytorch", factor: float = 1.0, **changes: Any) -> Record:
    """Twelve blocks in four processes with hardly any noise."""
    record = make_record(framework=framework, kind="train_throughput", **changes)
    noise = np.random.default_rng(zlib.crc32(record.case.id.encode())).normal(0, 0.002, 12)
    samples = tuple((factor * (1 + noise)).tolist())
    return agreeing(replace(record, samples=samples), interleaving=blocks())


def trained(seconds: tuple[float, ...], framework: str = "pytorch", **changes: Any) -> Record:
    """A training whose evaluations come after these seconds."""
    record = make_record(framework=framework, kind="accuracy", **changes)
    curve = [{"images": 100 * i, "seconds": s, "test_accuracy": 0.5} for i, s in enumerate(seconds)]
    return agreeing(replace(record, samples=(0.5,)), curve=curve)


def honest() -> list[Record]:
    return [
        *(timed(name, factor) for name, factor in zip(FRAMEWORKS, (1.0, 1.5), strict=True)),
        *(
            trained((20.0 + 3 * n, 35.1 + 4.3 * n + 0.7 * seed), name, seed=seed)
            for n, name in enumerate(FRAMEWORKS)
            for seed in (0, 1)
        ),
    ]


def checks(records: list[Record]) -> set[str]:
    return {finding.check for finding in audit(records)}


def test_an_honest_run_may_be_published() -> None:
    assert audit(honest()) == []


def test_a_run_without_a_record_may_not() -> None:
    assert checks([]) == {"records"}


def test_epochs_that_last_the_same_whatever_the_case_are_found() -> None:
    """Planted: the `fit` that slept, whose epochs lasted 20.48 to 20.50 s in most stages."""
    slept = [
        trained((23.0 + seed, 23.0 + seed + (20.49 + 0.002 * seed if seed else 14.6)), v, seed=seed)
        for v in ("pytorch", "keras-tensorflow", "keras-jax")
        for seed in range(3)
    ]
    found = [finding for finding in audit(slept) if "sleep" in finding.reason]
    assert {finding.check for finding in found} == {"durations"}
    assert len(found) == 1
    assert "6 of 9 epochs of 3 cases last 20.492 to 20.494 s" in found[0].reason
    assert "14.600" in found[0].reason


def test_a_quiet_machine_is_no_quantised_clock() -> None:
    """All epochs agree, and no case has others."""
    quiet = [
        trained((20.0, 35.0 + 0.0013 * (3 * place + seed)), name, seed=seed)
        for place, name in enumerate(("pytorch", "keras-tensorflow", "keras-jax"))
        for seed in range(3)
    ]
    assert "durations" not in checks(quiet)


def test_the_first_epoch_which_compiles_is_left_out() -> None:
    assert epoch_seconds(trained((26.7, 51.9, 70.0))) == pytest.approx([25.2, 18.1])


def test_a_record_that_was_copied_is_found() -> None:
    copied = replace(timed("keras-tensorflow", 1.5), samples=timed().samples)
    assert "durations" in checks([timed(), copied])


def test_a_clock_of_coarse_steps_is_found() -> None:
    coarse = replace(timed(), samples=tuple(0.015625 * (20 + i % 3) for i in range(12)))
    (finding,) = (f for f in audit([coarse]) if f.check == "durations")
    assert "12 durations have 3 different values" in finding.reason


def clocked(synced: float) -> Record:
    record = timed()
    clock = {**record.metrics["clock"], "synced_seconds_per_step": [synced] * 3}
    return replace(record, metrics={**record.metrics, "clock": clock})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (clocked(1e-6), "missing synchronisation"),
        (replace(timed(), metrics={"interleaving": blocks()}), "no sync audit was made"),
    ],
)
def test_a_missing_synchronisation_or_its_missing_audit_is_found(
    record: Record, reason: str
) -> None:
    (finding,) = (f for f in audit([record]) if f.check == "synchronisation")
    assert reason in finding.reason


def test_a_closed_row_without_a_certificate_is_found() -> None:
    assert "certificate" in checks([replace(timed(), parity={})])
    idiomatic = timed(track="idiomatic")
    assert "certificate" not in checks([replace(idiomatic, parity={})])


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "Another"},
        {"commit": "7654321"},
        {"versions": {**ENVIRONMENT["versions"], "torch": "2.15.0"}},  # type: ignore[dict-item]
    ],
)
def test_another_machine_or_version_within_a_run_is_found(change: dict[str, Any]) -> None:
    records = honest()
    records[1] = replace(records[1], environment={**records[1].environment, **change})
    assert "environment" in checks(records)


def test_versions_of_different_frameworks_are_no_difference() -> None:
    records = [
        replace(record, environment={**ENVIRONMENT, "versions": {name: "1"}})
        for record, name in zip(honest()[:2], ("torch", "keras"), strict=True)
    ]
    assert "environment" not in checks(records)


def test_an_interval_too_wide_for_a_verdict_is_found() -> None:
    noisy = replace(timed("keras-tensorflow"), samples=(1.0, 3.0, 0.4) * 4)
    other = replace(timed(), samples=(2.0, 0.5, 1.1) * 4)
    (finding,) = (f for f in audit([other, noisy]) if f.check == "interval")
    assert "detectable ±" in finding.reason


def test_a_comparison_of_one_process_is_found() -> None:
    one = [
        replace(r, metrics={**r.metrics, "interleaving": blocks(1)})
        for r in (timed(), timed("keras-jax", 4))
    ]
    (finding,) = (f for f in audit(one) if f.check == "interval")
    assert "one process" in finding.reason


def test_more_than_the_peak_is_found() -> None:
    record = timed()
    ceiling = {"flops_per_second": 1e9}
    record = replace(record, metrics={**record.metrics, "ceiling": ceiling})
    (finding,) = (f for f in audit([record]) if f.check == "peak")
    assert "GFLOP/s are above the measured peak of 1" in finding.reason
    assert "%" not in finding.reason


def test_seeds_that_share_nothing_in_a_closed_comparison_are_found() -> None:
    records = honest()
    alone = {**records[-1].settings, "batch_plan_sha256": "0" * 64}
    records[-1] = replace(records[-1], settings=alone)
    assert {"seeds", "comparability"} <= checks(records)


def test_a_failure_is_a_reason() -> None:
    (finding,) = (f for f in audit([*honest(), make_failure()]) if f.check == "result")
    assert finding.reason == "failed: ValueError: loss is NaN"


def busy(record: Record) -> Record:
    """The record with every second block disturbed."""
    machine = record.metrics["machine"]
    others = [0.4 * (i % 2) for i in range(len(machine["others"]))]
    known = {"machine": {**machine, "others": others}, "disturbed": 0.5}
    return replace(record, metrics={**record.metrics, **known})


@pytest.mark.parametrize(
    ("record", "check", "reason"),
    [
        (busy(timed()), "disturbance", "machine was disturbed"),
        (trained((1.0, 2.0), dataset=OTHER_DATASET), "synthetic", "trained on synthetic images"),
    ],
)
def test_a_missing_caveat_is_found(record: Record, check: str, reason: str) -> None:
    (finding,) = audit([record])
    assert finding.check == check
    assert reason in finding.reason
    caveat = {"on": "all", "why": "as it was", "answers": [check]}
    assert audit([replace(record, caveats=(caveat,))]) == []


def without_audit(record: Record) -> Record:
    return replace(record, metrics={k: v for k, v in record.metrics.items() if k != "clock"})


def test_a_caveat_answers_the_checks_that_it_names() -> None:
    record = busy(without_audit(timed()))
    assert checks([record]) == {"synchronisation", "disturbance"}
    for on in ("speed", "accuracy", "all"):
        silent: dict[str, Any] = {"on": on, "why": "only large differences could be found"}
        assert checks([replace(record, caveats=(silent,))]) == {"synchronisation", "disturbance"}
        named = {**silent, "answers": ["disturbance", "interval"]}
        assert checks([replace(record, caveats=(named,))]) == {"synchronisation"}
    removed = ({"on": "seconds", "why": "another program ran"},)
    assert checks([replace(record, caveats=removed)]) == set()


def test_what_may_be_answered_are_checks() -> None:
    assert set(ANSWERABLE) <= CHECKS.keys() | BEGUN.keys()


def test_seconds_of_which_nobody_knows_what_else_ran_are_found() -> None:
    unknown = [replace(r, metrics={**r.metrics, "machine": None}) for r in honest()]
    (finding,) = audit(unknown)
    assert finding.check == "load"
    assert "6 of 6 records (accuracy, training) do not say what else ran" in finding.reason
    caveats = ({"on": "all", "why": "the load was not recorded", "answers": ["load"]},)
    assert audit([replace(record, caveats=caveats) for record in unknown]) == []


def test_caveats_in_the_notes_that_no_record_carries_are_found(tmp_path: Path) -> None:
    notes = "# Runs\n\n## one\n\n- **Caveats**: other work ran\n\n## two\n\nnone\n"
    (tmp_path / "README.md").write_text(notes, encoding="utf-8")
    (finding,) = audit(honest(), notes_of(tmp_path / "one"))
    assert finding.line == "caveat: its notes name caveats, and no record carries one"
    assert audit(honest(), notes_of(tmp_path / "two")) == []
    assert notes_of(tmp_path / "three") == ""
    both = notes.replace("## one", "## first, one")
    (tmp_path / "README.md").write_text(both, encoding="utf-8")
    assert notes_of(tmp_path / "one") == notes_of(tmp_path / "first") != ""
    known = replace(honest()[0], caveats=({"on": "all", "why": "other work ran"},))
    assert audit([known, *honest()[1:]], notes_of(tmp_path / "one")) == []


CERTIFICATE = {
    **{"variant": "cifar-bn", "framework": "pytorch", "status": "pass", "problem": ""},
    **{"figures": FIGURES, "weights_sha256": "a", "batches_sha256": "b"},
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"status": "fail", "problem": "loss differs"}, "fail: loss differs"),
        ({"figures": {"logits": {"worst": 1.0, "bound": 0.5}}}, "passed with logits 1, bound 0.5"),
        ({"figures": {}}, "passed without a figure"),
        ({"weights_sha256": "c"}, "not the weights or batches"),
        ({"framework": "pytorch"}, "more than one certificate"),
    ],
)
def test_a_run_of_certificates_alone_is_audited(
    tmp_path: Path, change: dict[str, Any], reason: str | None
) -> None:
    other = {**CERTIFICATE, "framework": "keras-jax", **change}
    (tmp_path / "certificates.json").write_text(json.dumps([CERTIFICATE, other]))
    done = CliRunner().invoke(command, [str(tmp_path)], standalone_mode=False)
    assert done.return_value == int(reason is not None)
    findings = "0 findings" if reason is None else "1 finding"
    assert done.output.endswith(f"2 certificates, {findings}\n")
    assert reason is None or reason in done.output


def test_a_task_without_a_record_is_found_and_runs_of_older_versions_list_none() -> None:
    records = honest()
    tasks = [list(record.key) for record in records]
    assert not list(matrix(records, {"tasks": tasks}))
    assert [of for of, _ in matrix(records[1:], {"tasks": tasks})] == [" ".join(records[0].key)]
    failed = [*records[1:], make_failure(records[0].kind, framework="pytorch")]
    assert not list(matrix(failed, {"tasks": tasks}))
    assert not list(matrix(records[1:], {"tasks": None, "options": {}}))


def test_the_command_says_the_reasons_and_exits_with_1(tmp_path: Path) -> None:
    for folder, records in (("good", honest()), ("bad", [replace(timed(), parity={})])):
        store = RecordStore(tmp_path / folder)
        for record in records:
            store.append(record)
    good = CliRunner().invoke(command, [str(tmp_path / "good")], standalone_mode=False)
    assert (good.return_value, good.output) == (0, "6 records, 0 findings\n")
    bad = CliRunner().invoke(command, [str(tmp_path / "bad")], standalone_mode=False)
    assert bad.return_value == 1
    assert bad.output.startswith("certificate: cifar-bn/pytorch/closed/")
    as_json = CliRunner().invoke(command, [str(tmp_path / "bad"), "--json"], standalone_mode=False)
    (finding, *_) = json.loads(as_json.output)
    assert (finding["run"], finding["check"]) == (str(tmp_path / "bad"), "certificate")


@pytest.mark.parametrize("path", ["", "*"])
def test_a_folder_of_runs_is_audited_with_those_of_certificates_alone(
    tmp_path: Path, path: str
) -> None:
    store = RecordStore(tmp_path / "measured")
    for record in honest():
        store.append(record)
    (tmp_path / "proven").mkdir()
    (tmp_path / "proven" / "certificates.json").write_text(json.dumps([CERTIFICATE]))
    done = CliRunner().invoke(command, [str(tmp_path / path)], standalone_mode=False)
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'proven'}: 1 certificate, 0 findings",
        f"{tmp_path / 'measured'}: 6 records, 0 findings",
    ]
    assert done.stderr == ""
    shutil.rmtree(tmp_path / "measured")
    (tmp_path / "README.md").write_text("of these runs")
    done = CliRunner().invoke(command, [str(tmp_path / path)], standalone_mode=False)
    assert done.stdout == "1 certificate, 0 findings\n"
    assert ("README.md: no run" in done.stderr) == (path == "*")


def test_many_trainings_of_a_large_run_agree_by_chance() -> None:
    """31 stretches each of 84 cases: some windows hold five of them, without a sleep."""
    rng = np.random.default_rng(3)
    records = [
        trained(tuple(np.cumsum(rng.normal(20.0, 0.6, 32))), framework, seed=seed, variant=network)
        for framework in ("pytorch", "keras-tensorflow", "keras-jax", "keras-torch")
        for network in ("cifar-bn", "cifar-bn2", "cifar-lrn", "cifar-plain")
        for seed in range(3)
    ]
    assert not [f for f in audit(records) if "sleep" in f.reason]
