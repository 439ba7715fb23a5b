"""Exports: what other programs read is what the records say."""

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.analysis.experiments import latest
from bench.analysis.frame import COLUMNS, frame_of
from bench.analysis.values import value_of
from bench.cli.commands import export as command
from bench.core.case import Case
from bench.core.errors import OutputError, UserError
from bench.core.records import Record, RecordStore
from bench.report.chapters import TABLES
from bench.report.export import benchmarks, curves
from bench.report.export.tables import FORMATS, RECORDS, export, latex
from bench.report.html import write_results
from bench.report.tables import frame
from tests.support import bencher_formats
from tests.support.synthetic_records.synthetic import (
    OTHER_DATASET,
    make_failure,
    make_record,
    make_run,
)

PUBLISHED = Path(__file__).parents[2] / "results"
STATS = {"mean": 1.0, "stddev": 0, "median": 1.0, "iqr": 0.0}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [replace(record, run="night") for record in [*make_run(seeds=2), make_failure(seed=7)]]


def test_the_command_offers_all_that_there_is() -> None:
    assert set(command.TABLES) == set(FORMATS)
    assert set(command.SERVICES) == set(benchmarks.FORMATS)
    assert set(command.CURVES) == set(curves.WRITERS)


READERS: dict[str, Callable[[bytes], pd.DataFrame]] = {
    "csv": lambda content: pd.read_csv(io.BytesIO(content)),
    "json": lambda content: pd.DataFrame(json.loads(content)),
    "parquet": lambda content: pd.read_parquet(io.BytesIO(content)),
}


@pytest.mark.parametrize("to", READERS)
def test_the_tidy_table_keeps_every_row_column_and_digit(records: list[Record], to: str) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    found = READERS[to](export(records, to))
    tidy = frame_of(records)
    assert list(found.columns) == list(COLUMNS)
    assert found["case"].tolist() == tidy["case"].tolist()
    values = pd.to_numeric(found["value"])
    assert values.dropna().tolist() == tidy["value"].dropna().tolist()
    assert values.isna().sum() == 1  # the failure


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / os.fsdecode(b"r4\xe9"))
    store.append(make_record(dataset={"name": "d4\udce9", "fingerprint": "f" * 64}))
    found = store.read()
    assert (found[0].run, found[0].dataset["name"]) == (r"r4\xe9", r"d4\xe9")
    for to in READERS:
        if to == "parquet":
            pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
        assert READERS[to](export(found, to))["run"].tolist() == [r"r4\xe9"]
    page = write_results(found, store.folder, notes=["of /data/d4\udce9"])
    assert "d4\\udce9" in page.read_text("utf-8")


@pytest.mark.parametrize("to", FORMATS)
def test_every_table_of_a_report_can_be_exported(records: list[Record], to: str) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    for table in TABLES:
        content = export(records, to, table.name)
        rows = len(frame(table, records))
        if to in READERS and rows:
            assert len(READERS[to](content)) == rows, table.name


def test_markdown_and_latex_of_the_tidy_table_have_what_tells_rows_apart() -> None:
    some = [make_record(framework=name, kind="inference") for name in ("pytorch", "keras-jax")]
    lines = export(some, "markdown").decode().splitlines()
    assert re.findall(r"\w+", lines[0]) == [
        *("framework", "execution", "kind", "value", "unit", "low", "high", "status")
    ]
    assert len(lines) == 4
    text = export(some, "latex").decode()
    assert text.startswith("\\begin{tabular}{lllrlrrl}\n\\toprule\n")
    assert text.count("\\\\\n") == 3


def test_every_field_of_a_case_can_tell_rows_of_markdown_apart() -> None:
    usual = make_record(kind="train_throughput")
    for field in fields(Case):
        value = getattr(usual.case, field.name)
        other = not value if type(value) is bool else value + 1 if type(value) is int else "other"
        changed = replace(usual, case=replace(usual.case, **{field.name: other}))
        header, *_ = export([usual, changed], "markdown").decode().splitlines()
        assert field.name in re.findall(r"\w+", header)


def test_latex_takes_every_character_of_a_name() -> None:
    text = latex(["a_b"], [["50 % & {more} $x$ #1 ~ ^ \\end"]], [False])
    assert r"a\_b" in text
    assert r"50 \% \& \{more\} \$x\$ \#1" in text
    assert "\\end\n" not in text.replace("\\end{tabular}", "")


def test_columns_are_taken_in_the_order_asked_for(records: list[Record]) -> None:
    content = export(records, "csv", RECORDS, ["kind", "value"]).decode()
    assert content.splitlines()[0] == "kind,value"
    with pytest.raises(UserError, match="no column 'speed'; there are run, case"):
        export(records, "csv", RECORDS, ["speed"])
    with pytest.raises(UserError, match="unknown table 'speeds'; known: records, interleaved"):
        export(records, "csv", "speeds")


def test_parquet_without_its_package_is_one_line(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.export.tables.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'alexbench\[parquet\]'"):
        export(records, "parquet")


# ---- services that follow benchmarks


def test_github_action_benchmark_gets_what_its_schema_asks_for(records: list[Record]) -> None:
    """Its ``BenchmarkResult``: name, unit and number, the range as ``± <number>``."""
    entries = json.loads(benchmarks.github_action_benchmark(records))
    assert len(entries) == sum(record.ok for record in records)
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.keys() - {"range"} == {"name", "unit", "value", "extra"}
        assert isinstance(entry["value"], float)
        if "range" in entry:
            assert re.fullmatch(r"± \d[\d.e+-]*", entry["range"])


def test_what_is_worse_is_a_smaller_number_for_github_action_benchmark() -> None:
    slow, fast = (make_record(kind="latency", samples=(s, s * 1.1)) for s in (0.2, 0.1))
    values = [json.loads(benchmarks.github_action_benchmark([r]))[0] for r in (slow, fast)]
    assert values[0]["value"] < values[1]["value"]
    assert values[0]["unit"] == "calls/s"


def test_bencher_gets_its_metric_format(records: list[Record]) -> None:
    found = json.loads(benchmarks.bencher(records))
    record = next(r for r in records if r.kind == "train_throughput")
    metric = found[record.case.id]["train-throughput"]
    assert metric == {
        "value": record.summary["images_per_second"],
        "lower_value": record.summary["low"],
        "upper_value": record.summary["high"],
    }
    latency = next(r for r in records if r.kind == "latency")
    assert found[latency.case.id]["latency"]["value"] == pytest.approx(1e9 * latency.summary["p50"])
    slugs = {slug for measures in found.values() for slug in measures}
    assert all(re.fullmatch(r"[a-z-]+", slug) for slug in slugs)
    read = bencher_formats.read_json(benchmarks.bencher(records))
    assert read.keys() == {record.case.id for record in records if record.ok}


def test_exports_have_the_intervals_of_tables() -> None:
    latency = make_record(kind="latency", samples=(0.2, 0.22, 0.21, 0.23))
    _, low, high = value_of([latency])
    found = json.loads(benchmarks.bencher([latency]))[latency.case.id]["latency"]
    assert found["lower_value"] == pytest.approx(1e9 * low)
    assert found["upper_value"] == pytest.approx(1e9 * high)
    (row,) = frame_of([latency]).to_dict("records")
    assert (row["low"], row["high"]) == (low, high)


@pytest.mark.parametrize(
    "run", [PUBLISHED / "reference-2026-11-26-make-bench", PUBLISHED / "reference-2026-11-26-quick"]
)
def test_bencher_reads_published_benchmarks_in_both_formats(run: Path) -> None:
    found = bencher_formats.read_pytest((run / "benchmark.json").read_text("utf-8"))
    ok = [record for record in RecordStore(run).read() if record.ok]
    assert len(found) == len(ok)
    for mean, median in found.values():
        assert min(mean.value, median.value) > 0 <= min(mean.reach, median.reach)
    assert bencher_formats.read_json(benchmarks.bencher(ok)).keys() == {r.case.id for r in ok}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"commit_info": None}, "commit_info must be a dict, got None"),
        ({"benchmarks": [{"fullname": "a", "stats": {"mean": "1"}}]}, "mean must be a number"),
        ({"benchmarks": [{"fullname": "a" * 1025, "stats": STATS}]}, "no name of a benchmark"),
        ({"benchmarks": [{"name": "a", "stats": STATS}]}, "fullname must be a str"),
    ],
)
def test_what_bencher_would_refuse_is_seen(changed: dict[str, Any], error: str) -> None:
    whole = {
        "machine_info": {},
        "commit_info": {},
        "benchmarks": [{"fullname": "a", "stats": STATS}],
    }
    assert bencher_formats.read_pytest(json.dumps(whole)) == {"a": ((1.0, 0.0), (1.0, 0.0))}
    with pytest.raises((TypeError, ValueError), match=error):
        bencher_formats.read_pytest(json.dumps(whole | changed))


def test_seconds_that_are_no_measurement_are_not_passed_on() -> None:
    caveat = ({"on": "seconds", "why": "another program ran"},)
    assert json.loads(benchmarks.bencher([make_record(caveats=caveat)])) == {}


# ---- curves


def test_points_of_a_curve_are_those_of_the_record() -> None:
    record = make_record(kind="accuracy")
    points = list(curves.scalars(record))
    accuracies = [p for p in points if p.name == "test/accuracy"]
    assert [(p.step, p.value) for p in accuracies] == [
        (entry["step"], entry["test_accuracy"]) for entry in record.metrics["curve"]
    ]
    losses = [p for p in points if p.name == "train/loss"]
    assert len(losses) == len(accuracies) - 1  # none before the first step
    steps = [p.value for p in points if p.name == "train/step_loss"]
    assert steps == record.metrics["step_losses"]
    assert curves.trainings([record, make_record(), make_failure()]) == [record]


def test_tensorboard_reads_what_was_written(tmp_path: Path, records: list[Record]) -> None:
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415
    from tensorboardX.record_writer import masked_crc32c  # noqa: F401, PLC0415

    some = [r for r in records if r.kind == "accuracy"][:2]
    assert curves.to_tensorboard(some, str(tmp_path)) == 2
    files = sorted(tmp_path.rglob("events.out.tfevents*"))
    assert [path.parent.parent.name for path in files] == ["night", "night"]
    found = [
        (value.tag, event.step, value.simple_value)
        for event in _events(files[0], Event)
        for value in event.summary.value
        if value.tag == "test/accuracy"
    ]
    expected = [p for p in curves.scalars(some[0]) if p.name == "test/accuracy"]
    assert [step for _, step, _ in found] == [p.step for p in expected]
    assert [value for *_, value in found] == pytest.approx([p.value for p in expected])


def _events(path: Path, event: Any) -> list[Any]:
    """Events of a file: length, checksum, event, checksum."""
    content, found, place = path.read_bytes(), [], 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        found.append(event.FromString(content[place + 12 : place + 12 + length]))
        place += 16 + length
    return found


def test_mlflow_reads_what_was_written(tmp_path: Path, records: list[Record]) -> None:
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    from mlflow import MlflowClient  # noqa: PLC0415

    some = [r for r in records if r.kind == "accuracy"][:2]
    assert curves.to_mlflow(some, str(tmp_path / "runs")) == 2
    client = MlflowClient((tmp_path / "runs").as_uri())  # to_mlflow has allowed folders
    experiment = client.get_experiment_by_name("alexbench")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    run = next(r for r in runs if r.info.run_name == some[0].case.id)
    assert run.data.params["variant"] == some[0].case.variant
    assert run.data.tags["alexbench.run"] == "night"
    history = client.get_metric_history(run.info.run_id, "test/accuracy")
    expected = [p for p in curves.scalars(some[0]) if p.name == "test/accuracy"]
    assert [(m.step, m.value) for m in history] == [(p.step, p.value) for p in expected]


def test_a_full_disk_is_one_line_for_tensorboard(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(curves, "write_whole", full)
    with pytest.raises(OutputError, match=f"cannot write to {tmp_path}: No space left"):
        curves.to_tensorboard(records, str(tmp_path))


@pytest.mark.parametrize("to", ["tensorboard", "mlflow"])
def test_curves_go_into_no_folder_called_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.chdir(tmp_path)
    RecordStore(Path("run")).append(make_record(kind="accuracy"))
    found: list[str] = []
    monkeypatch.setitem(curves.WRITERS, to, lambda _, target: found.append(target) or 1)
    arguments = ["run", "--to", to, "-o"]
    with pytest.raises(UserError, match="no such home folder"):
        command.export.main([*arguments, "~nosuchuser/x"], standalone_mode=False)
    command.export.main([*arguments, "~/x"], standalone_mode=False)
    command.export.main([*arguments, "http://a/~b"], standalone_mode=False)
    assert found == [str(Path.home() / "x"), "http://a/~b"]


@pytest.mark.parametrize(("to", "module"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow")])
def test_a_writer_without_its_package_is_one_line(
    to: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("bench.report.export.curves.find_spec", lambda _: None)
    with pytest.raises(UserError, match=rf"{module} is not installed: pip install 'alexbench\["):
        curves.WRITERS[to]([], "somewhere")


def test_a_table_of_two_runs_has_each_case_once() -> None:
    """Two runs of one seed are no two seeds: as in a report of both."""
    first, again = (
        make_record(kind="accuracy", samples=(value,), run=run, started_at=f"2025-01-0{day}T00:00")
        for day, (run, value) in enumerate((("one", 0.5), ("two", 0.6)), start=1)
    )
    found = READERS["csv"](export([again, first], "csv", "accuracy"))
    assert found[["seeds", "accuracy", "run"]].values.tolist() == [[1, 0.6, "two"]]


@pytest.mark.parametrize("to", benchmarks.FORMATS)
def test_services_get_results_on_one_data_set(to: str) -> None:
    records = [make_record(), make_record(dataset=OTHER_DATASET)]
    with pytest.raises(UserError, match="records of several data"):
        benchmarks.FORMATS[to](records)
    assert benchmarks.FORMATS[to](records[:1])


def test_a_later_failure_keeps_the_result_of_before() -> None:
    done = make_record(started_at="2025-01-01T00:00:00+00:00")
    lost = make_failure("latency", started_at="2025-01-02T00:00:00+00:00", status="oom")
    assert latest([done, lost])[0] == latest([lost, done])[0] == [done]
    assert json.loads(benchmarks.FORMATS["bencher"]([done, lost]))
