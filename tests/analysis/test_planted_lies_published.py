"""Edits of published records that make a figure false: the audit finds each despite their caveats.

Every lie is planted into the committed records of a run that passes the audit, with the caveats
that these carry, as an edit of ``records.jsonl`` would have it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.audit.begun import begun_of
from bench.analysis.audit.checks import Finding, audit, notes_of
from bench.analysis.comparison.compare import compare
from bench.core.records import FILE, Record
from bench.report.first_screen import answers
from bench.report.summary import headlines
from bench.report.tables import TABLES, frame

RESULTS = Path(__file__).resolve().parents[2] / "results"
BENCH, ABLATION = "reference-2026-11-26-make-bench", "reference-2026-11-26-ablation"
PYTORCH, KERAS = "pytorch", "keras-tensorflow"

Rows = list[dict[str, Any]]
Lie = Callable[[Rows], None]


def of(rows: Rows, kind: str = "train_throughput", framework: str = KERAS, **case: str) -> Rows:
    """The rows of `cifar-bn` in the closed track, unless another track or network is named."""
    wanted = {"framework": framework, "track": "closed", "variant": "cifar-bn", **case}
    found = [
        row
        for row in rows
        if row["kind"] == kind and all(row["case"][name] == of for name, of in wanted.items())
    ]
    assert found
    return found


def lines_of(run: str) -> Rows:
    return [json.loads(line) for line in (RESULTS / run / FILE).read_text("utf-8").splitlines()]


def records_of(rows: Rows, run: str = "") -> list[Record]:
    return [replace(Record.from_json(row), run=run) for row in rows]


def found_in(run: str, lie: Lie) -> list[Finding]:
    rows = lines_of(run)
    lie(rows)
    return audit(records_of(rows), notes_of(RESULTS / run), begun_of(RESULTS / run))


# ---- durations


def slept(rows: Rows) -> None:
    """All second epochs of one framework last a sleep, and no other epoch is left to compare."""
    for row in rows:
        if row["case"]["framework"] == KERAS:
            _end_after(row, 20.48)


def slept_everywhere(rows: Rows) -> None:
    for row in rows:
        _stretches(row, [20.48] * len(row["metrics"]["curve"]))


def same_to_the_millisecond(rows: Rows) -> None:
    """Of three cases alone, with readings of the machine that agree."""
    for place, row in enumerate([r for r in rows if r["case"]["seed"] == 1][:3]):
        curve = row["metrics"]["curve"]
        _stretches(row, [curve[0]["seconds"], 20.4800 + 0.0003 * place])


def trained_as_long(rows: Rows) -> None:
    for row in rows:
        row["metrics"]["train_seconds"] = 41.0


def as_fast(rows: Rows) -> None:
    """Every network and framework trains at 487 images/s, with blocks of its own."""
    for place, row in enumerate(r for r in rows if r["kind"] == "train_throughput"):
        noise = random.Random(place)
        spread = sorted(noise.uniform(0.01, 0.1) for _ in range(len(row["samples"]) // 2))
        middle = row["images_per_sample"] / 487
        row["samples"] = [middle * (1 + s) for s in spread] + [middle * (1 - s) for s in spread]
        row["samples"][0] = row["samples"][len(spread)] = middle


def _end_after(row: dict[str, Any], seconds: float) -> None:
    curve = row["metrics"]["curve"]
    curve[-1]["seconds"] = curve[-2]["seconds"] + seconds


def _stretches(row: dict[str, Any], seconds: list[float]) -> None:
    """All that a training says of its seconds."""
    metrics, end = row["metrics"], 0.0
    first = metrics["startup"]["first_step_seconds"]
    for point, stretch in zip(metrics["curve"], seconds, strict=True):
        end += stretch
        point["seconds"] = end
    for goal in metrics["thresholds"]:
        at = next((p for p in metrics["curve"] if p["test_accuracy"] >= goal["accuracy"]), {})
        goal["seconds"] = at.get("seconds")
    metrics["train_seconds"] = end
    metrics["machine"]["seconds"] = [seconds[0] - first, *seconds[1:]]


@pytest.mark.parametrize(
    ("run", "lie", "reason"),
    [
        (ABLATION, slept, "epochs of 11 cases are the same: 20.48"),
        (ABLATION, slept_everywhere, "43 of 43 epochs of 22 cases are the same"),
        (ABLATION, same_to_the_millisecond, "3 of 43 epochs of 3 cases are the same"),
        (ABLATION, trained_as_long, "trainings of 22 cases are the same: 41"),
        (BENCH, as_fast, "6 of 10 speeds of 6 cases are the same: 487"),
    ],
)
def test_durations_that_no_clock_gives_twice_are_found(run: str, lie: Lie, reason: str) -> None:
    found = [f.reason for f in found_in(run, lie) if f.check == "durations"]
    assert any(reason in line for line in found), found


# ---- caveats about something else


def no_audit(rows: Rows) -> None:
    of(rows)[0]["metrics"]["clock"] = None


def no_load(rows: Rows) -> None:
    for row in rows:
        row["metrics"].pop("machine", None)
        row["metrics"].pop("disturbed", None)


def disturbed(rows: Rows) -> None:
    machine = of(rows)[0]["metrics"]["machine"]
    machine["others"] = [0.6] * len(machine["others"])
    of(rows)[0]["metrics"]["disturbed"] = 1.0


def more_threads(rows: Rows) -> None:
    of(rows)[0]["settings"]["intra_op_threads"] = 16


def early(rows: Rows) -> None:
    """The synchronisation returned after a tenth of the work."""
    clock = of(rows)[0]["metrics"]["clock"]
    clock["synced_seconds_per_step"] = [s / 10 for s in clock["synced_seconds_per_step"]]


def above_peak(rows: Rows) -> None:
    of(rows)[0]["metrics"]["ceiling"]["flops_per_second"] /= 100


def no_peak(rows: Rows) -> None:
    of(rows)[0]["metrics"]["ceiling"] = None


def failed_check(rows: Rows) -> None:
    of(rows)[0]["parity"] |= {"status": "fail", "problem": "float64 loss differs"}


def no_certificate(rows: Rows) -> None:
    of(rows)[0]["parity"] = {}


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        (no_audit, "synchronisation"),
        (no_load, "load"),
        (disturbed, "disturbance"),
        (more_threads, "comparability"),
        (early, "synchronisation"),
        (above_peak, "peak"),
        (no_peak, "peak"),
        (failed_check, "certificate"),
        (no_certificate, "certificate"),
    ],
)
def test_a_caveat_on_intervals_answers_nothing_else(lie: Lie, check: str) -> None:
    """Every speed carries "only differences above the column detectable could be found"."""
    assert check in {finding.check for finding in found_in(BENCH, lie)}


@pytest.mark.parametrize("lie", [early, above_peak, failed_check])
def test_no_caveat_that_names_a_check_makes_a_figure_true(lie: Lie) -> None:
    def answered(rows: Rows) -> None:
        lie(rows)
        named = ["synchronisation", "peak", "interval", "comparability"]
        for row in rows:
            row["caveats"] = [{"on": "all", "why": "known", "answers": named}]

    assert found_in(BENCH, answered)


# ---- records that contradict themselves or each other


def accuracy(rows: Rows) -> None:
    of(rows, "accuracy")[0]["samples"] = [0.635]


def accuracy_but_for_its_counts(rows: Rows) -> None:
    row = of(rows, "accuracy")[0]
    row |= {"samples": [0.635], "summary": {"fraction": 0.635}}
    row["metrics"]["test_accuracy"] = row["metrics"]["curve"][-1]["test_accuracy"] = 0.635


def accuracy_of_a_class(rows: Rows) -> None:
    of(rows, "accuracy")[0]["metrics"]["per_class"]["cat"] = 0.9


def images(rows: Rows) -> None:
    row = of(rows)[0]
    row["images_per_sample"] = row["images_per_sample"] * 3 // 2


def samples_of_the_other_framework(rows: Rows) -> None:
    one, other = of(rows)[0], of(rows, framework=PYTORCH)[0]
    for name in ("samples", "summary", "images_per_sample"):
        one[name], other[name] = other[name], one[name]


def samples_times_a_factor(rows: Rows) -> None:
    noise = random.Random(1)
    of(rows)[0]["samples"] = [
        0.8 * s + noise.random() * 1e-5 for s in of(rows, framework=PYTORCH)[0]["samples"]
    ]


def one_process(rows: Rows) -> None:
    """The blocks of the first process alone, with all of their readings."""
    row = of(rows)[0]
    blocks = row["metrics"]["interleaving"]["blocks"]
    kept = [i for i, block in enumerate(blocks) if block[0] == 0]
    machine = row["metrics"]["machine"]
    for name in [name for name, values in machine.items() if isinstance(values, list)]:
        machine[name] = [machine[name][i] for i in kept]
    row["samples"] = [row["samples"][i] for i in kept]
    row["metrics"]["interleaving"]["blocks"] = [blocks[i] for i in kept]


def slowest_removed(rows: Rows) -> None:
    row = of(rows)[0]
    blocks = row["metrics"]["interleaving"]["blocks"]
    slowest = row["samples"].index(max(row["samples"]))
    del row["samples"][slowest], blocks[slowest]


def quieter(rows: Rows) -> None:
    """A training that others disturbed, without a word of it."""
    metrics = of(rows, "accuracy", PYTORCH)[0]["metrics"]
    metrics["machine"]["others"] = [0.6] * len(metrics["machine"]["others"])
    metrics["disturbed"] = 0.0


def readings_of_a_busy_machine(rows: Rows) -> None:
    machine = of(rows)[0]["metrics"]["machine"]
    machine["others"] = [0.6] * len(machine["others"])


def figure_above_its_bound(rows: Rows) -> None:
    of(rows)[0]["parity"]["figures"]["float64 logits"]["worst"] = 0.5


def certificate_of_another_network(rows: Rows) -> None:
    of(rows)[0]["parity"]["variant"] = "cifar-lrn"


def certificate_of_another_version(rows: Rows) -> None:
    of(rows)[0]["parity"]["versions"]["keras"] = "2.0"


def threshold(rows: Rows) -> None:
    goal = of(rows, "accuracy")[0]["metrics"]["thresholds"][-1]
    goal |= {"seconds": 1.0, "images": 100}


def summary(rows: Rows) -> None:
    of(rows)[0]["summary"]["images_per_second"] = 900.0


def operations(rows: Rows) -> None:
    of(rows)[0]["metrics"]["flops_per_image"] = 1


def more_test_images(rows: Rows) -> None:
    for row in rows:
        row["dataset"]["test_images"] = 2_000_000


def error_of_a_result(rows: Rows) -> None:
    of(rows)[0]["error"] = "boom"


def other_precision(rows: Rows) -> None:
    for row in of(rows) + of(rows, framework=PYTORCH):
        row["settings"]["compute_dtype"] = "bfloat16"


def shorter_end(rows: Rows) -> None:
    _end_after(of(rows, "accuracy")[0], 8.0)


def same_weights(rows: Rows) -> None:
    one, other = of(rows, "accuracy")[0], of(rows, "accuracy", PYTORCH)[0]
    one["metrics"]["trained_weights_sha256"] = other["metrics"]["trained_weights_sha256"]


def seeds_copied(rows: Rows) -> None:
    first, second = (
        next(r for r in rows if r["case"]["seed"] == seed and r["case"]["framework"] == KERAS)
        for seed in (0, 1)
    )
    second["metrics"] = first["metrics"]
    second |= {"samples": first["samples"], "summary": first["summary"]}


def twice(rows: Rows) -> None:
    rows.append(dict(of(rows)[0]))


def other_data(rows: Rows) -> None:
    for row in rows:
        row["dataset"]["name"] = "CIFAR-10"


def other_fingerprint(rows: Rows) -> None:
    of(rows, "accuracy")[0]["dataset"]["fingerprint"] = "f" * 64


def framework_dropped(rows: Rows) -> None:
    rows.remove(of(rows)[0])


def network_dropped(rows: Rows) -> None:
    rows[:] = [r for r in rows if r["case"]["variant"] != "cifar-lrn"]


@pytest.mark.parametrize(
    ("lie", "check", "reason"),
    [
        (accuracy, "contradiction", "accuracy 0.6350, and its confusion matrix says"),
        (accuracy_but_for_its_counts, "contradiction", "and its confusion matrix says"),
        (accuracy_of_a_class, "contradiction", "accuracy of cat 0.9000"),
        (images, "contradiction", "images of a block, and"),
        (samples_of_the_other_framework, "contradiction", "and the machine was read for"),
        (samples_times_a_factor, "copy", "times a factor"),
        (one_process, "contradiction", "its summary has processes "),
        (slowest_removed, "contradiction", "blocks, and readings of the machine of "),
        (quieter, "contradiction", "disturbed 0 % of the time, and by its readings 100 %"),
        (readings_of_a_busy_machine, "contradiction", "and by its readings 100 %"),
        (figure_above_its_bound, "certificate", "passed with float64 logits 0.5, bound"),
        (certificate_of_another_network, "certificate", "that of the variant cifar-lrn"),
        (certificate_of_another_version, "certificate", "of keras 2.0, and 3.15.1 was measured"),
        (threshold, "contradiction", "reached after 1 second, and by its curve after none"),
        (summary, "contradiction", "its summary has images_per_second 900"),
        (operations, "contradiction", "1 operations of an image"),
        (more_test_images, "contradiction", "2,000,000 test images, and 2,000 in its confusion"),
        (error_of_a_result, "contradiction", "its status is ok, and its error says 'boom'"),
        (other_precision, "contradiction", "its products were of bfloat16"),
        (shorter_end, "contradiction", "stretch 1 of 8.000 s, and the machine was read for"),
        (same_weights, "copy", "the same trained_weights_sha256"),
        (twice, "copy", "more than one record of it"),
        (other_data, "data", "was begun with name CIFAR-10 (JPEG 75)"),
        (other_fingerprint, "data", "was begun with fingerprint"),
        (framework_dropped, "matrix", "there is no record that has it or says why not"),
        (network_dropped, "matrix", "there is no record that has it or says why not"),
    ],
)
def test_a_record_that_contradicts_itself_or_its_run_is_found(
    lie: Lie, check: str, reason: str
) -> None:
    found = [finding.line for finding in found_in(BENCH, lie) if finding.check == check]
    assert any(reason in line for line in found), found


def test_what_cannot_be_read_is_found() -> None:
    records = records_of(lines_of(BENCH))
    place, whole = next((i, r) for i, r in enumerate(records) if r.kind == "accuracy")
    damaged = {**whole.metrics, "thresholds": [{"accuracy": "half"}]}
    records[place] = replace(whole, metrics=damaged)
    (line, *_) = (finding.line for finding in audit(records))
    assert "its thresholds cannot be checked: TypeError" in line


def test_two_seeds_that_ended_in_the_same_weights_are_found() -> None:
    (finding, *_) = (f for f in found_in(ABLATION, seeds_copied) if f.check == "copy")
    assert "the same trained_weights_sha256" in finding.reason


# ---- what must not happen gives no verdict


def faster(rows: Rows) -> None:
    """Keras trains `cifar-bn` three times as fast, quietly enough for a verdict."""
    for row, factor in ((of(rows)[0], 3.0), (of(rows, framework=PYTORCH)[0], 1.0)):
        seconds = row["images_per_sample"] / factor / 100
        row["samples"] = [seconds * (1 + 0.001 * (i % 5)) for i in range(len(row["samples"]))]
        row["metrics"]["ceiling"] = None


def above(rows: Rows) -> None:
    of(rows)[0]["metrics"]["ceiling"] = {"flops_per_second": 1e9, "precision": "float32"}


def verdicts(records: list[Record]) -> Iterator[str]:
    """Of Keras's training of `cifar-bn`, closed: in two tables, the headline and the answer."""
    for name in ("interleaved", "throughput"):
        table = next(table for table in TABLES if table.name == name)
        for row in frame(table, records).to_dict("records"):
            chosen = (row["variant"], row["framework"], row["track"], row["kind"])
            if chosen == ("cifar-bn", KERAS, "closed", "train_throughput"):
                yield str(row["verdict"])
    for found in headlines(records):
        if found.title.startswith("Closed"):
            yield from (line for line in found.lines if line.startswith("cifar-bn: pytorch"))
    answer = answers.answers(records)[0]
    yield from (line for line in (answer.sentence, *answer.details) if "closed track" in line)


def calls_faster(line: str) -> bool:
    """Whether it is a verdict; the figure of a row without one may be shown."""
    return line == "faster" or "(faster)" in line or "trains cifar-bn 3.0 times as fast" in line


def test_what_nothing_speaks_against_is_called_faster() -> None:
    rows = lines_of(BENCH)
    faster(rows)
    assert [calls_faster(line) for line in verdicts(records_of(rows))] == [True] * 4


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (early, "missing synchronisation in keras-tensorflow"),
        (above, "the speed of keras-tensorflow is above the measured peak"),
        (failed_check, "float64 loss differs"),
        (figure_above_its_bound, "its certificate passed with float64 logits 0.5"),
        (no_certificate, "no certificate was made"),
    ],
)
def test_a_speed_that_is_none_gives_no_verdict(lie: Lie, reason: str) -> None:
    rows = lines_of(BENCH)
    faster(rows)
    lie(rows)
    records = records_of(rows)
    assert not any(map(calls_faster, verdicts(records)))
    closed = next(found for found in headlines(records) if found.title.startswith("Closed"))
    answer = answers.answers(records)[0]
    assert reason in " ".join(closed.lines)
    assert reason in " ".join((answer.sentence, *answer.details))


@pytest.mark.parametrize("lie", [early, above, failed_check, figure_above_its_bound])
def test_compare_does_not_call_it_faster(lie: Lie) -> None:
    before, after = lines_of(BENCH), lines_of(BENCH)
    faster(after)
    for rows in (before, after) if lie is failed_check else (after,):  # unlike ones are refused
        lie(rows)
    later = [replace(r, started_at="2026-11-27T00:00:00+00:00") for r in records_of(after, "b")]
    found = {(row.case, row.kind): row for row in compare(records_of(before, "a"), later)}
    row = found[of(after)[0]["case"]["id"], "train_throughput"]
    assert row.verdict in ("inconclusive", "refused")
    assert row.reason
