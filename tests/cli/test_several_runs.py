"""Commands that take several runs: compare with its gate, history, export, report, audit."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bench.cli.commands.annotate import annotate
from bench.cli.commands.audit import audit
from bench.cli.commands.compare import compare
from bench.cli.commands.export import export
from bench.cli.commands.history import history
from bench.cli.commands.report import report
from bench.core.errors import UserError
from bench.core.records import RecordStore
from tests.support.synthetic_records.several_runs import timed
from tests.support.synthetic_records.synthetic import OTHER_DATASET, make_record


@pytest.fixture(autouse=True)
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Four runs of which the last two are slower, and a page about them."""
    monkeypatch.chdir(tmp_path)
    for day, seconds in enumerate((1.0, 1.01, 1.4, 1.41), start=1):
        store = RecordStore(tmp_path / "results" / f"run-{day}")
        store.append(timed(seconds, day))
        store.append(timed(1.0, day, framework="keras-jax"))
    (tmp_path / "results" / "README.md").write_text("# Runs\n")
    return tmp_path / "results"


def call(command: object, *arguments: str) -> Result:
    found = CliRunner().invoke(command, arguments, standalone_mode=False)  # type: ignore[arg-type]
    if found.exception is not None:
        raise found.exception
    return found


def everything() -> list[str]:
    return sorted(map(str, Path("results").iterdir()))


def test_compare_fails_where_a_run_is_slower_and_says_which_case() -> None:
    runs = ("results/run-1", "results/run-3")
    done = call(compare, *runs, "--fail-if", "slower:5%")
    assert done.return_value == 1
    assert "FAILED cifar-bn/pytorch/closed/" in done.stderr
    assert "keras-jax" not in done.stderr
    assert call(compare, *runs, "--fail-if", "slower:50%").return_value == 0
    done = call(compare, *runs, "--fail-if", "slower:5%", "--frameworks", "keras-jax")
    assert (done.return_value, done.stderr) == (0, "passed: slower:5%\n")
    assert call(compare, *runs).return_value == 0


def test_a_copy_of_a_run_is_named_and_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("results/run-1", "copy")
    line = "copy/records.jsonl: a copy of results/run-1/records.jsonl; counted once"
    with pytest.raises(UserError, match="2 runs are needed, and there is only run-1"):
        call(compare, "results/run-1", "copy", "--fail-if", "slower:5%")
    done = call(history, "results/run-1", "copy", "--json")
    assert [len(row["points"]) for row in json.loads(done.stdout)] == [1, 1]
    assert done.stderr == f"alexbench: {line}\n"
    done = call(audit, "results/run-1", "copy")
    assert done.stderr == f"alexbench: {line}\n"
    assert done.stdout.splitlines()[-1].startswith("2 records")


def test_compare_with_a_changed_copy_of_the_run_is_refused_in_one_line() -> None:
    shutil.copytree("results/run-1", "copy")
    caveat = {"on": "speed", "why": "seen later"}
    RecordStore(Path("copy")).change(lambda record: replace(record, caveats=(caveat,)))
    with pytest.raises(UserError, match="are the same measurements, begun in the same second"):
        call(compare, "results/run-1", "copy", "--fail-if", "slower:5%")


def test_compare_says_that_nothing_was_compared() -> None:
    RecordStore(Path("refused")).append(replace(timed(1.0, day=9), parity={"status": "fail"}))
    done = call(compare, "results/run-1", "refused")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "warning: nothing was compared: 1 refused (different parity status: pass in A, fail in B), "
    )


def test_accuracies_on_other_images_are_refused_with_the_option_that_compares_them() -> None:
    hint = "accuracies on other images are refused; --across-data compares them"
    record = make_record(kind="accuracy")
    other = replace(record, dataset=OTHER_DATASET, started_at="2026-01-02T00:00:00+00:00")
    RecordStore(Path("one")).append(record)
    RecordStore(Path("two")).append(replace(other, caveats=({"on": "all", "why": "x"},)))
    assert call(compare, "one", "two").stderr.splitlines()[-1] == hint
    assert hint not in call(compare, "one", "two", "--across-data").stderr
    elsewhere = replace(other, environment={**other.environment, "cpu": "Another"})
    RecordStore(Path("elsewhere")).append(elsewhere)
    assert hint not in call(compare, "one", "elsewhere").stderr
    RecordStore(Path("three")).append(replace(timed(1.0, day=9), dataset=OTHER_DATASET))
    assert hint not in call(compare, "results/run-1", "three").stderr


def test_compare_with_nothing_to_compare_fails() -> None:
    store = RecordStore(Path("other"))
    store.append(make_record("cifar-lrn"))
    done = call(compare, "results/run-1", "other", "--fail-if", "slower:5%")
    assert done.return_value == 1
    assert "FAILED slower:5%: nothing was compared: 2 only in A, 1 only in B" in done.stderr
    refused = replace(timed(1.0, day=9), parity={"status": "fail"})
    RecordStore(Path("refused")).append(refused)
    done = call(compare, "results/run-1", "refused", "--fail-if", "slower:5%")
    assert done.return_value == 1
    assert "1 refused" in done.stderr


def test_compare_writes_a_page_and_a_summary() -> None:
    runs = ("results/run-1", "results/run-2", "results/run-3")
    done = call(compare, *runs, "--html", "--summary", "summary.md", "--fail-if", "slower:5%")
    assert done.stdout == "compare.html\n"
    assert "<h1>run-2 and run-3 compared with run-1</h1>" in Path("compare.html").read_text()
    assert "gate failed" in Path("summary.md").read_text()
    with pytest.raises(UserError, match="2 runs are needed"):
        call(compare, "results/run-1", "--html")
    with pytest.raises(UserError, match=r"cannot write to nowhere/a\.html"):
        call(compare, *runs, "--html", "-o", "nowhere/a.html")


@pytest.mark.parametrize("command", [compare, history], ids=lambda command: command.name)
def test_a_path_of_a_page_asks_for_the_page(command: click.Command) -> None:
    runs = ("results/run-1", "results/run-3")
    assert call(command, *runs, "-o", "mine.html").stdout.endswith("mine.html\n")
    assert Path("mine.html").read_text().startswith("<!doctype html>")
    with pytest.raises(click.UsageError, match="give one of them"):
        call(command, *runs, "--json", "-o", "mine.html")


def test_json_of_three_runs_names_the_run_of_each_row() -> None:
    done = call(compare, "results/run-1", "results/run-2", "results/run-3", "--json")
    rows = json.loads(done.stdout)
    assert [(row["run"], row["verdict"]) for row in rows] == [
        *(("run-2", "tie"), ("run-2", "tie")),
        *(("run-3", "slower"), ("run-3", "tie")),
    ]


def test_history_reads_whatever_a_pattern_finds() -> None:
    pytest.importorskip("ruptures", reason="the extra `history` is not installed")
    for arguments in (everything(), ["results"], ["results/*"]):
        done = call(history, *arguments)
        assert "0 of them in one run only\n1 change point in 2 cases with" in done.stdout
        assert "** slower: 0.7" in done.stdout
    done = call(history, *everything(), "--json", "--frameworks", "keras-jax")
    (row,) = json.loads(done.stdout)
    assert len(row["points"]) == 4
    assert row["changes"] == []
    assert call(history, "results", "--html", "--by", "commit").stdout == "history.html\n"
    assert "<h1>History of 4 runs</h1>" in Path("history.html").read_text()
    with pytest.raises(click.UsageError, match="--by is of the plots"):
        call(history, "results", "--by", "commit")


@pytest.mark.usefixtures("undrawn")
def test_report_and_audit_pass_over_strangers(capsys: pytest.CaptureFixture[str]) -> None:
    done = call(report, *everything(), "-o", "out")
    assert done.stdout == "out/report.html\n"
    assert call(report, "results", "--summary", "summary.md").stdout == "results/report.html\n"
    assert Path("summary.md").read_text().startswith("### run-4\n")
    done = call(audit, *everything())
    assert done.stdout.splitlines()[-1].startswith("results/run-4: 2 records, ")
    assert call(audit, "results/run-1/records.jsonl").stdout.splitlines()[-1].startswith("2 rec")


def test_export_writes_to_the_standard_output_or_a_file() -> None:
    done = call(export, "results/run-1", "--to", "csv", "--columns", "framework,kind")
    assert done.stdout == "framework,kind\npytorch,train_throughput\nkeras-jax,train_throughput\n"
    done = call(export, "results/run-1", "--to", "bencher", "-o", "bmf.json")
    assert done.stdout == "bmf.json\n"
    assert len(json.loads(Path("bmf.json").read_text())) == 2
    done = call(export, "results/run-1", "--to", "markdown", "--table", "interleaved")
    assert done.stdout.startswith("# Interleaved runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "parquet"), "needs -o PATH"),
        (("--to", "tensorboard"), "needs -o PATH"),
        (("--to", "bencher", "--table", "latency"), "takes no --table"),
        (("--to", "csv", "--table", "speeds"), "unknown table 'speeds'"),
        (
            (
                "--to",
                "xml",
            ),
            "'xml' is not one of",
        ),
    ],
)
def test_wrong_usage_of_export_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(Exception, match=message):
        call(export, "results/run-1", *arguments)


EMPTY = (
    (report, ()),
    (audit, ()),
    (export, ("--to", "csv")),
    (compare, ("results/none",)),
    (history, ()),
    (annotate, ("--all", "--on", "speed", "--why", "x")),
)


@pytest.mark.parametrize("content", [b"", b'{"half a record'])
@pytest.mark.parametrize(("command", "options"), EMPTY, ids=[c.name for c, _ in EMPTY])
def test_a_run_without_a_record_is_bad_input(
    command: click.Command, options: tuple[str, ...], content: bytes
) -> None:
    Path("results/none").mkdir()
    Path("results/none/records.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=r"results/none/records\.jsonl.*: no record in it"):
        call(command, "results/none", *options)
    assert [path.name for path in Path("results/none").iterdir()] == ["records.jsonl"]


def test_a_run_without_a_record_among_others_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/none").mkdir()
    Path("results/none/records.jsonl").touch()
    done = call(audit, "results/none", "results/run-1")
    assert "results/none: 0 records, 1 finding\n" in done.stdout
    assert done.return_value == 1
    call(export, "results/none", "results/run-1", "--to", "csv")
    said = done.stderr + capsys.readouterr().err
    assert "results/none/records.jsonl: no record in it\n" in said


def test_curves_for_a_server_without_a_host_are_refused_before_it_is_tried() -> None:
    with pytest.raises(UserError, match="-o http://: an address without a host"):
        call(export, "results/run-1", "--to", "mlflow", "-o", "http://")


def test_of_many_cases_an_error_names_the_nearest_and_what_lists_them() -> None:
    store = RecordStore(Path("many"))
    store.append(*(make_record(seed=seed) for seed in range(40)))
    ids = [record.case.id for record in store.read()]
    with pytest.raises(UserError) as caught:
        call(export, "many", "--to", "csv", "--case", ids[17].replace("s17", "z17"))
    assert "the nearest of 40 are" in str(caught.value)
    assert f"are {ids[17]}, " in str(caught.value)
    assert sum(name in str(caught.value) for name in ids) <= 3
    assert "alexbench export RUN --to csv --columns case lists them" in str(caught.value)
    listed = call(export, "many", "--to", "csv", "--columns", "case").stdout.splitlines()
    assert listed == ["case", *ids]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("null", "null"),
        ("[1]", "the list [1]"),
        ("3", "the number 3"),
        ('"x"', 'the text "x"'),
        ("true", "true"),
    ],
)
def test_a_run_file_that_is_no_object_is_said(
    text: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("results/run-1/run.json").write_text(text)
    words = f"run.json: cannot be read (it must be a JSON object, got {found})"
    with pytest.raises(UserError, match=re.escape(words)):
        call(audit, "results/run-1")
    done = call(report, "results/run-1")
    assert words in done.stderr + capsys.readouterr().err
