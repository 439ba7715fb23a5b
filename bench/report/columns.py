"""Columns of tables: a header, and how a row of numbers turns into the cell below it.

The CSV files have more: every column of the rows, unrounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.experiments import device_of, start_of
from bench.analysis.rows import IDENTITY, Row
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.report.format import (
    NOTHING,
    Quantity,
    count,
    interval,
    known,
    percent,
    significant,
)
from bench.training.tracks import TRACKS

Show = Callable[[float | None], str]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        header: Its heading; a unit stands in parentheses.
        show: The cell of a row.
        right: Whether it holds numbers.
        usual: The column is left out where every cell says this.
        who: Whether it says what a row is about: on a phone one column has what all of these say.
    """

    header: str
    show: Callable[[Row], str]
    right: bool = True
    usual: str | None = None
    who: bool = False

    def worth_showing(self, rows: Sequence[Row]) -> bool:
        """Whether a reader learns something from it."""
        return self.usual is None or any(self.show(row) != self.usual for row in rows)


def text(header: str, key: str, usual: str | None = None) -> Column:
    """A column of words."""
    return Column(header, lambda row: str(row.get(key) or NOTHING), right=False, usual=usual)


def naming(header: str, key: str, usual: str | None = None) -> Column:
    """A column of words that say what a row is about."""
    return replace(text(header, key, usual), who=True)


def number(header: str, key: str, usual: str | None = None, *, factor: float = 1) -> Column:
    """A column of numbers with three significant digits; `factor` turns them into its unit."""

    def show(row: Row) -> str:
        value = row[key]
        return significant(None if value is None else factor * value)

    return Column(header, show, usual=usual)


def whole(header: str, key: str, usual: str | None = None) -> Column:
    """A column of whole numbers."""
    return Column(header, lambda row: count(row[key]), usual=usual)


def fraction(header: str, key: str, usual: str | None = None, *, digits: int = 1) -> Column:
    """A column of fractions, in percent; empty where a row has no such key."""
    return Column(header, lambda row: percent(row.get(key), digits), usual=usual)


def ends(
    show: Show | Quantity,
    low: str = "low",
    high: str = "high",
    usual: str | None = None,
    header: str = "95 % interval",
) -> Column:
    """The column of a 95 % interval, from the row's columns `low` and `high`."""

    def cell(row: Row) -> str:
        if isinstance(show, Quantity):
            return show.interval(row[low], row[high])
        return interval(show(row[low]), show(row[high]))

    return Column(header, cell, usual=usual)


def case_of(row: Row, **changes: str) -> Case:
    """The case that a row is about, with seed 0."""
    fields = {name: row[name] for name in IDENTITY[2:]}
    return Case(**{**fields, **changes})


def who() -> list[Column]:
    """What a row is about: first, so that it is seen with the numbers."""
    return [
        naming("network", "variant"),
        naming("framework", "framework"),
        execution(),
        weights(),
    ]


def execution() -> Column:
    """``compiled`` or ``eager`` where that is not how the framework executes by default."""
    return Column(
        "execution",
        lambda row: case_of(row).unusual_execution or NOTHING,
        right=False,
        usual=NOTHING,
        who=True,
    )


def framework_of(row: Row) -> str:
    """The framework of a row, with its execution where that is unusual: ``pytorch compiled``."""
    known = Case(row["variant"], row["framework"], execution=row.get("execution") or "")
    return known.framework_label


def weights() -> Column:
    """The weights that a training starts from, where it is not from scratch."""
    return Column(
        "weights", lambda row: start_of(case_of(row)), right=False, usual="scratch", who=True
    )


def how(rows: Sequence[Row] = ()) -> list[Column]:
    """Under which conditions: last, since they are mostly the same down the table.

    Args:
        rows: Those whose parity is shown, where their track is a certified one: no other promises
            what a certificate checks.
    """
    certified = any(row["track"] in TRACKS and TRACKS[row["track"]].certified for row in rows)
    return [
        *([text("parity", "parity")] if certified else []),
        text("recipe", "recipe"),
        text("precision", "precision"),
        whole("batch", "batch_size"),
        whole("input px", "input_size"),
        Column("device", lambda row: device_of(case_of(row)), right=False, usual="cpu"),
    ]


def seeds_of(row: Row, prefix: str = "") -> str:
    """``3``, or ``2 of 3 (1 failed)``: nothing that went wrong is silent.

    `prefix` is ``against_`` for the seeds of the row that this one is compared with.
    """
    seeds, failed = row[f"{prefix}seeds"], row[f"{prefix}failed"]
    if not known(seeds):
        return NOTHING
    asked = seeds + failed
    trouble = [
        f"{row[prefix + name]} {name}" for name in ("failed", "diverged") if row.get(prefix + name)
    ]
    if not trouble:
        return count(asked)
    got = f"{seeds} of {asked}" if failed else count(asked)
    return f"{got} ({', '.join(trouble)})"


def dagger(header: str, show: Show) -> Column:
    """The column of published figures; a line below the table has their source."""

    def cell(row: Row) -> str:
        return f"{show(row['published'])} †" if row["published"] else NOTHING

    return Column(header, cell, usual=NOTHING)


def disturbed_column() -> Column:
    """Share of the blocks during which others used the CPUs; left out where there are none."""

    def cell(row: Row) -> str:
        return percent(row["disturbed"], 0) if row.get("disturbed") else NOTHING

    return Column("disturbed blocks", cell, usual=NOTHING)


def kind_of(row: Row) -> str:
    """What was measured, in a word."""
    name = str(row["kind"])
    return KINDS[name].label if name in KINDS else name


def kind_column() -> Column:
    """The column of `kind_of`."""
    return Column("measured", kind_of, right=False, who=True)
