"""``alexbench report``: tables, plots and one HTML page from records alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.core.files import expanded

if TYPE_CHECKING:
    from bench.core.records import RecordStore


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
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Update the generated tables and values of this Markdown file from the runs it names. "
    "May be repeated; needs no RUN.",
)
@click.option(
    "--summary",
    metavar="FILE",
    help="Also write a Markdown summary of the ratios; appended if it is the file that "
    "$GITHUB_STEP_SUMMARY names.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; exit code 1 if a figure of a --readme FILE differs from its records or "
    "stands outside of the generated blocks.",
)
def report(
    runs: tuple[Path, ...],
    output: Path | None,
    documents: tuple[Path, ...],
    summary: str | None,
    check: bool,
) -> int:
    """Make tables, plots and report.html from the records of one or more runs."""
    if not runs and not documents:
        raise click.UsageError("Missing argument 'RUN...', like results/<run>, or --readme FILE.")
    if check and (runs or not documents):
        raise click.UsageError("--check needs --readme FILE, and takes no RUN")
    if not runs and (output or summary is not None):
        given = "-o" if output else "--summary"
        raise click.UsageError(f"{given} needs a RUN, like results/<run>")
    if runs:
        from bench.cli.reading import read_meanwhile
        from bench.core.errors import notice
        from bench.core.records import FILE
        from bench.core.run_paths import WEIGHTS, check_records, find, folder_of

        stores = find(runs)
        check_records(stores)
        paths = [store.folder if store.path.name == FILE else store.path for store in stores]
        with read_meanwhile(paths) as records:
            # A second of imports, while another process reads.
            from bench.report.html import merge, write_results
            from bench.report.model_cards import write_cards

            merged = merge(paths, records())
        cut = [
            f"{store.path}: the last line is cut, as a killed run leaves it; left out"
            for store in stores
            if store.is_cut
        ]
        for line in [*cut, *_damaged(stores)]:
            notice(line)
        folder = expanded(output) if output else folder_of(runs)
        if summary is not None:
            from bench.report.across.summary import run_summary, write_summary

            write_summary(summary, run_summary(merged.records, folder.resolve().name))
        notes, options = [*cut, *merged.notes], merged.begun
        page = write_results(merged.records, folder, notes=notes, options=options)
        for store in stores:
            if (store.folder / WEIGHTS).is_dir():
                write_cards(store.read(), store.folder / WEIGHTS)
        click.echo(page)
    from bench.report.blocks import stale, unmarked

    changed = [f"{path}: {block}" for path in documents for block in stale(path, write=not check)]
    for line in changed:
        click.echo(f"{'stale' if check else 'updated'}: {line}")
    loose = [f"{path}: {figure}" for path in documents for figure in unmarked(path)]
    for line in loose:
        click.echo(f"unmarked: {line}: in no block, and its paragraph has no footnote")
    return int(check and bool(changed or loose))


def _damaged(stores: list[RecordStore]) -> Iterator[str]:
    """A line for each run of which it cannot be read with which options it was begun."""
    from bench.core.errors import UserError
    from bench.core.run_file import read_run_file
    from bench.core.run_paths import RUN_FILE

    for store in stores:
        try:
            read_run_file(store.folder / RUN_FILE)
        except UserError as error:
            yield f"{error}; the commands in the report lack the options of the run"
