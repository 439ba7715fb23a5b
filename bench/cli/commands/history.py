"""``alexbench history``: each case over several runs, with change points and breaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import several_runs_options

if TYPE_CHECKING:
    from bench.analysis.runs import Filter


@click.command(short_help="Show each case over several runs, with change points.")
@several_runs_options("history.html", "text")
@click.option(
    "--by",
    type=click.Choice(("time", "commit", "run")),
    default=None,
    help="Horizontal axis of the plots, by default time; runs close in time have a step each.",
)
def history(
    runs: tuple[Path, ...], chosen: Filter, by: str | None, as_json: bool, page: Path | None
) -> None:
    """Show each case over several runs: values, intervals, change points.

    A run is a folder, a records.jsonl, or a pattern like 'results/*'; a folder of runs stands for
    all of them. Where machine, settings or data changed there is a break: nothing is compared
    across it. Change points need the extra `history`.
    """
    from bench.analysis.across.changes import histories
    from bench.analysis.runs import read

    found = chosen.of(read(runs))
    if page:
        from bench.report.across.history_page import history_page
        from bench.report.across.page import write_page

        click.echo(write_page(page, history_page(found, by or "time")))
        return
    if by is not None:
        raise click.UsageError("--by is of the plots: add --html or -o PAGE")
    from bench.report.across.history_text import history_json, history_text

    if as_json:
        click.echo(json.dumps(history_json(histories(found)), indent=2))
    else:
        click.echo(history_text(histories(found)))
