"""What a reader sees of time to accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.analysis.rows import Row
from bench.report.columns import Column, how, seeds_of, who
from bench.report.format import NOTHING, count, known, significant


def columns(rows: Sequence[Row]) -> list[Column]:
    """How many seeds got there and when, by the clock and by pictures."""
    return [
        *who(rows),
        Column("accuracy", lambda row: f"{100 * row['threshold']:g} %"),
        Column("seeds", seeds_of),
        Column("reached", lambda row: f"{row['reached']} of {row['seeds']}"),
        Column("median s", lambda row: _or_never(significant(row["median_seconds"]))),
        Column("mean s", partial(_mean, "seconds")),
        Column("up to s", lambda row: significant(row["horizon_seconds"])),
        Column("median images", lambda row: _or_never(count(row["median_images"]))),
        Column("mean images", partial(_mean, "images")),
        Column("up to images", lambda row: count(row["horizon_images"])),
        Column("start-up s", partial(_startup, "startup_seconds")),
        Column("of it first step s", partial(_startup, "first_step_seconds")),
        *how(),
    ]


def _or_never(shown: str) -> str:
    return "never" if shown == NOTHING else shown


def _mean(unit: str, row: Row) -> str:
    show = significant if unit == "seconds" else count
    shown = show(row[f"mean_{unit}"])
    # With a seed behind the horizon the mean is a floor: the true one is later.
    return f"≥ {shown}" if row[f"within_{unit}"] < row["seeds"] else shown


def _startup(key: str, row: Row) -> str:
    return significant(row[key]) if known(row[key]) else "n/a"
