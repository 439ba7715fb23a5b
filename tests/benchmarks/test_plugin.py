"""The bridge to pytest-benchmark, each time in a pytest of its own as the user starts it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.core.records import Record, RecordStore
from tests.support import fakes

ROOT = Path(bench.__file__).parent.parent
SPEED = ROOT / "bench" / "benchmarks" / "bench_speed.py"


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


def run_pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in the folder of the test, where there is neither a checkout nor a configuration."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "bench.plugin",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def benchmark(
    batches: str, *arguments: str, frameworks: str = "fake"
) -> subprocess.CompletedProcess[str]:
    return run_pytest(
        "--pyargs", "bench", "--benchmark-only", "--bench-profile", "tiny",
        "--bench-data", batches, "--bench-frameworks", frameworks, *arguments,
    )  # fmt: skip


def the_run() -> Path:
    (folder,) = Path("results").iterdir()
    return folder


def passed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The ids of the tests that ``-rA`` lists as passed."""
    return [line.split("::")[-1] for line in done.stdout.splitlines() if line.startswith("PASSED")]


def test_a_run_from_any_folder_measures_shows_and_reports(batches: str) -> None:
    done = benchmark(batches, "-rA")
    assert done.returncode == 0, done.stdout + done.stderr
    records = RecordStore(the_run()).read()
    assert len(records) == 4 + 4 + 1
    assert all(record.ok for record in records)
    assert sorted(passed(done)) == sorted(_id(record) for record in records)

    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")
    assert (the_run() / "report.html").is_file()
    _, _, table = done.stdout.partition("= alexbench =")
    assert f"fingerprint {records[0].dataset['fingerprint'][:12]}" in table
    for part in ("tiny fake closed train_throughput", "images/s", "test accuracy", "p99"):
        assert part in table

    text = (the_run() / "benchmark.json").read_text("utf-8")
    assert f'"{os.uname().nodename}"' not in text
    found = json.loads(text)
    assert not {"node", "release"} & found["machine_info"].keys()
    _check_benchmarks({row["name"]: row for row in found["benchmarks"]}, records)


def test_closed_results_carry_certificates_unless_they_are_not_wanted(batches: str) -> None:
    done = benchmark(batches, "-k", "latency", frameworks="fake-certified")
    assert done.returncode == 0, done.stdout
    found = {r.case.track: r.parity["status"] for r in RecordStore(the_run()).read()}
    assert found == {"closed": "pass", "idiomatic": "not applicable"}
    done = benchmark(
        batches, "-k", "latency", "--bench-no-parity", "--bench-results", "bare",
        frameworks="fake-certified",
    )  # fmt: skip
    (folder,) = Path("bare").iterdir()
    found = {r.case.track: r.parity["status"] for r in RecordStore(folder).read()}
    assert found["closed"] == "unchecked"


def _id(record: Record) -> str:
    seed = f"-s{record.case.seed}" if record.kind == "accuracy" else ""
    return f"test_{record.kind}[tiny-{record.case.framework}-{record.case.track}{seed}]"


def _check_benchmarks(rows: dict[str, Any], records: list[Record]) -> None:
    """pytest-benchmark was shown the worker's seconds a step, and what else a reader needs."""
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


def test_k_selects_what_is_measured(batches: str) -> None:
    done = benchmark(
        batches, "-rA", "-k", "latency and tiny-fake-two and closed", frameworks="fake,fake-two"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed(done) == ["test_latency[tiny-fake-two-closed]"]
    (record,) = RecordStore(the_run()).read()
    assert (record.kind, record.case.framework, record.case.batch_size) == (
        "latency",
        "fake-two",
        1,
    )


def test_a_file_that_is_named_is_measured_once(batches: str) -> None:
    done = run_pytest(
        str(SPEED), "--benchmark-only", "--bench-profile", "tiny", "--bench-data", batches, "-rA",
        "--bench-frameworks", "fake", "-k", "latency", "--rootdir", ".",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(passed(done)) == 2
    assert len(RecordStore(the_run()).read()) == 2


def test_a_failed_case_fails_its_own_test_alone(batches: str) -> None:
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


def test_a_run_without_one_result_still_reports(batches: str) -> None:
    done = benchmark(
        batches, "-k", "closed and startup", "-W", "error", frameworks="fake-exit"
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "exited with 3" in done.stdout
    assert not (the_run() / "benchmark.json").exists()
    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")


def test_collect_only_lists_and_writes_nothing(batches: str) -> None:
    done = benchmark(batches, "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_latency[tiny-fake-closed]" in done.stdout
    assert "test_accuracy[tiny-fake-closed-s0]" in done.stdout
    assert not Path("results").exists()


def test_without_benchmark_only_nothing_is_measured(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    done = run_pytest("--pyargs", "bench", "test_other.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 5 deselected" in done.stdout
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bench-profile", "medium"), "unknown profile 'medium'; known: quick, full"),
        (("--bench-frameworks", "theano"), "unknown framework 'theano'; known: pytorch"),
        (("--bench-frameworks", "fake-missing"), "pip install 'alexbench[fake]'"),
        (("--bench-data", "nowhere"), "nowhere: no such file or folder; expected"),
        (("--bench-results", "file/below"), "cannot write to file/below/"),
    ],
)
def test_bad_input_is_a_usage_error_of_one_line(
    batches: str, arguments: tuple[str, str], message: str
) -> None:
    Path("file").write_text("")
    done = benchmark(batches, *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in done.stderr.splitlines() if line]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: ")
    assert message in errors[0]
    assert "INTERNALERROR" not in done.stdout
    assert not Path("results").exists()


def test_an_extension_that_is_not_there_is_a_usage_error(
    batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", "no_such_extension")
    done = benchmark(batches)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith("ERROR: ALEXBENCH_EXTENSIONS: cannot import")


def test_a_json_that_the_user_asked_for_goes_where_he_said(batches: str) -> None:
    done = benchmark(batches, "-k", "latency and closed", "--benchmark-json", "mine.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(Path("mine.json").read_text("utf-8"))["benchmarks"]) == 1
    assert not (the_run() / "benchmark.json").exists()


def test_offline_the_generated_set_stands_in_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/cifar.tar.gz"
        monkeypatch.setenv("ALEXBENCH_CIFAR10_URL", url)
        # Warnings are errors in this repository's own settings: this one must not be.
        done = benchmark("auto", "-k", "latency and closed", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SYNTHETIC" in done.stdout
    (record,) = RecordStore(the_run()).read()
    assert record.dataset["name"].startswith("generated")
    assert done.stdout.splitlines()[-1] == str(the_run() / "report.html")
