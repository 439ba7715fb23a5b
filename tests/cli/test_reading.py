"""Records that another process reads: the same ones, the same errors, and no process left."""

import json
import os
from pathlib import Path

import psutil
import pytest

from bench.cli import reading
from bench.cli.reading import read_meanwhile
from bench.core import meanwhile
from bench.core.errors import UserError
from bench.core.records import FILE, read_all
from tests.support.many_records import many_records


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    monkeypatch.setattr(reading, "worthwhile", lambda: True)
    with (tmp_path / FILE).open("w", encoding="utf-8") as file:
        for record in many_records(100):
            file.write(json.dumps(record.to_json()) + "\n")
    return tmp_path


def children() -> list[int]:
    return [process.pid for process in psutil.Process().children()]


def test_the_records_are_those_of_the_file(run: Path) -> None:
    before = children()
    with read_meanwhile([run, run]) as records:
        found = records()
    assert found == read_all([run, run])
    assert {record.run for record in found} == {run.name}
    assert found[0].case.id == read_all([run])[0].case.id
    assert children() == before


def test_a_line_that_is_no_record_is_the_same_error(run: Path) -> None:
    with (run / FILE).open("a", encoding="utf-8") as file:
        file.write("{}\n")
    with (
        pytest.raises(UserError, match=rf"{FILE}:101: schema_version None"),
        read_meanwhile([run]) as records,
    ):
        records()


def test_what_a_process_that_died_has_not_sent_is_read_here(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meanwhile, "die_with_parent", lambda parent: os._exit(9))
    with read_meanwhile([run]) as records:
        assert len(records()) == 100


def test_an_error_before_the_records_are_wanted_leaves_no_process(run: Path) -> None:
    before = children()
    with pytest.raises(ImportError), read_meanwhile([run]):
        raise ImportError
    assert children() == before
