"""Caveats: written by a command, and shown or obeyed wherever the record is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from click.testing import CliRunner, Result

from bench.cli.commands.annotate import annotate
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.harness.resumption.run_folder import RunFolder
from tests.support.synthetic_records.synthetic import make_failure, make_record

WHY = "another program ran"
RECORDS = [
    *(make_record("cifar-bn", name, "train_throughput") for name in ("pytorch", "keras-jax")),
    *(make_record("cifar-lrn", "pytorch", "accuracy", seed=seed) for seed in (0, 1)),
    make_failure(seed=5),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for record in RECORDS:
        RecordStore(tmp_path / "run").append(record)
    return tmp_path / "run"


def call(run: Path, *arguments: str) -> Result:
    return CliRunner().invoke(annotate, [str(run), *arguments], standalone_mode=False)


def caveats(run: Path) -> list[tuple[dict[str, str], ...]]:
    return [record.caveats for record in RecordStore(run).read()]


CAVEAT = {"on": "seconds", "why": WHY}


@pytest.mark.parametrize(
    ("selection", "places"),
    [
        (("--case", RECORDS[1].case.id), {1}),
        (("--frameworks", "pytorch"), {0, 2, 3, 4}),
        (("--variants", "cifar-lrn", "--seeds", "1"), {3}),
        (("--kinds", "accuracy", "--frameworks", "pytorch"), {2, 3, 4}),
        (("--all",), {0, 1, 2, 3, 4}),
    ],
)
def test_the_selected_records_get_the_caveat_and_no_others(
    run: Path, selection: Sequence[str], places: set[int]
) -> None:
    result = call(run, *selection, "--on", "seconds", "--why", f"  {WHY}\n")
    records = "1 record" if len(places) == 1 else f"{len(places)} records"
    assert result.output == f"{records} selected, {len(places)} changed\n"
    assert {i for i, found in enumerate(caveats(run)) if found == (CAVEAT,)} == places
    assert all(found in ((), (CAVEAT,)) for found in caveats(run))


def test_a_caveat_names_the_checks_that_it_answers(run: Path) -> None:
    case = ("--case", RECORDS[1].case.id, "--on", "speed", "--why", WHY)
    call(run, *case)
    call(run, *case, "--check", "interval", "--check", "load")
    caveat = {"on": "speed", "why": WHY, "answers": ["interval", "load"]}
    assert caveats(run)[1] == (caveat,)
    assert isinstance(call(run, *case, "--check", "durations").exception, ClickException)
    assert caveats(run)[1] == (caveat,)


def test_that_seconds_are_left_out_is_said_once(run: Path) -> None:
    call(run, "--all", "--on", "seconds", "--why", f"seconds are left out: {WHY}")
    assert caveats(run)[0] == (CAVEAT,)
    older = {**CAVEAT, "why": f"seconds are left out: {WHY}"}  # as versions before this wrote it
    RecordStore(run).change(lambda record: replace(record, caveats=(older,)))
    call(run, "--all", "--on", "seconds", "--why", f"seconds are left out: {WHY}", "--remove")
    assert caveats(run)[0] == ()


def test_lines_that_stay_are_kept_byte_for_byte(run: Path) -> None:
    before = (run / "records.jsonl").read_bytes().splitlines()
    call(run, "--case", RECORDS[1].case.id, "--on", "accuracy", "--why", WHY)
    after = (run / "records.jsonl").read_bytes().splitlines()
    assert [i for i in range(len(before)) if before[i] != after[i]] == [1]


def test_a_caveat_is_there_once_and_can_be_removed(run: Path) -> None:
    call(run, "--all", "--on", "seconds", "--why", WHY)
    assert call(run, "--all", "--on", "seconds", "--why", WHY).output.endswith("0 changed\n")
    call(run, "--all", "--on", "seconds", "--why", "a second one")
    assert len(caveats(run)[0]) == 2
    call(run, "--all", "--on", "seconds", "--why", WHY, "--remove")
    assert [c["why"] for c in caveats(run)[0]] == ["a second one"]
    call(run, "--all", "--on", "accuracy", "--remove")
    assert len(caveats(run)[0]) == 1
    call(run, "--all", "--on", "seconds", "--remove")
    assert caveats(run) == [()] * len(RECORDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--on", "seconds", "--why", WHY),
        ("--all", "--on", "seconds"),
        ("--all", "--on", "seconds", "--why", "  "),
        ("--all", "--on", "weather", "--why", WHY),
        ("--case", "nothing", "--on", "seconds", "--why", WHY),
        ("--all", "--case", RECORDS[1].case.id, "--on", "seconds", "--why", WHY),
        ("--all", "--on", "speed", "--check", "interval", "--remove"),
    ],
)
def test_wrong_usage_changes_nothing(run: Path, arguments: Sequence[str]) -> None:
    call(run, "--all", "--on", "speed", "--why", "there before")
    before = (run / "records.jsonl").read_bytes()
    assert isinstance(call(run, *arguments).exception, ClickException | UserError)
    assert (run / "records.jsonl").read_bytes() == before


def test_a_disk_that_fails_leaves_the_records_as_they_were(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = (run / "records.jsonl").read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        RecordStore(run).change(lambda record: replace(record, caveats=(CAVEAT,)))
    assert (run / "records.jsonl").read_bytes() == before


def test_a_record_knows_its_run_and_does_not_store_it(run: Path) -> None:
    record: Record = RecordStore(run).read()[0]
    assert record.run == "run"
    assert record == RECORDS[0]
    assert "run" not in record.to_json()


def test_beside_a_living_run_no_record_is_lost(tmp_path: Path) -> None:
    RecordStore(tmp_path).append(make_record())
    before = (tmp_path / "records.jsonl").read_bytes()
    held = RunFolder(tmp_path)
    arguments = [str(tmp_path), "--all", "--on", "all", "--why", "a trial"]
    refused = CliRunner().invoke(annotate, arguments, standalone_mode=False)
    assert "is being measured by process" in str(refused.exception)
    assert (tmp_path / "records.jsonl").read_bytes() == before
    held.release()
    assert CliRunner().invoke(annotate, arguments, standalone_mode=False).exception is None
    assert len(RecordStore(tmp_path).read()[0].caveats) == 1


def test_a_cut_line_goes_and_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (run / "records.jsonl").open("ab") as file:
        file.write(b"{")
    done = call(run, "--all", "--on", "speed", "--why", WHY)
    assert "the last line was cut" in done.output + capsys.readouterr().err
    assert len(caveats(run)) == len(RECORDS)
