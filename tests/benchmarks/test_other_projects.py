"""pytest where alexbench is installed: other projects, and a checkout without the extra ``dev``."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import bench
from tests.support import fakes
from tests.support.pytest_sessions import Call, Ended, run_sessions

ROOT = Path(bench.__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
INI = SETTINGS["tool"]["pytest"]["ini_options"]
DEV_PLUGINS = ("timeout", "xdist", "xdist.looponfail", "hypothesispytest")
QUICK = ("--benchmark-max-time=0.01", "--benchmark-min-rounds=1")

OWN_TASK = """
import pytest

@pytest.fixture
def task():
    return "mine"

def test_fixture(task, benchmark):
    assert benchmark(lambda: task) == "mine"

@pytest.mark.parametrize("task", ["mine too"])
def test_parameter(task, benchmark):
    assert benchmark(lambda: task) == "mine too"
"""


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How each of these sessions ended, all of them in one process."""
    project = tmp_path_factory.mktemp("project")
    (project / "test_task.py").write_text(OWN_TASK)
    strict = [argument for line in INI["filterwarnings"] for argument in ("-W", line)]
    plugin, checkout = ("-p", "bench.plugin"), str(ROOT)
    bare = [argument for name in DEV_PLUGINS for argument in ("-p", f"no:{name}")]
    calls = {
        "task": Call((*plugin, *QUICK, "-q"), str(project)),
        "task, only benchmarks": Call(
            (*plugin, *QUICK, "-q", "--benchmark-only", "--bench-frameworks", "fake"), str(project)
        ),
        "first compare": Call((*plugin, *QUICK, *strict, "--benchmark-compare"), str(project)),
        "without dev": Call((*bare, "--collect-only", "-q", "tests/core"), checkout),
        "benchmarks with -n": Call(
            (*plugin, "--benchmark-only", "--bench-frameworks", "fake", "-n", "2"), str(project)
        ),
        "benchmarks without dev": Call(
            (*bare, "--collect-only", "-q", "--benchmark-only", "--bench-frameworks", "fake",
             "--bench-profile", "tiny"),
            checkout,
        ),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        fakes.install(patch, project / "cache")
        return dict(zip(calls, run_sessions(list(calls.values())), strict=True))


def test_the_command_is_found_next_to_a_bench_module_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text("raise AssertionError('not ours')\n")
    code = SETTINGS["project"]["scripts"]["alexbench"].partition(":")
    start = f"import sys, {code[0]}; sys.argv[0] = 'alexbench'; {code[0]}.{code[2]}()"
    done = subprocess.run(
        [sys.executable, "-c", start, "--version"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert bench.__version__ in done.stdout


def test_a_project_may_have_a_bench_module_of_its_own(tmp_path: Path) -> None:
    """Nothing of ours is loaded that the project has not named."""
    assert "entry-points" not in SETTINGS["project"]
    (tmp_path / "bench.py").write_text("MINE = True\n")
    test = "import bench\n\ndef test_mine():\n    assert bench.MINE\n"
    (tmp_path / "test_mine.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("name", ["task", "task, only benchmarks"])
def test_a_project_may_have_a_task_of_its_own(ended: dict[str, Ended], name: str) -> None:
    assert ended[name].returncode == 0, ended[name].stdout + ended[name].stderr
    assert "2 passed" in ended[name].stdout


def test_warnings_of_pytest_benchmark_are_no_errors(ended: dict[str, Ended]) -> None:
    done = ended["first compare"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PytestBenchmarkWarning" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["without dev", "benchmarks without dev"])
def test_the_settings_need_no_plugin_of_dev(ended: dict[str, Ended], name: str) -> None:
    assert "--strict-config" in INI["addopts"]
    done = ended[name]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_only_benchmarks_are_collected_with_benchmark_only(ended: dict[str, Ended]) -> None:
    lines = ended["benchmarks without dev"].stdout.splitlines()
    collected = [line for line in lines if "::" in line]
    assert collected
    assert all(line.startswith("bench/benchmarks/bench_") for line in collected)
    assert not any("skipped" in line or "deselected" in line for line in lines)


def test_benchmarks_with_several_processes_are_one_line_of_ours(ended: dict[str, Ended]) -> None:
    pytest.importorskip("xdist")
    done = ended["benchmarks with -n"]
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert "leave -n out" in line


@pytest.mark.slow
def test_xdist_disables_benchmarks_without_an_error(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_task.py").write_text(OWN_TASK)
    strict = [argument for line in INI["filterwarnings"] for argument in ("-W", line)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "bench.plugin", "-n", "1", *strict],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_test_that_hangs_is_stopped_where_pytest_timeout_is_installed(
    pytestconfig: pytest.Config,
) -> None:
    options: Any = pytestconfig.option
    if not hasattr(options, "timeout"):
        pytest.skip("pytest-timeout is not installed")
    assert options.timeout > 0
