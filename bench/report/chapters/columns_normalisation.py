"""What a reader sees of the cost and the benefit of a normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.rows import Row
from bench.report.chapters.columns_waterfall import points
from bench.report.columns import Column, how, seeds_of, who
from bench.report.format import NOTHING, count, known
from bench.stats.estimates import Estimate


def columns(rows: Sequence[Row]) -> list[Column]:
    """What is held against what, and both changes."""
    return [
        *who(rows),
        Column("change", lambda row: str(row["normalisation"]), right=False),
        Column("seeds", seeds_of),
        Column("seeds of base", _seeds_of_base),
        Column("pairs", lambda row: count(row["pairs"]), usual=NOTHING),
        Column("accuracy, points", lambda row: points(row["difference"], row["low"], row["high"])),
        Column("accuracy is", lambda row: row["accuracy_verdict"] or NOTHING, right=False),
        Column("images/s, %", _percent),
        Column("training is", lambda row: row["speed_verdict"] or NOTHING, right=False),
        *how(),
    ]


def percent_change(row: Row) -> Estimate:
    """The ratio of images/s as a change in percent, with its interval: 0.8 becomes -20."""
    low, high = (
        None if row[k] is None else 100 * (row[k] - 1) for k in ("ratio_low", "ratio_high")
    )
    return Estimate(100 * (row["ratio"] - 1), low, high)


def _percent(row: Row) -> str:
    value, low, high = percent_change(row)
    if not known(value):
        return NOTHING
    shown = f"{round(value, 1) + 0.0:+.1f}"  # no -0.0
    return shown if low is None or high is None else f"{shown} [{low:+.1f}, {high:+.1f}]"


def _seeds_of_base(row: Row) -> str:
    if not known(row["against_seeds"]):
        return NOTHING
    return seeds_of({name: row[f"against_{name}"] for name in ("seeds", "failed", "diverged")})
