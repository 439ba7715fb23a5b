"""``alexbench annotate``: caveats of records, which every table and plot shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import record_options
from bench.core.errors import notice
from bench.core.records import FILE, Record, RecordStore
from bench.core.schema.record_fields import ANSWERABLE, CAVEATS_ON
from bench.core.text import many
from bench.harness.resumption.run_folder import RunFolder

if TYPE_CHECKING:
    from bench.analysis.runs import Filter


@click.command(short_help="Add a caveat to records, or remove it.")
@click.argument("run", type=click.Path(path_type=Path))
@record_options
@click.option("--all", "everything", is_flag=True, help="All records of the run.")
@click.option(
    "--on",
    type=click.Choice(CAVEATS_ON),
    required=True,
    help="What the caveat is about. seconds: they are no measurement and are removed from all "
    "tables and plots; speed: a footnote on speeds and times; accuracy: on accuracies; all: "
    "wherever the record is used.",
)
@click.option("--why", metavar="TEXT", help="What a reader must know, in one line.")
@click.option(
    "--check",
    "checks",
    type=click.Choice(ANSWERABLE),
    multiple=True,
    help="A check of alexbench audit that the caveat answers; may be repeated. Without it a caveat "
    "answers none, except one on seconds, which answers all checks of seconds.",
)
@click.option(
    "--remove", is_flag=True, help="Remove the caveat; without --why all caveats on --on."
)
def annotate(
    run: Path,
    chosen: Filter,
    everything: bool,
    on: str,
    why: str | None,
    checks: tuple[str, ...],
    remove: bool,
) -> None:
    """Add a caveat to the selected records of a run, or remove it.

    The records file is replaced as a whole; make the tables again with `alexbench report`.
    """
    from bench.analysis.caveats import LEFT_OUT, SECONDS
    from bench.analysis.runs import read

    if not (chosen or everything):
        raise click.UsageError("select records by --case, --variants, …, or take --all")
    if chosen and everything:
        raise click.UsageError("--all takes all records, and other options select some: give one")
    if remove and checks:
        raise click.UsageError("--check is of an added caveat; --remove goes by --on and --why")
    if not remove and not (why and why.strip()):
        raise click.UsageError("--why is missing: what must a reader know?")
    words = " ".join((why or "").split()).rstrip(".")
    if on == SECONDS:
        words = words.removeprefix(LEFT_OUT)  # every table says it
    caveat: dict[str, Any] = {"on": on, "why": words}
    if checks:
        caveat["answers"] = list(dict.fromkeys(checks))
    number = 0

    def changed(record: Record) -> Record:
        nonlocal number
        if not chosen.takes(record):
            return record
        number += 1
        caveats = tuple(c for c in record.caveats if not _is_meant(c, on, words))
        return replace(record, caveats=caveats if remove else (*caveats, caveat))

    store = RecordStore(run)
    chosen.of(read([run]))  # refuses what is no run, and options that select no record
    with _held(store):
        cut = store.is_cut
        changes = store.change(changed)
    if cut:
        done = "removed" if changes else "left out"
        notice(f"{store.path}: the last line was cut, as a killed run leaves it; {done}")
    click.echo(f"{many(number, 'record')} selected, {changes} changed")


@contextmanager
def _held(store: RecordStore) -> Iterator[None]:
    """A block in which no run measures into the folder: its records would be lost.

    Of a folder that cannot be written, and of a file of records alone, nothing is held.
    """
    if store.path.name != FILE or not os.access(store.folder, os.W_OK):
        yield
        return
    held = RunFolder(store.folder)
    try:
        yield
    finally:
        held.release()


def _is_meant(caveat: dict[str, Any], on: str, why: str) -> bool:
    from bench.analysis.caveats import LEFT_OUT

    return caveat["on"] == on and (not why or str(caveat["why"]).removeprefix(LEFT_OUT) == why)
