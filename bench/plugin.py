"""The pytest plugin: options, one test per case and kind, worker seconds in pytest-benchmark.

``pytest -p bench.plugin --pyargs bench --benchmark-only`` collects ``bench/benchmarks/bench_*.py``.
Each of their tests takes one ``task`` (a case and a kind). A worker measures all tasks of its job
in one go, and pytest-benchmark receives the worker's samples, never the parent's waiting time.

Nothing is registered as a pytest entry point: a project that has alexbench installed and does not
name this plugin is not affected by it.
"""

from __future__ import annotations

import atexit
import sys

from bench.core import outputs, signals

if "--benchmark-only" in sys.argv:  # before the other imports, which take a second
    signals.install(own_output=True)
    atexit.register(signals.ignore)
    outputs.keep("stdout", "stderr")

import os
import shlex
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.analysis.across.entries import entries
from bench.analysis.comparison.compare import by_key
from bench.analysis.comparison.gate import FORMS, Gate
from bench.cli.options import apply_process_options, named
from bench.cli.progress import Display, label, result_line
from bench.core import extensions, terminal
from bench.core.cache import isolate_matplotlib
from bench.core.case import EXECUTION_NAMES, Case
from bench.core.errors import OutputError, UserError, notice
from bench.core.files import expanded
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.system.devices import NAMES
from bench.data.sources import SyntheticDataWarning, check_there
from bench.harness.devices import claimed, on_device
from bench.harness.interleaving.grouping import groups
from bench.harness.matrix import Job, Task, jobs
from bench.harness.pretraining import provide
from bench.harness.profiles import PROFILES, profile
from bench.harness.resumption.run_settings import Begun
from bench.harness.run import Run, open_run
from bench.harness.selection import Selection
from bench.report.across.text import as_text
from bench.training.frameworks import framework, precision_note

_BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"
_SESSION = "alexbench-session"
_TEXTS = ("frameworks", "variants", "executions", "results", "data", "compare")
"""Options whose empty text would mean all, or the current folder."""
_COLUMNS = ["min", "median", "iqr", "rounds"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that begin with ``--bench-``; pytest-benchmark's own begin with ``--benchmark-``."""
    group = parser.getgroup("alexbench", "AlexNet in PyTorch and Keras")
    group.addoption("--bench-profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    group.addoption(
        "--bench-data", default="auto", help="auto, cifar10, generated or a path to images"
    )
    group.addoption(
        "--bench-resize",
        type=int,
        metavar="PIXELS",
        help="resize images in class folders to this size",
    )
    group.addoption(
        "--bench-device",
        default="cpu",
        help=f"one of {', '.join(NAMES)}; cuda:1 is the second",
    )
    group.addoption("--bench-results", default="results", help="folder of all runs")
    group.addoption(
        "--bench-frameworks", default=None, help="frameworks to measure, separated by commas"
    )
    group.addoption(
        "--bench-variants", default=None, help="variants to measure, separated by commas"
    )
    group.addoption("--bench-executions", default=None, help=f"any of {', '.join(EXECUTION_NAMES)}")
    group.addoption(
        "--bench-compare", metavar="RUN", help="compare the results with those of an earlier run"
    )
    group.addoption(
        "--bench-fail-if",
        metavar=FORMS,
        help="with --bench-compare: fail when the whole interval of a case is that much slower, or "
        "its accuracy that much lower; or when nothing was compared",
    )
    group.addoption(
        "--bench-summary",
        metavar="FILE",
        help="write a Markdown summary: of the comparison, or of the ratios between frameworks; "
        "appended if it is the file that $GITHUB_STEP_SUMMARY names",
    )
    group.addoption(
        "--bench-threads",
        type=int,
        metavar="N",
        help="measure on N of the CPUs, with as many threads",
    )
    group.addoption(
        "--bench-keep-env",
        default="",
        metavar="A,B",
        help="environment variables that workers get, though they do not inherit them",
    )
    group.addoption(
        "--bench-no-parity",
        action="store_true",
        help="make no parity certificates: rows of the closed track stay uncertified",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the session of ``--benchmark-only``; wrong options end it before collection."""
    config.addinivalue_line("markers", "measures(kind): the kind of measurement of a benchmark")
    try:
        extensions.load()
        if config.getoption("benchmark_only", default=False):
            _check_one_process(config)
            apply_process_options(
                config.getoption("bench_threads"), named(config.getoption("bench_keep_env"))
            )
            config.pluginmanager.register(Session(config), _SESSION)
            _set_table(config)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def _check_given(config: pytest.Config) -> None:
    """Raise UserError for an option of a list or place that is given and has nothing in it."""
    for name in _TEXTS:
        value = config.getoption(f"bench_{name}")
        if value is not None and not value.strip(" ,"):
            raise UserError(f"--bench-{name}: nothing is given; leave it out, or give a value")


def _check_one_process(config: pytest.Config) -> None:
    """Raise UserError where another plugin would spread the tests, or run one again: the rest of
    its group is not measured with it."""
    reruns = getattr(config.option, "reruns", None)
    if reruns is None:
        with suppress(ValueError, KeyError):
            reruns = config.getini("reruns")
    if int(reruns or 0):
        raise UserError(
            "--benchmark-only measures a case once: leave --reruns out, or add --reruns 0 where "
            "the ini has it; alexbench run --resume RUN measures again what failed"
        )
    if getattr(config.option, "numprocesses", None):
        raise UserError(
            "--benchmark-only measures case by case: leave -n out, or add -n 0 where the ini has it"
        )


def _set_table(config: pytest.Config) -> None:
    """Have pytest-benchmark show our columns, sorted by name, unless its options say otherwise.

    pytest-benchmark reads its options in a ``pytest_configure`` that runs after all others.
    """
    variable = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    arguments = (*config.getini("addopts"), *variable, *config.invocation_params.args)
    given = {str(argument).partition("=")[0] for argument in arguments}
    if "--benchmark-columns" not in given:
        config.option.benchmark_columns = _COLUMNS
    if "--benchmark-sort" not in given:
        config.option.benchmark_sort = "name"


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
    """One test per task of the kind that a benchmark's ``measures`` marker names."""
    marker = metafunc.definition.get_closest_marker("measures")
    if marker is None:  # a test of another project may have a fixture called task
        return
    session = metafunc.config.pluginmanager.get_plugin(_SESSION)
    tasks = session.tasks(marker.args[0]) if session else []
    metafunc.parametrize("task", tasks, ids=_test_ids(tasks))


def _test_ids(tasks: Sequence[Task]) -> list[str]:
    """The ids of tasks of a kind; the start of a training is in it where two have one name."""
    ids = [_test_id(task) for task in tasks]
    often = Counter(ids)
    return [
        f"{name}-{task.case.init}" if often[name] > 1 and task.case.init != "scratch" else name
        for name, task in zip(ids, tasks, strict=True)
    ]


def _test_id(task: Task) -> str:
    """``cifar-bn-pytorch-closed``: what ``-k`` selects by. Stage and seed where a case has one."""
    case = task.case
    seed = f"-s{case.seed}" if kind(task.kind).trained else ""
    stage = f"-{case.defaults}" if case.defaults else ""
    execution = f"-{case.unusual_execution}" if case.unusual_execution else ""
    return f"{case.variant}-{case.framework}-{case.track}{stage}{execution}{seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the benchmarks in a session without ``--benchmark-only``."""
    session = config.pluginmanager.get_plugin(_SESSION)
    if session:
        for item in items:
            session.prepare(item)
        return
    benchmarks = [item for item in items if item.get_closest_marker("measures")]
    if benchmarks:
        config.hook.pytest_deselected(items=benchmarks)
        items[:] = [item for item in items if item not in benchmarks]


class WorkerClock:
    """A timer for pytest-benchmark that returns seconds measured in a worker.

    ``pedantic`` reads it before and after each round; the round itself advances it by the next
    sample.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Worker seconds so far."""
        return self.seconds


def _stopped(number: int) -> BaseException:
    """What pytest ends a session by: it still calls the hooks that write the report."""
    stopped = signals.Stopped(number)
    return pytest.exit.Exception(str(stopped), returncode=stopped.exit_code)


class Session:
    """A ``--benchmark-only`` session: its jobs, the folder of its run, and the records so far."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._open = ExitStack()
        self._clock = WorkerClock()
        _check_given(config)
        # Read first: a wrong path is an error before weights are downloaded and an hour measured.
        self._gate = Gate.of(config.getoption("bench_compare"), config.getoption("bench_fail_if"))
        if config.getoption("bench_summary") == "":
            raise UserError("--bench-summary: no name of a file; is $GITHUB_STEP_SUMMARY set?")
        check_there(config.getoption("bench_data"))
        self._profile = profile(config.getoption("bench_profile"))
        selection = Selection(
            variants=named(config.getoption("bench_variants")),
            frameworks=named(config.getoption("bench_frameworks")),
            executions=named(config.getoption("bench_executions")),
        )
        device = config.getoption("bench_device")
        selection, self._choice = on_device(selection, self._profile, device)
        self._profile = claimed(self._profile, self._choice.device, exclusive=False)
        if not config.getoption("collectonly"):
            provide(selection, self._profile)
        self._jobs = jobs(selection, self._profile)
        self._selection = selection
        self._groups = groups(self._jobs, self._profile.together)
        self._run: Run | None = None
        self._order: list[tuple[str, str]] = []
        self._wanted: set[tuple[str, str]] = set()
        self._planned = False
        self._records: dict[tuple[str, str], Record] = {}
        self._answered = False  # in the terminal

    def tasks(self, name: str) -> list[Task]:
        """All tasks of the kind called ``name``, in the order in which they are measured."""
        return [task for job in self._jobs for task in job.tasks if task.kind == name]

    def prepare(self, item: pytest.Item) -> None:
        """Give a benchmark its group in pytest-benchmark's table and the worker's clock."""
        task = _task_of(item)
        if task is None:
            return
        case = task.case
        group = f"{task.kind}: {case.variant}, {case.track}, batch {case.batch_size}"
        item.add_marker(pytest.mark.benchmark(group=group, timer=self._clock))

    def pytest_collectreport(self) -> None:
        """End where pytest has made a failed import of a signal's exception."""
        signals.check()

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the tasks that ``-k`` left; create the run's folder before anything is measured."""
        tasks = [task for item in session.items if (task := _task_of(item))]
        self._order = [task.key for task in tasks]
        self._wanted = set(self._order)
        if not tasks or self._config.getoption("collectonly"):
            return
        try:
            results = expanded(self._config.getoption("bench_results"))
            data = self._config.getoption("bench_data")
            with warnings.catch_warnings():
                # Synthetic data must not stop a run, even where warnings are errors.
                warnings.simplefilter("always", SyntheticDataWarning)
                begun = self._begun(data)
                resize = self._config.getoption("bench_resize")
                self._run, _ = open_run(
                    results, None, False, self._profile, data, begun=begun, resize=resize
                )
                self._open.enter_context(self._run)
        except OutputError as error:
            pytest.exit(str(error), returncode=error.exit_code)
        except UserError as error:
            raise pytest.UsageError(str(error)) from None

    def _begun(self, data: str) -> Begun:
        """What ``alexbench run --resume`` goes on with."""
        left_out = any(
            task.key not in self._wanted for job in self._jobs for task in job.tasks
        )  # by -k
        options = {
            **vars(self._selection),
            "exclusive": False,
            "save_weights": None,
            "profile": self._profile.name,
            "data": data,
            "resize": self._config.getoption("bench_resize"),
            "validation": False,
            "no_parity": self._config.getoption("bench_no_parity"),
            "threads": self._config.getoption("bench_threads"),
            "keep_env": named(self._config.getoption("bench_keep_env")),
        }
        return Begun(
            shlex.join(["pytest", *map(str, self._config.invocation_params.args)]),
            options,
            tuple(dict.fromkeys(case.framework for case in self._measured())),
            tuple(self._order),
            chosen=left_out,
        )

    def _want_json(self) -> None:
        """Have pytest-benchmark write its JSON next to the records, unless an option says where.

        Requested with the first result: pytest-benchmark warns when it has none to write.
        """
        assert self._run is not None
        session = self._config._benchmarksession  # type: ignore[attr-defined]
        if not session.json:
            session.json = str(self._run.folder / "benchmark.json")

    def record(self, task: Task) -> Record:
        """The record of a task; the first request measures the task's whole group."""
        if task.key not in self._records:
            group = next(g for g in self._groups if any(task in job.tasks for job in g))
            self._skip(group)
            self._measure([j for j in group if j.case.framework not in self._choice.unusable])
        return self._records[task.key]

    def _skip(self, group: Sequence[Job]) -> None:
        """Write rows without a result for frameworks that cannot use the device."""
        assert self._run is not None
        for job in group:
            if reason := self._choice.unusable.get(job.case.framework):
                tasks = tuple(task for task in job.tasks if task.key in self._wanted)
                for record in self._run.skip(replace(job, tasks=tasks), reason):
                    self._records[record.key] = record

    def _measure(self, group: Sequence[Job]) -> None:
        assert self._run is not None
        wanted = self._wanted_of(group)
        if not wanted:  # no framework of the group can use the device
            return
        # pytest captures stderr: progress goes to the terminal itself.
        with (
            self._terminal() as console,
            Display(
                sum(len(job.tasks) for job in wanted), console, lines=False, plan=self._run.plan
            ) as display,
        ):
            if not self._run.before and (busy := self._run.look_at_machine()):
                console.print(f"warning: {busy}", style="yellow", soft_wrap=True)
            if not self._planned and (note := precision_note(self._measured())):
                console.print(note, style="yellow", soft_wrap=True)
            try:
                # All with the first group: no certificate is made between two measurements.
                if not self._planned:
                    self._planned = True
                    self._run.make_plan(self._to_measure(), self._cases(), display)
                self._run.certify(self._cases(), display)
                for record in self._run.execute(wanted, display):
                    self._records[record.key] = record
            except OutputError as error:  # what is measured from now on would be lost
                pytest.exit(str(error), returncode=error.exit_code)

    def _wanted_of(self, group: Sequence[Job]) -> list[Job]:
        """A group without the tasks that ``-k`` has left out."""
        found = [
            replace(job, tasks=tuple(task for task in job.tasks if task.key in self._wanted))
            for job in group
        ]
        return [job for job in found if job.tasks]

    def _to_measure(self) -> list[list[Job]]:
        """All groups, in the order of the tests that ask for them."""
        order = {key: place for place, key in enumerate(self._order)}
        usable = (
            [j for j in self._wanted_of(group) if j.case.framework not in self._choice.unusable]
            for group in self._groups
        )
        first = [
            (min(order[task.key] for job in group for task in job.tasks), group)
            for group in usable
            if group
        ]
        return [group for _, group in sorted(first, key=lambda pair: pair[0])]

    def _cases(self) -> list[Case]:
        """The cases to certify: those that ``-k`` left, none with ``--bench-no-parity``."""
        if self._config.getoption("bench_no_parity"):
            return []
        return [c for c in self._measured() if c.framework not in self._choice.unusable]

    def _measured(self) -> list[Case]:
        """The cases that ``-k`` left."""
        return [
            job.case for job in self._jobs if any(task.key in self._wanted for task in job.tasks)
        ]

    def _terminal(self) -> _Terminal:
        return _Terminal(self._config)

    def show(self, benchmark: Any, record: Record) -> None:
        """Pass a record's samples to pytest-benchmark, one round each.

        Its unit is one step: blocks of two frameworks in one table may differ in length.
        """
        seconds = record.samples if record.unit == "s" else (record.metrics["train_seconds"],)
        steps = int(record.metrics.get("steps_per_sample", 1))
        readings = iter([block / steps for block in seconds for _ in range(steps)])
        self._want_json()

        def advance() -> None:
            # After the last round of several iterations, it calls once more for the result.
            self._clock.seconds += next(readings, 0.0)

        benchmark.extra_info.update(_extra(record))
        benchmark.pedantic(advance, rounds=len(seconds), iterations=steps)

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Remove the host's name and kernel release: ``benchmark.json`` may be published."""
        for private in ("node", "release"):
            machine_info.pop(private, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """From now on a signal ends the session, and not the process."""
        self._open.enter_context(signals.raising(_stopped))

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Leave out where the signal came: pytest fails on a frame that is on no line yet."""
        excinfo.value.__suppress_context__ = True
        excinfo.traceback = excinfo.traceback[:1]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a session whose tests passed but whose results break ``--bench-fail-if``."""
        if signals.received() is not None:
            signals.acknowledge()
        if self._config.getoption("collectonly"):
            return
        broken = self._gate and self._gate.failures(self._records.values())
        if broken and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A line per record: pytest-benchmark's columns cannot hold images/s and accuracy."""
        if not self._records or self._run is None:
            if self._gate and not self._config.getoption("collectonly"):
                for line in self._gate.failures([]):
                    terminalreporter.write_line(f"FAILED {line}", red=True)
            return
        data = self._run.dataset
        terminalreporter.section("alexbench")
        terminalreporter.write_line(f"data: {data.name}, fingerprint {data.fingerprint[:12]}")
        for record in self._records.values():
            task = Task(record.case, record.kind)
            terminalreporter.write_line(f"{label(task):<58} {result_line(record)}")
        for line in self._run.plan.outcome() if self._run.plan else []:
            terminalreporter.write_line(line)
        for line in _answers(list(self._records.values())):
            terminalreporter.write_line(line)
        self._answered = True
        if self._gate:
            terminalreporter.section(f"compared with {self._config.getoption('bench_compare')}")
            records = list(self._records.values())
            rows = self._gate.compare(records)
            earlier, later = by_key(self._gate.earlier), by_key(records)
            terminalreporter.write_line(as_text(entries(rows, earlier, later)))
            for line in self._gate.warnings(records):
                terminalreporter.write_line(f"warning: {line}", yellow=True)
            for line in self._gate.failures(records):
                terminalreporter.write_line(f"FAILED {line}", red=True)

    def _summarise(self, run: Run) -> None:
        """Write the Markdown summary that ``--bench-summary`` asks for."""
        where = self._config.getoption("bench_summary")
        if where is None or not self._records:
            return
        isolate_matplotlib()
        from bench.report.across.summary import session_summary, write_summary  # noqa: PLC0415

        write_summary(where, session_summary(run.folder, list(self._records.values()), self._gate))

    def pytest_unconfigure(self) -> None:
        """Write the report; its path is the last line printed, or how a stopped run goes on."""
        with self._open:
            if self._run is not None:
                self._report(self._run)

    def _report(self, run: Run) -> None:
        # Imported here: plots take seconds to import, and each session imports this module.
        isolate_matplotlib()
        from bench.cli.measuring import how_to_go_on, report_of  # noqa: PLC0415

        try:
            report_of(run, answered=self._answered)
            self._summarise(run)
        except pytest.exit.Exception:  # a signal that came while the report was written
            pass
        except UserError as error:
            notice(str(error))
            raise SystemExit(error.exit_code) from None
        if number := signals.received():
            stopped = signals.Stopped(number)
            stopped.advice = how_to_go_on(run, self._wanted)
            notice(str(stopped))


def _answers(records: Sequence[Record]) -> list[str]:
    """The answers of the report as lines."""
    isolate_matplotlib()
    from bench.report.first_screen.answers import lines  # noqa: PLC0415  # imports plots

    return lines(records)


class _Terminal:
    """A console on the real terminal while pytest captures the standard streams."""

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")

    def __enter__(self) -> Console:
        if self._capture:
            self._capture.suspend_global_capture(in_=False)
        return terminal.console(stderr=True)

    def __exit__(self, *_: object) -> None:
        if self._capture:
            self._capture.resume_global_capture()


def _task_of(item: pytest.Item) -> Task | None:
    callspec = getattr(item, "callspec", None)
    task = callspec.params.get("task") if callspec else None
    return task if isinstance(task, Task) else None


def _extra(record: Record) -> dict[str, Any]:
    """The ``extra_info`` of a benchmark in pytest-benchmark's JSON."""
    return {
        "case": record.case.to_json(),
        "kind": record.kind,
        **record.summary,
        "images_per_sample": record.images_per_sample,
        "peak_memory_bytes": record.peak_memory_bytes,
        "dataset": record.dataset,
        "framework_versions": framework(record.case.framework).versions(),
    }


def _properties(record: Record) -> list[tuple[str, object]]:
    """What ``--junitxml`` writes with a test: the case and its result with the interval."""
    found = {"case": record.case.id, "kind": record.kind, **record.summary}
    return [(name, value) for name, value in found.items() if value is not None]


@pytest.fixture
def measured(task: Task, benchmark: Any, request: pytest.FixtureRequest) -> Record:
    """The record of a task, passed to pytest-benchmark; a failed case fails its test."""
    session = request.config.pluginmanager.get_plugin(_SESSION)
    assert isinstance(session, Session)
    record = session.record(task)
    if record.status == "skipped":
        benchmark.skipped = True
        pytest.skip(record.error or "cannot be measured here")
    if not record.ok:
        benchmark.skipped = True  # else pytest-benchmark warns that the fixture was not used
        pytest.fail(f"{record.status}: {record.error}", pytrace=False)
    session.show(benchmark, record)
    request.node.user_properties += _properties(record)
    return record
