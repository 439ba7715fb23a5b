"""The append-only file: what survives a kill, and what is refused with its place."""

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.case import Case
from bench.core.errors import OutputError, UserError
from bench.core.records import SCHEMA_VERSION, Record, RecordStore

CASE = Case("cifar-bn", "pytorch")
RECORD = Record(
    CASE,
    "latency",
    "ok",
    samples=(0.25, 0.5),
    images_per_sample=1,
    summary={"p50": 0.375},
    dataset={"name": "generated", "fingerprint": "f" * 64},
    started_at="2026-01-01T00:00:00+00:00",
    seconds=1.5,
    peak_memory_bytes=1024,
)
NESTED: dict[str, Any] = {}
for _ in range(100):
    NESTED = {"deeper": NESTED}
FAILED = replace(RECORD, kind="inference", status="oom", error="too big", samples=())


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path / "run")


def write(store: RecordStore, *lines: str) -> None:
    store.folder.mkdir(exist_ok=True)
    store.path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def line(**changes: Any) -> str:
    value = {**RECORD.to_json(), **changes}
    return json.dumps({key: item for key, item in value.items() if item is not ...})


def test_records_come_back_equal_and_in_order(store: RecordStore) -> None:
    others = [replace(RECORD, case=replace(CASE, seed=seed)) for seed in range(5)]
    for record in [*others, FAILED]:
        store.append(record)
    assert store.read() == [*others, FAILED]


def test_a_record_has_the_published_fields() -> None:
    assert list(RECORD.to_json()) == [
        "case", "kind", "status", "error", "samples", "unit", "images_per_sample", "summary",
        "metrics", "dataset", "parity", "settings", "environment", "started_at", "seconds",
        "peak_memory_bytes", "caveats", "schema_version",
    ]  # fmt: skip
    assert RECORD.to_json()["case"]["id"] == CASE.id


def test_every_line_is_on_the_disk_before_append_returns(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: on_disk.append(store.path.read_text("utf-8")))
    for number in (1, 2):
        store.append(RECORD)
        assert len(on_disk) == number
        assert on_disk[-1].count("\n") == number
        assert on_disk[-1].endswith("\n")


@pytest.mark.parametrize("keep", [1, 10, -2])
def test_a_torn_last_line_is_passed_over(store: RecordStore, keep: int) -> None:
    write(store, line())
    with store.path.open("a", encoding="utf-8") as file:
        file.write(line()[:keep])
    assert store.read() == [RECORD]


def test_a_run_goes_on_behind_a_torn_line(store: RecordStore) -> None:
    write(store, line())
    with store.path.open("a", encoding="utf-8") as file:
        file.write(line()[:40])
    store.set_aside_failures()
    store.append(FAILED)
    assert store.read() == [RECORD, FAILED]


@pytest.mark.parametrize("damage", ["not json", '{"half": ', "[]", "null", "7", ""])
def test_a_damaged_line_is_named(store: RecordStore, damage: str) -> None:
    write(store, line(), damage, line())
    with pytest.raises(UserError, match=r"records\.jsonl:2: "):
        store.read()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, rf"reads 1 to {SCHEMA_VERSION}$"),
        ({"schema_version": ...}, "schema_version None"),
        ({"kind": "speed"}, "unknown kind 'speed'; known: startup"),
        ({"status": "fine"}, "unknown status 'fine'; known: ok"),
        ({"samples": ..., "unit": ...}, "without samples, unit"),
        ({"samples": [[1.0]]}, "flat list of numbers"),
        ({"samples": ["1.0"]}, "flat list of numbers"),
        ({"samples": [True]}, "flat list of numbers"),
        ({"samples": 1.0}, "flat list of numbers"),
        ({"samples": []}, "ok without samples"),
        ({"samples": [float("nan")]}, "NaN"),
        ({"seconds": float("-inf")}, "-Infinity"),
        ({"case": "cifar-bn"}, "case must be an object"),
        ({"case": {}}, "case without"),
        ({"metrics": None}, "metrics must be an object, got null"),
        ({"dataset": []}, "dataset must be an object, got the list"),
        ({"kind": ["latency"]}, "unknown kind"),
        ({"status": 0}, "unknown status '0'"),
        ({"schema_version": "2"}, "schema_version 2; this version"),
        ({"schema_version": True}, "schema_version True"),
        ({"samples": [10**400]}, "flat list of numbers"),
        ({"seconds": None}, "seconds must be a number"),
        ({"started_at": 3}, "started_at must be a UTC time"),
        ({"error": {}}, "error must be a text or null"),
        ({"images_per_sample": -1}, "images_per_sample must be a whole number from 0 or null"),
        ({"peak_memory_bytes": 1.5}, "peak_memory_bytes must be a whole number from 0 or null"),
        ({"metrics": {"curve": 3}}, "metrics: curve must be a list"),
        ({"metrics": {"test_accuracy": "0.5"}}, "metrics: test_accuracy must be a fraction"),
        ({"metrics": {"diverged": 1}}, "metrics: diverged must be true or false"),
        ({"settings": NESTED}, "settings is nested deeper than"),
        ({"case": {**CASE.to_json(), "seed": None}}, "seed of a case is a whole number"),
        ({"case": {**CASE.to_json(), "track": None}}, "track of a case is a text"),
        ({"case": {**CASE.to_json(), "execution": "fast"}}, "unknown execution 'fast'"),
        ({"caveats": {}}, "caveats must be a list"),
        ({"caveats": [{"on": "seconds"}]}, "a caveat has"),
        ({"caveats": [{"on": "weather", "why": "x"}]}, "unknown caveat on 'weather'"),
        ({"caveats": [{"on": "all", "why": " "}]}, "a caveat says why"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(
    store: RecordStore, changes: dict[str, Any], message: str
) -> None:
    write(store, line(), line(**changes))
    with pytest.raises(UserError, match=message) as caught:
        store.read()
    assert str(caught.value).startswith(f"{store.path}:2: ")


def test_a_line_nested_beyond_the_parser_is_named(store: RecordStore) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    write(store, line(), line()[:-1] + f', "later": {deep}}}')
    with pytest.raises(UserError, match=r"records\.jsonl:2: nested too deeply"):
        store.read()


def test_a_number_of_thousands_of_digits_is_named(store: RecordStore) -> None:
    write(store, line()[:-1] + f', "later": {"9" * 5000}}}')
    with pytest.raises(UserError, match=r"records\.jsonl:1: not a record"):
        store.read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from([*RECORD.to_json(), *(f"case.{name}" for name in CASE.to_json())]),
    JSON,
    st.sampled_from([1, SCHEMA_VERSION]),
)
def test_whatever_stands_in_a_field_is_read_or_refused(name: str, wrong: Any, version: int) -> None:
    value = {**RECORD.to_json(), "schema_version": version}
    head, _, part = name.partition(".")
    value[head] = {**CASE.to_json(), part: wrong} if part else wrong
    with contextlib.suppress(UserError):
        assert Record.from_json(value).case.id


def test_caveats_survive(store: RecordStore) -> None:
    record = replace(RECORD, caveats=({"on": "seconds", "why": "another program ran"},))
    store.append(record)
    assert store.read() == [record]


def test_fields_of_a_later_minor_version_are_passed_over(store: RecordStore) -> None:
    write(store, line(added_later=1))
    assert store.read() == [RECORD]


def test_nan_is_never_written(store: RecordStore) -> None:
    store.append(RECORD)
    with pytest.raises(ValueError, match="JSON"):
        store.append(replace(RECORD, metrics={"loss": float("nan")}))
    assert store.read() == [RECORD]


def test_failures_are_set_aside_and_kept(store: RecordStore) -> None:
    statuses = ("ok", "failed", "timeout", "oom", "skipped")
    for seed, status in enumerate(statuses):
        store.append(replace(RECORD, case=replace(CASE, seed=seed), status=status))
    before = store.path.read_text("utf-8").splitlines()
    done = store.set_aside_failures()
    assert done == {(CASE.id, "latency")}
    assert store.path.read_text("utf-8").splitlines() == before[:1]
    aside = store.folder / "attempts.jsonl"
    assert aside.read_text("utf-8").splitlines() == before[1:]


def test_a_second_attempt_that_fails_joins_the_first(store: RecordStore) -> None:
    for error in ("first", "second"):
        store.append(replace(FAILED, error=error))
        assert store.set_aside_failures() == set()
    lines = (store.folder / "attempts.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(text)["error"] for text in lines] == ["first", "second"]


def test_nothing_is_set_aside_where_nothing_is(store: RecordStore) -> None:
    assert store.set_aside_failures() == set()
    assert not store.folder.exists()


def test_a_damaged_file_is_left_as_it_is(store: RecordStore) -> None:
    write(store, line(status="failed"), "damage", line())
    before = store.path.read_bytes()
    with pytest.raises(UserError):
        store.set_aside_failures()
    assert store.path.read_bytes() == before
    assert not (store.folder / "attempts.jsonl").exists()


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no records\.jsonl in .*give the folder of a run"):
        RecordStore(tmp_path).read()


def test_bytes_that_are_no_text_are_bad_input(store: RecordStore) -> None:
    store.folder.mkdir()
    store.path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match=r"records\.jsonl:1: no UTF-8: byte 1 is 0xff$"):
        store.read()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*--results"):
        RecordStore(tmp_path / "file" / "run").append(RECORD)


def test_half_a_line_on_a_full_disk_is_taken_back(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(RECORD)

    def full(_: int) -> None:
        with store.path.open("r+", encoding="utf-8") as file:
            file.truncate(store.path.stat().st_size - 30)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="No space left"):
            store.append(FAILED)
    store.append(FAILED)
    assert store.read() == [RECORD, FAILED]


def of_seed(seed: int) -> Record:
    return replace(RECORD, case=replace(CASE, seed=seed))


def test_records_that_are_appended_together_are_all_there(store: RecordStore) -> None:
    records = [of_seed(seed) for seed in range(3)]
    store.append(*records)
    assert [record.case.seed for record in store.read()] == [0, 1, 2]
    assert [record.case.seed for record in store] == [0, 1, 2]
    assert store.count() == 3


def test_of_records_that_cannot_be_written_together_none_is(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(of_seed(0))
    before = store.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.core.records.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        store.append(of_seed(1), of_seed(2))
    assert store.path.read_bytes() == before


def test_a_file_system_that_fails_before_anything_is_written_costs_no_record(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(of_seed(0))
    before = store.path.read_bytes()

    def stale(*_: object, **__: object) -> None:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patched:
        patched.setattr("bench.core.records.Path.mkdir", stale)
        with pytest.raises(OutputError, match="Stale file handle"):
            store.append(of_seed(1))
    assert store.path.read_bytes() == before


def test_a_file_without_failures_is_left_as_it_is(store: RecordStore) -> None:
    store.append(of_seed(0), of_seed(1))
    before = store.path.stat().st_ino
    assert len(store.set_aside_failures()) == 2
    assert store.path.stat().st_ino == before


def test_half_a_line_is_cut_when_a_run_goes_on(store: RecordStore) -> None:
    store.append(of_seed(0))
    whole = store.path.read_bytes()
    store.path.write_bytes(whole + b'{"half')
    assert len(store.set_aside_failures()) == 1
    assert store.path.read_bytes() == whole
