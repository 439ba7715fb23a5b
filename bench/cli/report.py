"""``alexbench report``: tables, plots and one HTML page from records alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make tables, plots and report.html from records.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write to; by default the first RUN.",
)
@click.option(
    "--readme", type=click.Path(path_type=Path), help="Also update the results in this README."
)
def report(runs: tuple[Path, ...], output: Path | None, readme: Path | None) -> None:
    """Make tables, plots and report.html from the records of one or more runs."""
    from bench.report.html import merge, update_readme, write_results

    merged = merge(runs)
    click.echo(write_results(merged.records, output or runs[0], notes=merged.notes))
    if readme:
        update_readme(readme, merged.records)
