"""A run from its first measurement to its report, also when a signal stops it in between."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from bench.cli.progress import Display
from bench.core import signals
from bench.core.errors import UserError, notice
from bench.core.run_paths import WEIGHTS
from bench.core.text import many
from bench.harness.executor import Executor
from bench.harness.matrix import Job
from bench.harness.measure import Keys
from bench.harness.plan import REPORT
from bench.harness.resumption import checkpoints
from bench.harness.resumption.checkpoints import saved_weights
from bench.harness.run import Run, run_all
from bench.report.first_screen import answers
from bench.report.html import write_results
from bench.report.model_cards import write_cards


def measure_and_report(
    run: Run,
    todo: Sequence[Job],
    done: Keys,
    *,
    parity: bool,
    unusable: Mapping[str, str],
    executor: Executor | None = None,
) -> int:
    """Measure what is not done yet, and write the report.

    Args:
        run: Where the records go.
        todo: What is measured, that which is done among it.
        done: What is there already.
        parity: Whether certificates are made.
        unusable: Frameworks that cannot use the device, with the reason.
        executor: Where it is measured; by default here.

    Returns:
        The exit code: 1 when a case failed.

    Raises:
        Stopped: A signal has ended it; the report is written from what there is.
        UserError: Records or report cannot be written.
    """
    tasks = [task for job in todo for task in job.tasks]
    display = Display(len(tasks), there=sum(task.key in done for task in tasks))
    wanted = {task.key for job in todo for task in job.tasks}
    stopped: signals.Stopped | None = None
    if executor is None and (busy := run.look_at_machine()):
        notice(f"warning: {busy}")
    how: dict[str, Any] = {"done": done, "parity": parity, "unusable": unusable}
    try:
        with display:
            run_all(run, list(todo), display, executor=executor, **how)
    except (signals.Stopped, Exception) as error:
        number = signals.received()
        if number is None or isinstance(error, UserError):
            raise
        # A library may have made another exception of the signal's own.
        stopped = error if isinstance(error, signals.Stopped) else signals.Stopped(number)
        signals.acknowledge()
    try:
        report_of(run)
    except signals.Stopped as error:  # it came while the report was written
        stopped = error
    if stopped:
        stopped.advice = how_to_go_on(run, wanted)
        raise stopped
    return 1 if display.failed else 0


def report_of(run: Run, *, answered: bool = False) -> None:
    """Write the report and print its answers and its path; nothing without a record.

    The path is the last line, and all of stdout unless weights were saved. A first signal does not
    interrupt it: what was measured for hours is worth its seconds.

    Args:
        run: Whose records and folder.
        answered: Whether the answers have been printed.
    """
    if not run.store.path.exists() or not (records := run.store.read()):
        return
    with signals.held(f"no report is written; {_program()} report {run.folder} makes it"):
        with run.stage(REPORT):
            page = write_results(records, run.folder)
        write_cards(records, run.folder / WEIGHTS)
        with suppress(OSError):  # of a terminal that is gone
            for line in () if answered else [*outcome(run), *answers.lines(records)]:
                click.echo(line, err=True)
            for line in saved_weights(records, run.folder):
                click.echo(line)
            click.echo(page)


def outcome(run: Run) -> list[str]:
    """Planned and actual seconds of the run's stages, where it has a time plan."""
    return run.plan.outcome() if run.plan else []


def how_to_go_on(run: Run, wanted: Keys) -> str:
    """How far a stopped run is, and the command that goes on with it.

    Args:
        run: The run, which may have other measurements, too.
        wanted: Those that were asked for; one that failed is measured again.
    """
    records = run.store if run.store.path.exists() else ()
    there, number = len({r.key for r in records if r.ok} & wanted), len(wanted)
    line = f"{there} of {many(number, 'measurement')} {'is' if number == 1 else 'are'} there"
    if there == number:
        return line
    begun = checkpoints.begun(run.folder)
    kept = f", and of the others {begun}" if begun else ""
    return f"{line}{kept}; go on with: {_resume_command(run)}"


def _resume_command(run: Run) -> str:
    anyway = " --anyway" if run.caveats else ""  # it has been needed for this one
    if anyway and "--resume" in sys.argv:  # with options that the run was not begun with
        return f"{_program()} {shlex.join(sys.argv[1:])}"
    return f"{_program()} run --resume {shlex.quote(str(run.folder))}{anyway}"


def _program() -> str:
    started = Path(sys.argv[0])
    as_module = started.name == "__main__.py" and started.parent.name == "bench"
    return "python -m bench" if as_module else "alexbench"
