"""A run from its first measurement to its report, also when a signal stops it in between."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from bench.cli.progress import Display
from bench.core import signals
from bench.harness.matrix import Job
from bench.harness.run import Keys, Run, run_all
from bench.report.html import write_results


def measure_and_report(run: Run, todo: Sequence[Job], done: Keys, *, parity: bool) -> int:
    """Measure what is not done yet, and write the report.

    Returns:
        The exit code: 1 when a case failed.

    Raises:
        Stopped: A signal has ended it; the report is written from what there is.
        UserError: Records or report cannot be written.
    """
    stopped: signals.Stopped | None = None
    display = Display(sum(len(job.tasks) for job in todo))
    try:
        with display:
            run_all(run, list(todo), display, done=done, parity=parity)
    except signals.Stopped as error:
        stopped = error
        signals.acknowledge(no_report(run.folder))
    report_of(run)
    if stopped:
        keys = {task.key for job in todo for task in job.tasks}
        stopped.advice = resume_line(run, len(keys))
        raise stopped
    return 1 if display.failed else 0


def report_of(run: Run) -> None:
    """Write the report and print its path; nothing without a record."""
    if run.store.path.exists() and (records := run.store.read()):
        page = write_results(records, run.folder)
        with suppress(OSError):  # of a terminal that is gone
            click.echo(page)


def resume_line(run: Run, wanted: int) -> str:
    """How far a stopped run is, and how it goes on."""
    there = len(run.store.read()) if run.store.path.exists() else 0
    return f"{there} of {wanted} measurements are there; go on with: {resume_command(run.folder)}"


def resume_command(folder: Path) -> str:
    """The command that goes on with a run."""
    return f"{_program()} run --resume {folder}"


def no_report(folder: Path) -> str:
    """What to do when a second signal leaves no time for the report."""
    return f"no report is written; {_program()} report {folder} makes it"


def _program() -> str:
    started = Path(sys.argv[0]).name
    return "python -m bench" if started in ("__main__.py", "-m") else "alexbench"
