"""``alexbench report``: tables, plots and one HTML page from records alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: the first RUN.")
@click.option("--readme", type=click.Path(path_type=Path), help="Renew this README's result block.")
def report(runs: tuple[Path, ...], output: Path | None, readme: Path | None) -> None:
    """Make tables, plots and HTML from the records of one or more runs, and from nothing else."""
    from bench.report.html import merge, update_readme, write_results

    merged = merge(runs)
    click.echo(write_results(merged.records, output or runs[0], notes=merged.notes))
    if readme:
        update_readme(readme, merged.records)
