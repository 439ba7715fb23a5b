"""``alexbench report``: tables, plots and one HTML page from records alone."""

from __future__ import annotations

from pathlib import Path

import click

from bench.core.files import expanded


@click.command(short_help="Make tables, plots and report.html from records.")
@click.argument("runs", metavar="RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write to; by default that of the first RUN.",
)
@click.option(
    "--readme",
    "documents",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Update the generated tables and values of this Markdown file from the runs it names. "
    "Repeatable; needs no RUN.",
)
@click.option(
    "--summary",
    metavar="FILE",
    help="Write a Markdown summary of the ratios, too; added to the end of the file in "
    "$GITHUB_STEP_SUMMARY.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; exit code 1 if a figure of a --readme FILE differs from its records.",
)
def report(
    runs: tuple[Path, ...],
    output: Path | None,
    documents: tuple[Path, ...],
    summary: str | None,
    check: bool,
) -> int:
    """Make tables, plots and report.html from the records of one or more runs."""
    from bench.analysis.runs import folder_of
    from bench.report.blocks import stale
    from bench.report.html import merge, write_results

    if not runs and not documents:
        raise click.UsageError("Missing argument 'RUN...', like results/<run>, or --readme FILE.")
    if check and (runs or not documents):
        raise click.UsageError("--check needs --readme FILE, and takes no RUN")
    if runs:
        merged = merge(runs)
        folder = expanded(output) if output else folder_of(runs)
        if summary is not None:
            from bench.report.across.summary import run_summary, write_summary

            write_summary(summary, run_summary(merged.records, folder.resolve().name))
        click.echo(write_results(merged.records, folder, notes=merged.notes))
    changed = [f"{path}: {block}" for path in documents for block in stale(path, write=not check)]
    for line in changed:
        click.echo(f"{'stale' if check else 'updated'}: {line}")
    return int(check and bool(changed))
