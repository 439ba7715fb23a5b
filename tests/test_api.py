"""The public API: ``import bench`` and the script of docs/api.md."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.analysis.frame import COLUMNS
from bench.core.records import RecordStore

ROOT = Path(bench.__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "api.md").read_text("utf-8")
RUN = "reference-2026-11-26-quick"


def write_run(folder: Path, records: list[bench.Record]) -> None:
    for record in records:
        RecordStore(folder).append(record)


def test_the_script_of_the_document_runs_on_a_committed_run() -> None:
    (script,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "cifar-bn" in done.stdout
    assert re.search(r"(tie|inconclusive) +\d+", done.stdout)
    assert not re.search(r"(faster|slower) +\d+", done.stdout)


def test_the_document_lists_the_columns() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT, re.MULTILINE))
    assert listed == COLUMNS
    assert all(f"bench.{name}" in DOCUMENT for name in bench.__all__ if name[0] != "_")


def test_a_row_has_the_facts_of_its_record() -> None:
    frame = bench.load(ROOT / "results" / RUN)
    records = bench.records(ROOT / "results" / RUN)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(records) > 0
    assert frame.status.eq("ok").all()
    assert frame.value.notna().all()
    assert frame.started_at.dt.tz is not None
    for row, record in zip(frame.itertuples(), records, strict=True):
        assert row.run == RUN
        assert (row.case, row.framework, row.kind) == (
            record.case.id,
            record.case.framework,
            record.kind,
        )
        assert row.value in record.summary.values()
        assert row.samples == len(record.samples)
        assert row.dataset_fingerprint == record.dataset["fingerprint"]
    assert set(zip(frame.kind, frame.unit, strict=True)) == {
        ("startup", "s"),
        ("train_throughput", "images/s"),
        ("inference", "images/s"),
        ("latency", "s"),
        ("accuracy", "fraction"),
    }
    accurate = frame[frame.kind == "accuracy"]
    assert accurate.accuracy.between(0, 1).all()
    assert accurate.images_per_second.isna().all()


def test_a_failed_record_is_a_row_without_a_result(tmp_path: Path) -> None:
    record = bench.Record(bench.Case("cifar-bn", "pytorch"), "latency", "failed", error="why")
    write_run(tmp_path / "one", [record])
    write_run(tmp_path / "two", [replace(record, started_at="2099-01-01T00:00:00+00:00")])
    frame = bench.load(tmp_path / "one", tmp_path / "two", tmp_path / "one")  # that counts once
    assert len(frame) == 2
    assert frame.error.tolist() == ["why"] * 2
    assert frame.value.isna().all()
    assert frame.processes.tolist() == [0, 0]


def test_runs_are_compared_by_folder_or_by_records(tmp_path: Path) -> None:
    records = bench.records(ROOT / "results" / RUN)[:4]
    write_run(tmp_path / "one", records)
    later = [replace(record, started_at="2099-01-01T00:00:00+00:00") for record in records]
    write_run(tmp_path / "two", later)
    by_folder = bench.compare(str(tmp_path / "one"), tmp_path / "two")
    assert by_folder == bench.compare(records, later)
    assert {row.verdict for row in by_folder} <= {"tie", "inconclusive"}
    itself = bench.compare(tmp_path / "one", tmp_path / "one")
    assert {row.verdict for row in itself} == {"refused"}


def test_no_run_gives_an_empty_frame_and_a_wrong_one_an_error(tmp_path: Path) -> None:
    assert list(bench.load().columns) == list(COLUMNS)
    with pytest.raises(bench.UserError, match="give the folder of a run"):
        bench.load(tmp_path)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        bench.lode  # noqa: B018
    assert set(bench.__all__) <= set(dir(bench))


def test_importing_bench_imports_nothing_else() -> None:
    script = "import sys, bench; print(*[name for name in sys.modules if '.' not in name])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert "bench" in done.stdout.split()
    assert not {"numpy", "pandas", "click", "pytest"} & set(done.stdout.split())
    assert isinstance(bench.load().value, pd.Series)
