"""A run that a signal stops: its report, its exit code, and how it goes on without its options."""

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cli.measuring import how_to_go_on
from bench.core.records import RecordStore
from bench.core.run_paths import RUN_FILE
from bench.harness.resumption.run_settings import RunSettings
from tests.support import fakes
from tests.support.synthetic_records.synthetic import make_failure, make_record

RUN = Path("results", "stopped")
CHOSEN = (
    "--profile", "tiny", "--frameworks", "fake-slow,fake", "--tracks", "closed",
    "--kinds", "startup,accuracy",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache", fakes.UNDRAWN)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def stopped(command: list[str], which: signal.Signals, pattern: str) -> tuple[int, str, str]:
    """The command, sent the signal as soon as there is a record."""
    process = start(command)
    ends = time.monotonic() + 120
    while not list(Path().glob(pattern)) and time.monotonic() < ends:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(which)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def alexbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_stopped_run_reports_and_goes_on_without_its_options() -> None:
    data = str(fakes.write_batches(Path("data").absolute() / "small", fakes.images()))
    command = [sys.executable, "-m", "bench", "run", *CHOSEN, "--data", data, "--run", "stopped"]
    code, out, err = stopped(command, signal.SIGTERM, f"{RUN}/records.jsonl")
    assert code == 143, err
    assert out.splitlines() == [f"{RUN}/report.html"]
    assert (RUN / "report.html").is_file()
    assert list(Path("temporary").iterdir()) == []
    there = len(RecordStore(RUN).read())
    assert 1 <= there < 4
    lines = err.splitlines()
    assert "alexbench: SIGTERM: stopping; a second signal ends at once" in lines
    assert sum(line.startswith("Who trains faster here? Not measured") for line in lines) == 1
    assert re.fullmatch(
        f"alexbench: stopped by SIGTERM; {there} of 4 measurements are there"
        f"(, and of the others [^;]+)?; go on with: python -m bench run --resume {RUN}",
        lines[-1],
    )

    refused = alexbench("--resume", str(RUN), "--budget", "0.5")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "stopped was begun with --budget 1.0, now 0.5; " in refused.stderr

    done = alexbench("--resume", str(RUN))
    assert done.returncode == 0, done.stderr
    records = RecordStore(RUN).read()
    assert sorted((r.case.framework, r.kind) for r in records) == [
        (name, kind) for name in ("fake", "fake-slow") for kind in ("accuracy", "startup")
    ]
    assert all(record.ok and not record.caveats for record in records)
    begun = RunSettings.read(RUN)
    assert begun
    assert sorted(map(tuple, begun.tasks or ())) == sorted(record.key for record in records)
    assert not begun.chosen
    assert not list(RUN.glob(".lock"))


def test_the_command_to_go_on_with_is_the_one_that_selects_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run with other measurements, and one that failed: neither is one of those asked for."""
    store = RecordStore(tmp_path / "night")
    done, failed = make_record(), make_failure("latency", framework="keras-jax")
    store.append(done, failed, make_record(kind="startup"))
    given = {"store": store, "folder": store.folder, "caveats": ()}
    wanted = {done.key, failed.key}
    said = how_to_go_on(SimpleNamespace(**given), wanted)  # type: ignore[arg-type]
    assert said.startswith("1 of 2 measurements are there; go on with: ")
    assert said.endswith(f" run --resume {store.folder}")
    typed = ["alexbench", "run", "--resume", "night", "--anyway", "--kinds", "latency"]
    monkeypatch.setattr(sys, "argv", typed)
    given["caveats"] = ({"on": "all", "why": "other options"},)
    said = how_to_go_on(SimpleNamespace(**given), wanted)  # type: ignore[arg-type]
    assert said.endswith("go on with: alexbench run --resume night --anyway --kinds latency")
    assert how_to_go_on(SimpleNamespace(**given), {done.key}) == "1 of 1 measurement is there"  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("log", ["2>&1 | (sleep 1)", "> /dev/full 2>&1", ">&- 2>&-"])
def test_a_run_outlasts_its_log(log: str) -> None:
    data = str(fakes.write_batches(Path("data").absolute() / "small", fakes.images()))
    options = [*CHOSEN[:3], "fake", *CHOSEN[4:], "--data", data, "--run", "stopped"]
    command = shlex.join([sys.executable, "-m", "bench", "run", *options])
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command} {log}"], check=False)
    assert done.returncode == 0
    assert len(RecordStore(RUN).read()) == 2
    assert (RUN / "report.html").is_file()


@pytest.mark.slow
def test_a_stopped_pytest_session_reports_and_says_how_to_go_on() -> None:
    data = str(fakes.write_batches(Path("data").absolute() / "small", fakes.images()))
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "bench.plugin", "--pyargs",
        "bench", "--benchmark-only", "--bench-profile", "tiny", "--bench-data", data,
        "--bench-frameworks", "fake-slow", "-k", "closed and (latency or accuracy)",
        "--bench-no-parity",
    ]  # fmt: skip
    code, out, err = stopped(command, signal.SIGINT, "results/*/records.jsonl")
    (run,) = Path("results").iterdir()
    assert code == 130, out + err
    assert "INTERNALERROR" not in out + err
    assert out.splitlines()[-1] == str(run / "report.html")
    assert "stopped by SIGINT; 1 of 2 measurements are there" in err
    assert "; go on with: alexbench run" in err
    assert list(Path("temporary").iterdir()) == []
    done = alexbench("--resume", str(run))
    assert done.returncode == 0, done.stderr
    assert {r.kind for r in RecordStore(run).read()} == {"latency", "accuracy"}
    assert (run / RUN_FILE).exists()


def stopped_in_an_import(
    of: str, script: str, which: signal.Signals, *arguments: str
) -> tuple[int, str]:
    """Exit code and stderr of a script, sent the signal while it imports a module."""
    slow = (
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {of!r}:\n"
        "            print('importing', flush=True)\n"
        "            while True: time.sleep(0.01)\n"
        "sys.meta_path.insert(0, Slow())\n"
    )
    process = start([sys.executable, "-c", slow + script, *arguments])
    assert process.stdout
    assert process.stdout.readline() == "importing\n"
    process.send_signal(which)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, err


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_imports_is_one_line(which: signal.Signals) -> None:
    script = "import bench.__main__ as entry; entry.main()"
    found = stopped_in_an_import("bench.cli.main", script, which)
    assert found == (128 + which, f"alexbench: stopped by {which.name}\n")


def test_so_it_is_in_those_of_pytest() -> None:
    script = "import bench.plugin"
    found = stopped_in_an_import("pytest", script, signal.SIGINT, "--benchmark-only")
    assert found == (130, "alexbench: stopped by SIGINT\n")
    code, err = stopped_in_an_import("pytest", script, signal.SIGINT)
    assert (code, err.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt"), "pytest's own"


@pytest.mark.slow
def test_a_signal_while_pytest_collects_is_said() -> None:
    script = "import time\nopen('collecting', 'w')\nfor _ in range(9999): time.sleep(0.01)\n"
    Path("test_slow.py").write_text(script)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "bench.plugin"]
    options = ["--benchmark-only", "--bench-frameworks", "fake", "test_slow.py"]
    code, _, err = stopped([*command, *options], signal.SIGTERM, "collecting")
    assert code == 143
    assert "alexbench: SIGTERM: stopping; a second signal ends at once\n" in err
