"""The bridge to pytest-benchmark: options, parametrisation, and worker seconds as its timings.

``pytest --benchmark-only`` collects ``bench/benchmarks/bench_*.py``. Each of their tests takes one
``task`` (a case and a kind); the worker that measures it runs once and serves all tests of its job,
and pytest-benchmark is shown the worker's own samples, never the parent's waiting time.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.analysis.gate import Gate
from bench.cli.progress import Display, label, result_line
from bench.core import extensions
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.data.sources import SyntheticDataWarning
from bench.harness.matrix import Job, Task, groups, jobs
from bench.harness.profiles import PROFILES, profile
from bench.harness.run import Run, open_run
from bench.harness.selection import Selection
from bench.training.frameworks import framework

_BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that begin with ``--bench-``; pytest-benchmark's own begin with ``--benchmark-``."""
    group = parser.getgroup("alexbench", "AlexNet in PyTorch and Keras")
    group.addoption("--bench-profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    group.addoption(
        "--bench-data", default="auto", help="auto, cifar10, generated or a path to pictures"
    )
    group.addoption("--bench-results", default="results", help="folder that holds the runs")
    group.addoption(
        "--bench-frameworks", default="", help="frameworks to measure, commas between them"
    )
    group.addoption("--bench-variants", default="", help="variants to measure, commas between them")
    group.addoption(
        "--bench-compare", metavar="RUN", help="hold the results against those of an earlier run"
    )
    group.addoption(
        "--bench-fail-if",
        metavar="slower:5%",
        help="with --bench-compare: fail where the interval says that a case is that much slower",
    )
    group.addoption(
        "--bench-no-parity",
        action="store_true",
        help="make no parity certificates: closed rows stay uncertified",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the session's run; check what was asked for before anything is collected."""
    config.addinivalue_line("markers", "measures(kind): the kind of measurement of a benchmark")
    try:
        extensions.load()
        if _benchmarking(config):
            config.pluginmanager.register(Session(config), "alexbench-session")
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def _benchmarking(config: pytest.Config) -> bool:
    return bool(config.getoption("benchmark_only", default=False))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect this package's benchmarks wherever pytest runs (``--pyargs bench`` included)."""
    # pytest itself collects a file that is named on the command line.
    if parent.session.isinitpath(file_path):
        return None
    if file_path.parent == _BENCHMARKS and file_path.match("bench_*.py"):
        module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
        return module
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per task of the benchmark's kind."""
    if "task" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("measures")
    session = metafunc.config.pluginmanager.get_plugin("alexbench-session")
    tasks = session.tasks(marker.args[0]) if marker and session else []
    metafunc.parametrize("task", tasks, ids=[_test_id(task) for task in tasks])


def _test_id(task: Task) -> str:
    """``cifar-bn-pytorch-closed``: what ``-k`` selects by, with what else tells cases apart."""
    case = task.case
    seed = f"-s{case.seed}" if kind(task.kind).trained else ""
    stage = f"-{case.defaults}" if case.defaults else ""
    return f"{case.variant}-{case.framework}-{case.track}{stage}{seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without ``--benchmark-only`` the benchmarks are no part of the tests."""
    session = config.pluginmanager.get_plugin("alexbench-session")
    if session:
        for item in items:
            session.prepare(item)
        return
    benchmarks = [item for item in items if item.get_closest_marker("measures")]
    if benchmarks:
        config.hook.pytest_deselected(items=benchmarks)
        items[:] = [item for item in items if item not in benchmarks]


class WorkerClock:
    """A timer for pytest-benchmark that shows the worker's seconds.

    ``pedantic`` reads it before and after each round; in between, the round moves it on by the
    next sample.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Worker seconds so far."""
        return self.seconds


class Session:
    """One ``--benchmark-only`` run: its jobs, its folder and the records so far."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._clock = WorkerClock()
        self._profile = profile(config.getoption("bench_profile"))
        selection = Selection(
            variants=_names(config.getoption("bench_variants")),
            frameworks=_names(config.getoption("bench_frameworks")),
        )
        self._jobs = jobs(selection, self._profile)
        self._groups = groups(self._jobs)
        # Read first: a wrong path is told before an hour of measuring, not after it.
        self._gate = Gate.of(config.getoption("bench_compare"), config.getoption("bench_fail_if"))
        self._run: Run | None = None
        self._wanted: set[tuple[str, str]] = set()
        self._records: dict[tuple[str, str], Record] = {}

    def tasks(self, kind: str) -> list[Task]:
        """All tasks of a kind, in the order of measuring."""
        return [task for job in self._jobs for task in job.tasks if task.kind == kind]

    def prepare(self, item: pytest.Item) -> None:
        """Note that an item was selected, and give pytest-benchmark its group and its clock."""
        task = _task_of(item)
        if task is None:
            return
        case = task.case
        group = f"{task.kind}: {case.variant}, {case.track}, batch {case.batch_size}"
        item.add_marker(pytest.mark.benchmark(group=group, timer=self._clock))

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what ``-k`` left; make the run's folder before anything is measured."""
        tasks = [task for item in session.items if (task := _task_of(item))]
        self._wanted = {task.key for task in tasks}
        if not tasks or self._config.getoption("collectonly"):
            return
        results = Path(self._config.getoption("bench_results"))
        try:
            data = self._config.getoption("bench_data")
            with warnings.catch_warnings():
                # Loud, but a stand-in for the data stops no run, even where warnings are errors.
                warnings.simplefilter("always", SyntheticDataWarning)
                self._run, _ = open_run(results, None, False, self._profile, data)
        except UserError as error:
            raise pytest.UsageError(str(error)) from None

    def _want_json(self) -> None:
        """Have pytest-benchmark write its JSON beside the records, unless told where else.

        Asked for with the first result: it warns when it is to write and there is none.
        """
        assert self._run is not None
        session = self._config._benchmarksession  # type: ignore[attr-defined]
        if not session.json:
            session.json = str(self._run.folder / "benchmark.json")

    def record(self, task: Task) -> Record:
        """The record of a task; all that is measured together is, when the first is asked for."""
        if task.key not in self._records:
            group = next(m for m in self._groups if any(task in job.tasks for job in m))
            self._measure(group)
        return self._records[task.key]

    def _measure(self, match: Sequence[Job]) -> None:
        assert self._run is not None
        wanted = [
            replace(job, tasks=tuple(task for task in job.tasks if task.key in self._wanted))
            for job in match
        ]
        wanted = [job for job in wanted if job.tasks]
        # pytest captures stderr; its terminal is where a person looks.
        with (
            self._terminal() as console,
            Display(sum(len(job.tasks) for job in wanted), console, lines=False) as display,
        ):
            # All at once, with the first job: no certificate is made between two measurements.
            self._run.certify(self._cases(), display)
            for record in self._run.execute(wanted, display):
                self._records[record.key] = record

    def _cases(self) -> list[Case]:
        """What ``-k`` left, unless certificates are not wanted."""
        if self._config.getoption("bench_no_parity"):
            return []
        return [job.case for job in self._jobs if any(t.key in self._wanted for t in job.tasks)]

    def _terminal(self) -> _Terminal:
        return _Terminal(self._config)

    def show(self, benchmark: Any, record: Record) -> None:
        """Hand a record's samples to pytest-benchmark, one round each.

        Of a block it is shown the seconds of one step: frameworks side by side in its table may
        have blocks of different lengths.
        """
        seconds = record.samples if record.unit == "s" else (record.metrics["train_seconds"],)
        steps = int(record.metrics.get("steps_per_sample", 1))
        readings = iter([block / steps for block in seconds for _ in range(steps)])
        self._want_json()

        def advance() -> None:
            # It calls once more behind the last round of several iterations, for the result.
            self._clock.seconds += next(readings, 0.0)

        benchmark.extra_info.update(_extra(record))
        benchmark.pedantic(advance, rounds=len(seconds), iterations=steps)

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """What is published names no machine and no provider's kernel."""
        for private in ("node", "release"):
            machine_info.pop(private, None)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run that is slower than the gate allows fails, whatever its tests said."""
        broken = self._gate and self._gate.broken(self._records.values())
        if broken and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Our own table: pytest-benchmark's columns cannot hold images/s and accuracy."""
        if not self._records or self._run is None:
            return
        data = self._run.dataset
        terminalreporter.section("alexbench")
        terminalreporter.write_line(f"data: {data.name}, fingerprint {data.fingerprint[:12]}")
        for record in self._records.values():
            task = Task(record.case, record.kind)
            terminalreporter.write_line(f"{label(task):<58} {result_line(record)}")
        if self._gate:
            terminalreporter.section(f"against {self._config.getoption('bench_compare')}")
            terminalreporter.write_line(self._gate.as_text(self._records.values()))
            for line in self._gate.broken(self._records.values()):
                terminalreporter.write_line(f"FAILED {line}", red=True)

    def pytest_unconfigure(self) -> None:
        """Write the report; its path is the last line printed."""
        if self._run is not None and self._run.store.path.exists():
            # Here: the plots take seconds to import, and every pytest run imports this module.
            from bench.report.html import write_results  # noqa: PLC0415

            print(write_results(self._run.store.read(), self._run.folder))


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


class _Terminal:
    """A console on the real terminal while pytest captures the standard streams."""

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")

    def __enter__(self) -> Console:
        if self._capture:
            self._capture.suspend_global_capture(in_=False)
        return Console(file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._capture:
            self._capture.resume_global_capture()


def _task_of(item: pytest.Item) -> Task | None:
    callspec = getattr(item, "callspec", None)
    task = callspec.params.get("task") if callspec else None
    return task if isinstance(task, Task) else None


def _extra(record: Record) -> dict[str, Any]:
    """What pytest-benchmark's JSON carries beside its seconds."""
    return {
        "case": record.case.to_json(),
        "kind": record.kind,
        **record.summary,
        "images_per_sample": record.images_per_sample,
        "peak_memory_bytes": record.peak_memory_bytes,
        "dataset": record.dataset,
        "framework_versions": framework(record.case.framework).versions(),
    }


@pytest.fixture
def measured(task: Task, benchmark: Any, request: pytest.FixtureRequest) -> Record:
    """The record of a task, shown to pytest-benchmark; a case that failed fails its test."""
    session = request.config.pluginmanager.get_plugin("alexbench-session")
    assert isinstance(session, Session)
    record = session.record(task)
    if not record.ok:
        benchmark.skipped = True  # else pytest-benchmark adds that nobody used it
        pytest.fail(f"{record.status}: {record.error}", pytrace=False)
    session.show(benchmark, record)
    return record
