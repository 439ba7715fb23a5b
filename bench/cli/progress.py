"""Progress on the terminal: a bar for all measurements, one for the current case, a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Task as ProgressTask
from rich.text import Text

from bench.core import terminal
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.text import headline
from bench.harness.certificates import Certificate
from bench.harness.matrix import Task
from bench.harness.plan import TimePlan
from bench.worker.client import OnProgress


def label(task: Task) -> str:
    """The name of a task on the terminal."""
    case = task.case
    several = f" on {case.devices} devices" if case.devices > 1 else ""
    what = case.defaults or task.kind
    return f"{case.variant} {case.framework_label} {case.track}{several} {what}"


def result_line(record: Record) -> str:
    """The result of a record, or why there is none, in a few words."""
    if not record.ok:
        return f"{record.status}: {headline(record.error or 'no reason given')}"
    match record.summary:
        case {"images_per_second": rate}:
            return f"{rate:,.0f} images/s"
        case {"p50": p50, "p99": p99}:
            return f"p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms"
        case {"seconds": seconds} if kind(record.kind).startup:
            return f"{seconds:.1f} s to the end of the first step"
        case {"fraction": fraction} if kind(record.kind).trained:
            seconds = record.metrics["train_seconds"]
            return f"{100 * fraction:.2f} % test accuracy after {seconds:.0f} s of training"
        case summary:
            return ", ".join(f"{name} {value:.4g}" for name, value in summary.items())


def certificate_line(certificate: Certificate) -> str:
    """The result of a parity check in a few words."""
    subject = f"parity of {certificate['variant']} in {certificate['framework']}"
    if certificate["status"] != "pass":
        return f"{subject}: {certificate['problem']}"
    logits = certificate["figures"]["float32 logits"]["worst"]
    weights = certificate["figures"]["float64 weights, SGD"]["worst"]
    return f"{subject}: float32 logits within {logits:.0e}, ten float64 steps within {weights:.0e}"


@contextmanager
def certificate_progress(total: int) -> Iterator[tuple[OnProgress, Callable[[], None]]]:
    """A bar over ``total`` parity checks: callbacks for the progress of one and for its end."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=terminal.console(stderr=True),
        transient=True,
    )
    task = bar.add_task("parity", total=total)
    with bar:
        yield lambda _, note: bar.update(task, description=note), lambda: bar.advance(task)


class _PlanColumn(ProgressColumn):
    """The line of the time plan, after the bar of all measurements."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: TimePlan | None = None

    def render(self, task: ProgressTask) -> Text:
        """Time left, what runs and what remains."""
        shown = self.plan.line() if self.plan and task.id == 0 else ""
        return Text(shown, no_wrap=True, overflow="ellipsis")


_REFRESHES = 2
"""Times per second that the bars are drawn: each takes a millisecond of a CPU that is measured."""


_LINE_SECONDS = 60.0
"""Between two lines that say how far other machines are, where no bar shows it."""


class Display:
    """A :class:`bench.harness.listener.Listener` that draws bars on a terminal.

    Args:
        total: Number of measurements.
        there: How many of them were there when the run was resumed.
        console: By default stderr. Where it is no terminal, there are lines and no bars.
        lines: Whether each result is printed as a line; failed certificates always are.
        plan: The time plan, where it has been shown already.
        clock: Seconds, of which only differences count.
    """

    def __init__(
        self,
        total: int,
        console: Console | None = None,
        *,
        there: int = 0,
        lines: bool = True,
        plan: TimePlan | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.console = console or terminal.console(stderr=True)
        self._lines = lines
        self.failed = 0
        self._certifying = False
        self._clock, self._said_at = clock, clock()
        self._remaining = _PlanColumn()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            self._remaining,
            console=self.console,
            disable=not self.console.is_interactive,
            transient=not lines,
            refresh_per_second=_REFRESHES,
        )
        self._all = self._progress.add_task("all", total=total, completed=there)
        self._current = self._progress.add_task("", total=100)
        if plan:
            self._follow(plan)

    def planned(self, plan: TimePlan) -> None:
        """Print the time plan, and show from now on what of it is left."""
        for line in plan.lines():
            self.note(line)
        self._follow(plan)

    def _follow(self, plan: TimePlan) -> None:
        self._remaining.plan = plan
        if not self.console.is_interactive:  # where no bar shows it
            plan.entered = lambda: self.note(plan.line())

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def started(self, task: Task) -> None:
        """Name the current measurement, its bar empty."""
        self._progress.reset(self._current, description=label(task))

    def progress(self, done: float, note: str) -> None:
        """Advance the bar of the current measurement to ``done`` (0 to 1)."""
        self._progress.update(self._current, completed=100 * done)

    def note(self, text: str) -> None:
        """Print it."""
        self.console.print(escape(text), soft_wrap=True)

    def certifying(self, done: float, note: str) -> None:
        """Show the current parity check; without bar or plan a line says that checks begin."""
        if not (self.console.is_interactive or self._remaining.plan or self._certifying):
            self._certifying = True
            self.note("checking parity first: up to a minute for each network in each framework")
        self._progress.update(self._current, description=note, completed=100 * done)

    def certificate_done(self, certificate: Certificate) -> None:
        """Print the certificate: each as a line, failed ones also where lines are off."""
        passed = certificate["status"] == "pass"
        if self._lines or not passed:
            mark = "[green]ok[/]  " if passed else "[red]fail[/]"
            self.console.print(f"{mark} {escape(certificate_line(certificate))}", soft_wrap=True)

    def waiting(self, done: float, note: str) -> None:
        """Show how far other machines are: without a bar a line a minute."""
        if not self.console.is_interactive and self._clock() - self._said_at >= _LINE_SECONDS:
            self._said_at = self._clock()
            self.note(note)
        self._progress.update(self._current, description=note, completed=100 * done)

    def finished(self, record: Record) -> None:
        """Print the result and advance the bar of all measurements."""
        self.failed += record.status in ("failed", "timeout", "oom")
        mark = "[green]ok[/]  " if record.ok else f"[red]{record.status}[/]"
        text = escape(f"{label(Task(record.case, record.kind))}: {result_line(record)}")
        if self._lines:
            self.console.print(f"{mark} {text}", soft_wrap=True)
        self._progress.advance(self._all)
