"""Settings of the tests that pyproject.toml cannot hold."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.system.resources import usable_cpus
from bench.harness.profiles import PROFILES

TEST_TIMEOUT_SECONDS = 600
TESTS = Path(__file__).parent
FRAMEWORK_TESTS = TESTS / "frameworks"
QUICK = "not slow and not browser and not cluster and not long"
"""What a call without ``-m`` runs, unless it names files, tests or ``-k``."""
QUICKEST = f"{QUICK} and not runs"
"""The same of a call that names no folder of tests either."""
RUNS = (
    "benchmarks",
    "cli/test_calibrate.py",
    "cli/test_commands.py",
    "cli/test_measuring.py",
    "cli/test_several_runs.py",
    "cli/test_stopping.py",
    "executors",
    "harness/resumption/test_checkpoints.py",
    "harness/test_certificates.py",
    "harness/test_devices.py",
    "harness/test_disturbed.py",
    "harness/test_interleave.py",
    "harness/test_plan.py",
    "harness/test_run.py",
    "worker/test_client.py",
)
"""Below `TESTS`: whole runs of fakes, in processes of their own."""
LONG = (
    "baselines/test_tutorial.py",
    "documents",
    "library",
    "test_explain.py",
    "test_exports.py",
    "test_world.py",
)
"""Below `FRAMEWORK_TESTS`: large networks in every framework. `make check` runs them in the
frameworks of the quick profile, `make check-long` in the others."""
SMOKE = ("test_models.py",)
"""Below `FRAMEWORK_TESTS`: what `make test` runs in the frameworks that the quick profile leaves
out, of its networks the synthetic one."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The quick tests in a process for each CPU, up to four, where `xdist` is there (the extra
    ``dev``) and neither ``-n`` nor ``--pdb`` is given."""
    option = config.option
    in_one = hasattr(config, "workerinput") or getattr(option, "usepdb", False)
    if in_one or getattr(option, "numprocesses", 0) is not None or not _quick_by_default(config):
        return
    processes = min(4, len(usable_cpus()))
    if processes > 1:
        option.numprocesses, option.dist = processes, "loadscope"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The quick tests by default, and settings of plugins that the extra ``dev`` installs; none in
    a session of benchmarks.

    As ``timeout`` in pyproject.toml the limit of a test would be an unknown option without the
    extra, and a benchmark, which may train for hours, would have the same limit.
    """
    if config.getoption("benchmark_only", default=False):
        return
    if _quick_by_default(config):
        folders = {Path(argument).resolve() for argument in config.args}
        config.option.markexpr = QUICKEST if TESTS in folders else QUICK
    if getattr(config.option, "timeout", 0) is None and "PYTEST_TIMEOUT" not in os.environ:
        config.option.timeout = TEST_TIMEOUT_SECONDS
    if importlib.util.find_spec("hypothesis"):
        from hypothesis import settings  # noqa: PLC0415

        # Its limit of 200 ms per example fails on a busy machine, whatever is tested.
        settings.register_profile("alexbench", deadline=None)
        settings.load_profile("alexbench")


def _quick_by_default(config: pytest.Config) -> bool:
    """Whether a session of tests says nothing about which tests it means."""
    option = config.option
    said = option.markexpr or option.keyword or any(map(_names_a_file, config.args))
    return not (said or config.getoption("benchmark_only", default=False))


def _names_a_file(argument: str) -> bool:
    return ".py" in argument


def pytest_report_header(config: pytest.Config) -> str | None:
    """What is left out."""
    if config.option.markexpr not in (QUICK, QUICKEST):
        return None
    return f"quick tests alone ({config.option.markexpr}); all but the long ones: -m 'not long'"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests are of whole runs, and which are long or slow: those of frameworks that the quick
    profile leaves out."""
    quick = PROFILES["quick"].frameworks
    runs = {TESTS / name for name in RUNS}
    long = {FRAMEWORK_TESTS / name for name in LONG}
    for item in items:
        if runs & {item.path, *item.path.parents}:
            item.add_marker(pytest.mark.runs)
        parameters = getattr(item, "callspec", None)
        framework = parameters.params.get("framework") if parameters else None
        if FRAMEWORK_TESTS not in item.path.parents or not isinstance(framework, str):
            continue
        place = item.path.relative_to(FRAMEWORK_TESTS).parts[0]
        if framework not in quick:
            if long & {item.path, *item.path.parents}:
                item.add_marker(pytest.mark.long)
            small = str(parameters.params.get("name", "tiny")).startswith("tiny")
            if place not in SMOKE or not small:
                item.add_marker(pytest.mark.slow)


@pytest.hookimpl(optionalhook=True)  # of a plugin that the extra `dev` installs
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Which tests share a process under ``-n``, with ``--dist loadscope``."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.support.scheduling import ByGroup  # noqa: PLC0415

    return ByGroup(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect no test in a session of benchmarks."""
    return True if config.getoption("benchmark_only", default=False) else None


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the tests of one file; gone after them, where pytest's stay to the end."""
    folder = tmp_path_factory.mktemp("module")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that this process writes have no plots, which take longer than the rest of them."""
    from bench.report import plots  # noqa: PLC0415

    monkeypatch.setattr(plots, "TABLES", ())
