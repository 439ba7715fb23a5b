"""The pytest plugin, in a pytest process of its own as a user starts it.

A session that measures takes seconds, so several behaviours are tested on each.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bench
from bench import plugin
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.harness.matrix import Task
from bench.plugin import Session
from tests.support import bencher_formats, fakes
from tests.support.pytest_sessions import Call, Ended, run_sessions
from tests.support.synthetic_records.synthetic import make_record

ROOT = Path(bench.__file__).parent.parent
SPEED = ROOT / "bench" / "benchmarks" / "bench_speed.py"


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache", fakes.UNDRAWN)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


def run_pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in the folder of the test, where there is neither a checkout nor a configuration."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "bench.plugin"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def options(batches: str, frameworks: str) -> tuple[str, ...]:
    return (
        "--benchmark-only", "--bench-profile", "tiny", "--bench-data", batches,
        "--bench-frameworks", frameworks,
    )  # fmt: skip


def benchmark(
    batches: str, *arguments: str, frameworks: str = "fake"
) -> subprocess.CompletedProcess[str]:
    return run_pytest("--pyargs", "bench", *options(batches, frameworks), *arguments)


def the_run(results: str = "results") -> Path:
    (folder,) = Path(results).iterdir()
    return folder


def passed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The ids of the tests that ``-rA`` lists as passed."""
    return [line.split("::")[-1] for line in done.stdout.splitlines() if line.startswith("PASSED")]


def test_a_run_from_any_folder_measures_certifies_shows_and_reports(batches: str) -> None:
    done = benchmark(batches, "-rA", frameworks="fake-certified")
    assert done.returncode == 0, done.stdout + done.stderr
    records = RecordStore(the_run()).read()
    assert len(records) == 4 + 4 + 1
    assert all(record.ok for record in records)
    assert sorted(passed(done)) == sorted(_id(record) for record in records)
    certified = {(r.case.track, r.parity["status"]) for r in records}
    assert certified == {("closed", "pass"), ("idiomatic", "not applicable")}

    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")
    assert (done.stdout + done.stderr).count("How sure is this?") == 1
    assert (the_run() / "report.html").is_file()
    assert "Name (time in" in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.startswith("Name (time in"))
    assert header.split()[-4:] == ["Min", "Median", "IQR", "Rounds"]
    _, _, table = done.stdout.partition("= alexbench =")
    assert f"fingerprint {records[0].dataset['fingerprint'][:12]}" in table
    for part in ("tiny fake-certified closed train_throughput", "images/s", "test accuracy", "p99"):
        assert part in table
    assert re.search("The machine was quiet: |DISTURBED: |Other processes used", table)
    assert all("before" in record.environment["machine_state"] for record in records)

    text = (the_run() / "benchmark.json").read_text("utf-8")
    assert f'"{os.uname().nodename}"' not in text
    found = json.loads(text)
    assert not {"node", "release"} & found["machine_info"].keys()
    _check_benchmarks({row["name"]: row for row in found["benchmarks"]}, records)
    assert len(bencher_formats.read_pytest(text)) == len(records)


@pytest.mark.slow
def test_a_time_plan_is_shown_followed_and_kept(batches: str) -> None:
    done = benchmark(batches, "--bench-profile", "tiny-planned", "--bench-no-parity")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = (done.stdout + done.stderr).splitlines()
    head = next(i for i, line in enumerate(shown) if line.startswith("Plan: about 20 s, "))
    groups = ["speed, closed: tiny", "speed, idiomatic: tiny"]
    plan = shown[head + 1 : head + 6]
    assert [name for name in groups if any(name in line for line in plan)] == groups
    followed = [line for line in shown if " left · speed, closed: tiny · then " in line]
    assert len(followed) == 1
    outcome = shown.index(next(line for line in shown if line.split() == _OUTCOME))
    assert outcome < next(i for i, line in enumerate(shown) if line.startswith("Who trains"))
    stages = json.loads((the_run() / "run.json").read_text("utf-8"))["plan"]["stages"]
    seconds = {stage["name"]: stage["actual"] for stage in stages}
    assert all(seconds[name] > 0 for name in (*groups, "report"))
    assert sum(value or 0 for value in seconds.values()) < 60


_OUTCOME = ["seconds", "planned", "actual"]


def _id(record: Record) -> str:
    seed = f"-s{record.case.seed}" if record.kind == "accuracy" else ""
    return f"test_{record.kind}[tiny-{record.case.framework}-{record.case.track}{seed}]"


def _check_benchmarks(rows: dict[str, Any], records: list[Record]) -> None:
    """pytest-benchmark has the worker's seconds per step, and the facts of each record."""
    assert len(rows) == len(records)
    assert max(record.metrics.get("steps_per_sample", 1) for record in records) > 1
    for record in records:
        row = rows[_id(record)]
        trained = record.kind == "accuracy"
        steps = record.metrics.get("steps_per_sample", 1)
        blocks = [record.metrics["train_seconds"]] if trained else record.samples
        seconds = [block / steps for block in blocks]
        assert row["stats"]["iterations"] == steps
        assert row["stats"]["rounds"] == len(seconds)
        assert sorted(row["stats"]["data"]) == pytest.approx(sorted(seconds), abs=1e-9)
        assert row["stats"]["min"] == pytest.approx(min(seconds), abs=1e-9)
        extra = row["extra_info"]
        assert extra["case"] == record.case.to_json()
        assert extra["kind"] == record.kind
        assert extra["dataset"] == record.dataset
        assert extra["framework_versions"] == record.environment["versions"]
        assert record.summary.items() <= extra.items()
        assert record.kind in row["group"]


@pytest.mark.slow
def test_a_named_file_is_measured_once_as_k_and_the_options_say(batches: str) -> None:
    done = run_pytest(
        str(SPEED), *options(batches, "fake,fake-two"), "-rA", "-k", "latency and tiny-fake-two",
        "--rootdir", ".", "--bench-no-parity", "--benchmark-json", "mine.json",
        "--bench-results", "elsewhere", "--benchmark-columns=max",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    expected = ["test_latency[tiny-fake-two-closed]", "test_latency[tiny-fake-two-idiomatic]"]
    assert sorted(passed(done)) == expected
    records = RecordStore(the_run("elsewhere")).read()
    assert len(records) == 2
    for record in records:
        assert (record.kind, record.case.framework) == ("latency", "fake-two")
        assert record.case.batch_size == 1
    assert {r.case.track: r.parity["status"] for r in records}["closed"] == "unchecked"
    assert len(json.loads(Path("mine.json").read_text("utf-8"))["benchmarks"]) == 2
    assert not (the_run("elsewhere") / "benchmark.json").exists()
    header = next(line for line in done.stdout.splitlines() if line.startswith("Name (time in"))
    assert header.split()[-1] == "Max"


@pytest.mark.slow
def test_a_failed_case_fails_its_own_test_alone(
    monkeypatch: pytest.MonkeyPatch, batches: str
) -> None:
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", fakes.EXTENSION)  # with plots, also under -W error
    done = benchmark(
        batches, "-rA", "-k", "closed and (startup or latency)", "-W", "error",
        frameworks="fake-killed,fake",
    )  # fmt: skip
    assert done.returncode == 1
    assert len(passed(done)) == 3
    assert "3 passed, 14 deselected, 1 error" in done.stdout
    assert "failed: worker killed by SIGKILL" in done.stdout
    assert "Traceback" not in done.stdout
    assert sorted(record.status for record in RecordStore(the_run()).read()) == [
        "failed", "ok", "ok", "ok",
    ]  # fmt: skip
    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")
    assert list((the_run() / "plots").glob("*.svg"))


@pytest.mark.slow
def test_a_run_without_one_result_still_reports(batches: str) -> None:
    done = benchmark(batches, "-k", "closed and startup", "-W", "error", frameworks="fake-exit")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "exited with 3" in done.stdout
    assert not (the_run() / "benchmark.json").exists()
    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")


@pytest.mark.slow
def test_offline_synthetic_images_stand_in_and_the_output_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/cifar.tar.gz"
        monkeypatch.setenv("ALEXBENCH_CIFAR10_URL", url)
        # Warnings are errors in this repository's own settings: this one must not be.
        done = benchmark("auto", "-k", "latency and closed", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SYNTHETIC" in done.stdout
    (record,) = RecordStore(the_run()).read()
    assert record.dataset["name"].startswith("generated")
    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")


# ---- sessions that measure nothing, all in one process

WRONG = {
    ("--bench-profile", "medium"): "unknown profile 'medium'; known: quick, full",
    ("--bench-frameworks", "theano"): "unknown framework 'theano'; known: pytorch",
    ("--bench-frameworks", "fake-missing"): "pip install 'alexbench[fake]'",
    ("--bench-data", "nowhere"): "nowhere: no such file or folder; expected",
    ("--bench-results", "file/below"): "cannot write to file/below/",
    ("--bench-compare", "nowhere"): "no records.jsonl in nowhere",
    ("--bench-fail-if", "slower:5%"): "--bench-compare RUN",
    ("--bench-compare", "nowhere", "--bench-fail-if", ""): "must look like slower:5%",
    ("--bench-variants", " ,"): "--bench-variants: nothing is given; leave it out",
    ("--bench-results", ""): "--bench-results: nothing is given; leave it out",
    ("--bench-summary", ""): "is $GITHUB_STEP_SUMMARY set",
}


def session(folder: Path, *arguments: str, **environment: str) -> Call:
    return Call(("-p", "bench.plugin", *arguments), str(folder), environment)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, batches: str) -> dict[Any, Ended]:
    """How each of these sessions ended, by name or by the options that are wrong in it."""
    folder = tmp_path_factory.mktemp("idle")
    (folder / "file").write_text("")
    (folder / "test_other.py").write_text("def test_other():\n    pass\n")
    here = ("--pyargs", "bench", *options(batches, "fake"))
    RecordStore(folder / "before").append(make_record())
    gate = ("--bench-compare", "before", "--bench-fail-if", "slower:5%")
    calls = {wrong: session(folder, *here, *wrong) for wrong in WRONG} | {
        "collect": session(folder, *here, "--collect-only", "-q"),
        "gated": session(folder, *here, "--collect-only", "-q", *gate),
        "nothing": session(folder, *here, *gate, "-k", "no_such_case"),
        "tests": session(folder, "--pyargs", "bench", "test_other.py"),
        "extension": session(folder, *here, ALEXBENCH_EXTENSIONS="no_such_extension"),
    }
    with pytest.MonkeyPatch.context() as patch:
        fakes.install(patch, folder / "cache")
        ended = dict(zip(calls, run_sessions(list(calls.values())), strict=True))
    assert not (folder / "results").exists()
    return ended


@pytest.mark.parametrize("arguments", WRONG)
def test_bad_input_is_a_usage_error_of_one_line(
    idle: dict[Any, Ended], arguments: tuple[str, str]
) -> None:
    done = idle[arguments]
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in done.stderr.splitlines() if line]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: ")
    assert WRONG[arguments] in errors[0]
    assert "INTERNALERROR" not in done.stdout


def test_a_missing_extension_is_a_usage_error(idle: dict[Any, Ended]) -> None:
    assert idle["extension"].returncode == pytest.ExitCode.USAGE_ERROR
    assert idle["extension"].stderr.startswith("ERROR: ALEXBENCH_EXTENSIONS: cannot import")


def test_collect_only_lists_the_tasks(idle: dict[Any, Ended]) -> None:
    assert idle["collect"].returncode == 0, idle["collect"].stdout
    assert "test_latency[tiny-fake-closed]" in idle["collect"].stdout
    assert "test_accuracy[tiny-fake-closed-s0]" in idle["collect"].stdout


def test_a_gate_fails_no_list_of_tests_and_says_why_it_fails(idle: dict[Any, Ended]) -> None:
    assert idle["gated"].returncode == 0, idle["gated"].stdout
    assert "FAILED" not in idle["gated"].stdout
    assert "nothing was compared" in idle["nothing"].stdout


def test_trainings_of_one_name_have_their_start_in_their_ids() -> None:
    ours, theirs, other = (
        Task(Case(variant, "pytorch", init=init), "accuracy")
        for variant, init in (("a", "pretrained"), ("a", "scratch"), ("b", "pretrained"))
    )
    assert plugin._test_ids([ours, theirs, other]) == [
        "a-pytorch-closed-s0-pretrained",
        "a-pytorch-closed-s0",
        "b-pytorch-closed-s0",
    ]


def test_without_benchmark_only_nothing_is_measured(idle: dict[Any, Ended]) -> None:
    assert idle["tests"].returncode == 0, idle["tests"].stdout
    assert "1 passed, 5 deselected" in idle["tests"].stdout


def test_a_signal_in_a_frame_that_is_on_no_line_yet_is_printed() -> None:
    def stopped() -> None:
        raise pytest.exit.Exception("stopped by SIGINT")

    stopped.__code__ = stopped.__code__.replace(co_linetable=b"")
    with pytest.raises(pytest.exit.Exception) as found:
        stopped()
    Session.pytest_keyboard_interrupt(None, found)  # type: ignore[arg-type]
    assert "stopped by SIGINT" in str(found.getrepr(funcargs=True))


def test_a_case_is_not_measured_again_by_another_plugin() -> None:
    for given, ini in ((2, 0), (None, 2)):
        option = SimpleNamespace(reruns=given)
        config: Any = SimpleNamespace(option=option, getini={"reruns": ini}.__getitem__)
        with pytest.raises(UserError, match="leave --reruns out"):
            plugin._check_one_process(config)
    plugin._check_one_process(SimpleNamespace(option=SimpleNamespace(), getini={}.__getitem__))  # type: ignore[arg-type]
