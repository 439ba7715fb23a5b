"""The command line: exit codes, and the one line on stderr that goes with a 2."""

import json
import os
import re
import socket
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.cli import measuring
from bench.cli.commands import doctor
from bench.cli.main import COMMANDS, main
from bench.core import extensions
from bench.core.case import Case
from bench.core.records import Record, RecordStore
from bench.harness.ceilings import Found
from bench.harness.run import Run
from bench.training import frameworks
from tests.support import fakes, planted_machine


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets another one
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command in this process, where the fakes are installed already; its exit code."""
    monkeypatch.setattr(extensions, "load", lambda: None)
    monkeypatch.setattr(sys, "argv", ["alexbench", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def alexbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as the user has it."""
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


RUN = ("run", "--profile", "tiny")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--variants", "alexnet"), "unknown variant 'alexnet'; known: cifar-bn"),
        (("run", "--frameworks", "theano"), "unknown framework 'theano'; known: pytorch"),
        (("run", "--frameworks", "fake-missing"), "pip install 'alexbench[fake]'"),
        (("run", "--kinds", "speed"), "unknown kind 'speed'; known: startup"),
        (("run", "--tracks", "open"), "unknown track 'open'; known: closed"),
        (("run", "--heads", "big"), "unknown head 'big'; known: source"),
        (
            ("run", "--recipes", "long"),
            "unknown recipe 'long' (did you mean transfer-long?); known",
        ),
        (("run", "--inits", "random"), "unknown init 'random'; known: scratch"),
        (("run", "--precisions", "int8"), "unknown precision 'int8'; known: float32"),
        (("run", "--profile", "medium"), "unknown profile 'medium'; known: quick, full"),
        (("run", "--batch-sizes", "8,x"), "'8,x' is not a list of whole numbers"),
        (("run", "--batch-sizes", "0"), "at least 1"),
        (("run", "--seeds", "0"), "--seeds 0: must be at least 1"),
        (("run", "--seeds", "100000000"), "at most 100,000; it is the number of seeds"),
        (("run", "--seeds", "many"), "'many' is not a valid integer"),
        (("run", "--budget", "2"), "must be above 0 and at most 1"),
        (("run", "--qqq"), "No such option '--qqq'. See"),
        (("run", "--threads", "9999"), "9999 threads: this process may use"),
        (("run", "--threads", "0"), "not in the range"),
        (("run", "--keep-env", "OMP_NUM_THREADS"), "give --threads N"),
        (("run", "--keep-env", "NO_SUCH_NAME"), "no such variable"),
        ((*RUN, "--exclusive"), "--exclusive: for accelerators, and the device is cpu"),
        ((*RUN, "--data", "nowhere"), "nowhere: no such file or folder; expected"),
        ((*RUN, "--data", "damaged.tar.gz"), "damaged.tar.gz"),
        ((*RUN, "--data", "empty"), "empty: no dataset in this folder; expected"),
        ((*RUN, "--resume", "--data", "generated"), "no run to resume in results"),
        (
            (*RUN, "--resume", "damaged.tar.gz"),
            "damaged.tar.gz: a file; give the folder of the run",
        ),
        ((*RUN, "--resume", "--run", "x", "--data", "generated"), "no run 'x' to resume"),
        ((*RUN, "--data", "generated", "--run", "br4\udce9"), "not UTF-8"),
        ((*RUN, "--data", "generated", "--run", "~/x"), "a shell would take it"),
        ((*RUN, "--data", "generated", "--run", "a/../../b"), "not the name of a folder below"),
        ((*RUN, "--data", "generated", "--run", "/b"), "not the name of a folder below"),
        ((*RUN, "--data", "generated", "--run", "a\nb"), "not the name of a folder below"),
        ((*RUN, "--run", ""), "'--run': an empty text; give a value, or leave it out"),
        ((*RUN, "--results", " "), "'--results': an empty text"),
        ((*RUN, "--resume", ""), "'--resume': an empty text"),
        ((*RUN, "--variants", ""), "'--variants': an empty text"),
        ((*RUN, "--variants", ","), "',' has no name in it"),
        ((*RUN, "--batch-sizes", "9" * 30), "must all be at least 1 and at most 1,000,000"),
        (("report",), "Missing argument"),
        (
            ("report", "--readme", "damaged.tar.gz", "-o", "there"),
            "-o needs a RUN, like results/<run>",
        ),
        (("report", "--readme", "damaged.tar.gz", "--summary", "s"), "--summary needs a RUN"),
        ((*RUN, "--data", "generated", "--resize", "64"), "--data generated has 32 pixels"),
        (("report", "x", "-o", ""), "'-o' / '--output': an empty text"),
        (("audit", ""), "'RUN...': an empty text; give a value (is a variable unset?)"),
        (("export", "x", "--to", "csv", "--case", ""), "'--case': an empty text"),
        (("report", "--readme", "nope.md"), "File 'nope.md' does not exist"),
        (("report", "--readme", "empty"), "File 'empty' is a directory"),
        (("doctor", "--device", "bogus"), "auto, cpu, cuda, mps, xpu, cuda:N, xpu:N"),
        (("calibrate", "--simulations", "0", "-o", "there"), "nothing to do"),
        (("calibrate", "-o", "damaged.tar.gz/there"), "give another folder with -o"),
        (("report", "nowhere"), "no records.jsonl in nowhere; give the folder of a run"),
        (("report", "nowhere"), "like results/<run> (not there: nowhere)"),
        (("compare", "nowhere", "nowhere"), "no records.jsonl in nowhere"),
        (("compare", "nowhere"), "no records.jsonl in nowhere"),
        (("compare",), "Missing argument"),
        (("compare", "nowhere", "nowhere", "--fail-if", "5%"), "must look like slower:5%"),
        (("history", "nowhere"), "no records.jsonl in nowhere"),
        (("export", "nowhere", "--to", "csv"), "no records.jsonl in nowhere"),
        (("fetch", "imagenet"), "'imagenet' is not"),
        (("calibrate", "--runs", "-1", "-o", "there"), "not in the range"),
        (("calibrate", "-o", "damaged.tar.gz"), "'damaged.tar.gz' is a file"),
        (("audit", "/dev/null"), "(no folder: /dev/null)"),
        (
            ("annotate", "/dev/null", "--all", "--on", "all", "--why", "x"),
            "no records.jsonl in /dev/null; give the folder of a run",
        ),
        (("report", "loop"), "ymlink"),
        (("audit", "n" * 300), "File name too long"),
        (("unheard-of",), "No such command 'unheard-of'. See "),
        (("reprot",), "No such command 'reprot'. Did you mean 'report'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "damaged.tar.gz").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    assert call(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("alexbench: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert not (tmp_path / "results").exists()


def test_a_path_of_no_data_is_refused_before_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.cli.resuming.provide", lambda *_: pytest.fail("weights were asked"))
    assert call(monkeypatch, *RUN, "--data", "nowhere") == 2


def test_results_that_cannot_be_written_are_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: str
) -> None:
    Path("file").write_text("")
    assert call(monkeypatch, *RUN, "--data", batches, "--results", "file/below") == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("alexbench: cannot write to file/below/")
    assert shown.err.count("\n") == 1
    assert "--results" in shown.err


def test_a_system_that_binds_no_process_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: str
) -> None:
    for name in ("sched_getaffinity", "sched_setaffinity"):  # as on macOS
        monkeypatch.delattr(os, name)
    assert call(monkeypatch, *RUN, "--data", batches) == 2
    shown = capsys.readouterr()
    assert "measuring needs Linux" in shown.err
    assert shown.err.count("\n") == 1
    assert not Path("results").exists()


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_damaged_record_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    Path("run").mkdir()
    Path("run", "records.jsonl").write_text('{"schema_version": 99}\n')
    assert call(monkeypatch, command, *["run"] * (2 if command == "compare" else 1)) == 2
    assert "run/records.jsonl:1: schema_version 99" in capsys.readouterr().err


def test_no_arguments_show_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch) == 2
    shown = capsys.readouterr()
    assert "Commands:" in shown.out + shown.err


def test_help_is_light_and_describes_every_command_whole() -> None:
    script = (
        "import sys\n"
        "from bench.cli.main import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert not {"pandas", "matplotlib", "scipy"} & set(done.stderr.split())
    _, _, commands = done.stdout.partition("Commands:\n")
    rows = dict(line.split(maxsplit=1) for line in commands.splitlines())
    assert tuple(rows) == COMMANDS
    assert all(text.endswith(".") and "..." not in text for text in rows.values())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "-h"), ("list",)])
def test_help_version_and_list_end_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert call(monkeypatch, *arguments) == 0
    shown = capsys.readouterr()
    assert shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("encoding", "arrow"),
    [
        ("ascii", "→".encode()),  # click takes it for a locale that was never set, and writes UTF-8
        ("latin-1", b"\\u2192"),
    ],
)
def test_what_the_output_cannot_encode_is_escaped(
    tmp_path: Path, encoding: str, arrow: bytes
) -> None:
    """A locale that is not UTF-8, and the name of a file that is no text."""
    command = [sys.executable, "-m", "bench", "list"]
    given = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, check=False, env=given)
    assert done.returncode == 0, done.stderr
    assert b"cifar-bn" in done.stdout
    assert b"4096" + arrow + b"1024" in done.stdout
    given = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"}
    command = [*command[:3], "report", str(tmp_path / "\udcff")]
    done = subprocess.run(command, capture_output=True, check=False, env=given)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_list_has_what_can_run_and_why_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)["frameworks"]
    rows = {row["name"]: row for row in found}
    assert rows["fake"]["available"] is True
    assert rows["fake"]["reason"] is None
    assert rows["fake"]["versions"].startswith("numpy ")
    promised = {name: rows[name]["repeatable"] for name in ("pytorch", "keras-jax", "fake")}
    assert promised == {"pytorch": True, "keras-jax": False, "fake": False}
    assert rows["fake-missing"]["available"] is False
    assert "no_such_module not installed" in rows["fake-missing"]["reason"]


def test_list_shows_the_extra_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "list") == 0
    shown = capsys.readouterr().out
    assert "pip install 'alexbench[" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) < 80


def test_python_m_bench_lists_the_networks_and_frameworks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALEXBENCH_EXTENSIONS")
    done = alexbench("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    sizes = {row["name"]: row["parameters"] for row in found["variants"]}
    assert sizes["cifar-bn"] == 25_709_350
    assert sizes["torchvision"] == 61_100_840
    assert all(row["source"] for row in found["variants"])
    names = [row["name"] for row in found["frameworks"]]
    assert names == ["pytorch", "keras-tensorflow", "keras-jax", "keras-torch"]


@pytest.mark.parametrize("name", ["no_such_extension", "./plug.py", "/plug.py", " , nothing."])
def test_an_extension_that_is_not_there_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", name)
    done = alexbench("list")
    assert done.returncode == 2
    assert done.stderr.startswith("alexbench: ALEXBENCH_EXTENSIONS: cannot import")
    assert done.stderr.count("\n") == 1


def test_fetch_without_a_network_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/cifar.tar.gz"
        monkeypatch.setenv("ALEXBENCH_CIFAR10_URL", url)
        assert call(monkeypatch, "fetch", "cifar10") == 2
    shown = capsys.readouterr().err.strip().splitlines()
    assert shown[-1].startswith(f"alexbench: {url}: cannot be downloaded")
    assert "$ALEXBENCH_DATA" in shown[-1]


@pytest.mark.slow
def test_a_run_prints_its_report_last_and_can_be_reported_and_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: str
) -> None:
    done = alexbench(*RUN, "--data", batches, "--run", "one", "--frameworks", "fake,fake-two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "results/one/report.html"
    assert "fake closed train_throughput" in done.stderr
    folder = Path("results", "one")
    records = RecordStore(folder).read()
    assert len(records) == 2 * (4 + 4 + 1)
    assert all(record.ok for record in records)
    assert (folder / "report.html").stat().st_size > 1000
    assert list((folder / "tables").iterdir())
    assert list((folder / "plots").iterdir())

    monkeypatch.setattr("bench.report.plots.TABLES", ())  # they are drawn above
    assert call(monkeypatch, "report", str(folder), "-o", "elsewhere") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(Path("elsewhere", "report.html"))
    assert Path("elsewhere", "report.html").is_file()

    for record in records:
        RecordStore(Path("later")).append(replace(record, started_at="2099-01-01T00:00:00+00:00"))
    assert call(monkeypatch, "compare", str(folder), "later", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == [row.to_json() for row in bench.compare(folder, "later")]
    assert {row["verdict"] for row in rows} == {"inconclusive"}  # one process each
    assert call(monkeypatch, "compare", str(folder), "later") == 0
    assert capsys.readouterr().out

    with Path("later", "records.jsonl").open("a", encoding="utf-8") as file:
        file.write("{")
    assert call(monkeypatch, "report", "later") == 0
    said = "later/records.jsonl: the last line is cut"
    assert said in capsys.readouterr().err
    assert said in Path("later", "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_run_names_the_weights_that_it_has_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: str
) -> None:
    chosen = ("--frameworks", "fake", "--tracks", "closed", "--kinds", "accuracy", "--save-weights")
    run = (*RUN, "--data", batches, "--run", "one", "--no-parity", *chosen)
    assert call(monkeypatch, *run) == 0
    *above, report = capsys.readouterr().out.splitlines()
    assert report == "results/one/report.html"
    (record,) = RecordStore(Path("results", "one")).read()
    (path,) = Path("results", "one", "weights").glob("*.safetensors")
    assert above == [f"{path} ({100 * record.metrics['test_accuracy']:.2f} % test accuracy)"]


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        (("--save-weights",), True),
        ((), False),
        (("--recipes", "short"), True),
        (("--recipes", "short", "--no-save-weights"), False),
    ],
)
def test_weights_of_named_recipes_are_saved_unless_the_options_say_otherwise(
    monkeypatch: pytest.MonkeyPatch, batches: str, options: tuple[str, ...], saved: bool
) -> None:
    asked: list[bool] = []

    def measured(run: Run, *_: Any, **__: Any) -> int:
        asked.append(run.save_weights)
        return 0

    monkeypatch.setattr(measuring, "measure_and_report", measured)
    chosen = ("--frameworks", "fake", "--tracks", "closed", "--kinds", "accuracy", *options)
    assert call(monkeypatch, *RUN, "--data", batches, "--no-parity", *chosen) == 0
    assert asked == [saved]


@pytest.mark.usefixtures("undrawn")
def test_one_failed_case_is_exit_code_1_and_the_rest_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: str
) -> None:
    chosen = ("--frameworks", "fake-killed,fake-unbuildable,fake", "--kinds", "startup,latency")
    run = (*RUN, "--data", batches, "--run", "one", "--tracks", "closed", *chosen)
    assert call(monkeypatch, *run) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == "results/one/report.html"
    assert "failed: worker killed by SIGKILL" in shown.err
    assert "failed: ValueError: cannot be built" in shown.err
    assert "Traceback" not in shown.err
    found = [record.status for record in RecordStore(Path("results", "one")).read()]
    assert found == ["failed", "ok", "failed", "failed", "ok", "ok"]


def test_a_notebooks_backend_costs_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    RecordStore(Path("run")).append(Record(Case("tiny", "fake"), "latency", "failed", error="why"))
    monkeypatch.setenv("MPLBACKEND", "module://no_such_module.backend_inline")
    done = alexbench("report", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("run", "report.html").is_file()


def test_a_home_that_is_not_there_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batches: str
) -> None:
    assert call(monkeypatch, *RUN, "--data", batches, "--results", "~nosuchuser/x") == 2
    assert call(monkeypatch, *RUN, "--data", "~nosuchuser/x") == 2
    monkeypatch.setenv("ALEXBENCH_CACHE", "~nosuchuser/x")
    assert call(monkeypatch, *RUN, "--data", batches) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("~nosuchuser/x: no such home folder" in line for line in lines)
    assert not list(Path().glob("~*"))


def test_a_readme_without_a_results_block_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordStore(Path("run")).append(Record(Case("tiny", "fake"), "latency", "failed", error="why"))
    Path("README.md").write_text("no block here\n")
    code = call(monkeypatch, "report", "run", "--readme", "README.md")
    assert code == 2
    assert "README.md" in capsys.readouterr().err


def test_doctor_reports_what_runs_and_why_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("pytorch", "fake", "fake-missing", "fake-killed")
    rows = {name: frameworks.FRAMEWORKS[name] for name in names}
    monkeypatch.setattr(doctor, "FRAMEWORKS", rows)
    monkeypatch.setattr(
        doctor, "_PROBE", Case(variant="tiny", framework="", batch_size=2), raising=True
    )
    del rows["pytorch"]
    monkeypatch.setattr(doctor, "_machine", lambda: {"cores": os.cpu_count()})
    found = doctor.diagnose()["frameworks"]
    assert found["fake"]["available"] is True
    assert found["fake"]["settings"]["threads"] == len(os.sched_getaffinity(0))
    assert found["fake"]["repeatability"] == "not promised"
    assert "recipe" not in found["fake"]["settings"]
    assert found["fake-missing"]["available"] is False
    assert "pip install" in found["fake-missing"]["reason"]
    assert found["fake-killed"]["available"] is False
    assert "SIGKILL" in found["fake-killed"]["reason"]
    rows.pop("fake-killed")
    rows.pop("fake")
    assert call(monkeypatch, "doctor") == 0
    assert "no_such_module" in capsys.readouterr().out


def test_doctor_names_what_a_container_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    limits = {"cpu.max": "100000 100000\n", "memory.max": f"{1 << 30}\n"}
    files = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    planted_machine.root(monkeypatch, tmp_path / "root", {"proc/self/cgroup": "0::/\n"} | files)
    found = doctor._machine()
    assert (found["cores"], found["cpu_quota"], found["threads"]) == (2, 1.0, 1)
    assert found["memory_limit_bytes"] == 1 << 30
    assert "others" in found["state"]


def test_threads_and_kept_variables_are_in_the_records(batches: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "run", "--profile", "tiny", "--data", batches),
            *("--frameworks", "fake", "--kinds", "latency", "--tracks", "closed", "--no-parity"),
            *("--results", str(tmp_path), "--run", "one"),
            *("--threads", "1", "--keep-env", "OMP_PROC_BIND"),
        ],
        env={
            **os.environ,
            **fakes.environment(tmp_path / "cache", fakes.UNDRAWN),
            "OMP_PROC_BIND": "close",
            "OMP_NUM_THREADS": "7",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (record,) = RecordStore(tmp_path / "one").read()
    assert record.settings["threads"] == 1
    assert record.settings["cpu_affinity"] == sorted(os.sched_getaffinity(0))[:1]
    assert record.settings["kept_environment"] == ["OMP_PROC_BIND=close"]
    assert record.environment["cores"] == 1
    assert record.environment["machine_state"].keys() >= {"before", "others", "load"}
    assert re.search("The machine was quiet|DISTURBED|although no measurement", done.stderr)


def _peak(name: str, *, fresh: bool, device: str) -> Found:
    assert device == "cpu"
    pace = {"operation": "matmul", "shape": "given", "precision": "float32"}
    answer = {**pace, "flops_per_second": 123e9}
    return Found(name, (answer,), "2025-01-02T03:04:05+00:00", cached=not fresh)


@pytest.fixture
def quick_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"fake-missing": frameworks.FRAMEWORKS["fake-missing"]}
    monkeypatch.setattr(doctor, "FRAMEWORKS", rows)
    monkeypatch.setattr(doctor, "_machine", lambda: {"cores": os.cpu_count()})
    monkeypatch.setattr(doctor, "obtain", _peak)


@pytest.mark.usefixtures("quick_doctor")
@pytest.mark.parametrize(("flags", "when"), [((), "cached; --fresh"), (("--fresh",), "now")])
def test_doctor_shows_the_peaks_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    when: str,
) -> None:
    assert call(monkeypatch, "doctor", *flags) == 0
    text = capsys.readouterr().out
    assert "matrix product 123 GFLOP/s (given); no convolution" in text
    assert f"fake-missing: of 2025-01-02T03:04:05+00:00 ({'measured ' * (when == 'now')}" in text
    assert when in text


@pytest.mark.usefixtures("quick_doctor")
def test_doctor_gives_ceilings_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)["ceilings"]
    assert found["best"]["float32"]["framework"] == "fake-missing"
    assert found["frameworks"]["fake-missing"]["cached"] is True


@pytest.mark.usefixtures("quick_doctor")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_doctor_without_ceilings_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    assert call(monkeypatch, "doctor", "--no-ceilings", *flags) == 0
    assert "ceilings" not in capsys.readouterr().out
