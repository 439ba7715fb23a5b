"""``alexbench annotate``: caveats of records, which every table and plot shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from bench.cli.options import listed, numbers
from bench.core.case import PRECISIONS
from bench.core.errors import UserError
from bench.core.kinds import KINDS
from bench.core.record_fields import CAVEATS_ON
from bench.core.records import Record, RecordStore
from bench.networks.variants import VARIANTS
from bench.training.defaults import NAMES as STAGES
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import TRACKS

_SELECTIONS = {
    "variants": "variant",
    "frameworks": "framework",
    "tracks": "track",
    "recipes": "recipe",
    "precisions": "precision",
    "stages": "defaults",
    "seeds": "seed",
}
"""Options that select, with the field of a case that they look at."""


@click.command(short_help="Add a caveat to records, or remove it.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--case", "cases", multiple=True, metavar="ID", help="Id of a case. Repeatable.")
@listed("--variants", known=VARIANTS)
@listed("--frameworks", known=FRAMEWORKS)
@listed("--tracks", known=TRACKS)
@listed("--kinds", known=KINDS)
@listed("--recipes", known=["their names, with @budget"])
@listed("--precisions", known=PRECISIONS)
@listed("--stages", known=STAGES)
@click.option("--seeds", callback=numbers, metavar="N,M", help="Seeds by number.")
@click.option("--all", "everything", is_flag=True, help="All records of the run.")
@click.option(
    "--on",
    type=click.Choice(CAVEATS_ON),
    required=True,
    help="What it is on. seconds: they are no measurement, and leave all tables and plots; speed: "
    "a footnote on speeds and times; accuracy: on accuracies; all: wherever the record is used.",
)
@click.option("--why", metavar="TEXT", help="What a reader must know, in one line.")
@click.option("--remove", is_flag=True, help="Remove it; without --why all caveats on --on.")
def annotate(
    run: Path,
    cases: tuple[str, ...],
    everything: bool,
    on: str,
    why: str | None,
    remove: bool,
    kinds: tuple[str, ...],
    **selected: tuple[str | int, ...],
) -> None:
    """Add a caveat to the selected records of a run, or remove it.

    The records file is replaced as a whole; make the tables again with `alexbench report`.
    """
    wanted = {_SELECTIONS[name]: values for name, values in selected.items() if values}
    if not (wanted or cases or kinds or everything):
        raise click.UsageError("select records by --case, --variants, …, or take --all")
    if not remove and not (why and why.strip()):
        raise click.UsageError("--why is missing: what must a reader know?")
    words = " ".join((why or "").split()).rstrip(".")
    number = 0

    def changed(record: Record) -> Record:
        nonlocal number
        if not _is_selected(record, cases, kinds, wanted):
            return record
        number += 1
        caveats = tuple(c for c in record.caveats if not _is_meant(c, on, words))
        return replace(record, caveats=caveats if remove else (*caveats, {"on": on, "why": words}))

    changes = RecordStore(run).change(changed)
    if not number:
        raise UserError(f"{run}: no record is selected; alexbench audit {run} names the cases")
    click.echo(f"{number} records selected, {changes} changed")


def _is_selected(
    record: Record,
    cases: tuple[str, ...],
    kinds: tuple[str, ...],
    wanted: dict[str, tuple[str | int, ...]],
) -> bool:
    if cases and record.case.id not in cases:
        return False
    if kinds and record.kind not in kinds:
        return False
    return all(getattr(record.case, name) in values for name, values in wanted.items())


def _is_meant(caveat: dict[str, str], on: str, why: str) -> bool:
    return caveat["on"] == on and (not why or caveat["why"] == why)
