"""``alexbench report``: tables, plots and one HTML page from records alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make tables, plots and report.html from records.")
@click.argument("runs", metavar="[RUN...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write to; by default the first RUN.",
)
@click.option(
    "--readme",
    "documents",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Renew the generated tables and values of this Markdown file, from the runs it names. "
    "Repeatable.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing: exit with 1 where a figure of a --readme file is not what records give.",
)
def report(
    runs: tuple[Path, ...], output: Path | None, documents: tuple[Path, ...], check: bool
) -> int:
    """Make tables, plots and report.html from the records of one or more runs."""
    from bench.report.blocks import stale
    from bench.report.html import merge, write_results

    if not runs and not documents:
        raise click.UsageError("give the folder of a run, like results/<run>, or --readme FILE")
    if check and (runs or not documents):
        raise click.UsageError("--check goes with --readme FILE, and without runs")
    if runs:
        merged = merge(runs)
        click.echo(write_results(merged.records, output or runs[0], notes=merged.notes))
    changed = [f"{path}: {block}" for path in documents for block in stale(path, write=not check)]
    for line in changed:
        click.echo(f"{'stale' if check else 'renewed'}: {line}")
    return int(check and bool(changed))
