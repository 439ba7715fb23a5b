"""What a reader sees of the differences in accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.rows import Row
from bench.report.chapters.columns_waterfall import points
from bench.report.columns import Column, how, seeds_of, who
from bench.report.format import NOTHING, count, known


def columns(rows: Sequence[Row]) -> list[Column]:
    """Who against whom, from which seeds, and the difference with its interval."""
    return [
        *who(rows),
        Column("against", lambda row: row["reference"] or NOTHING, right=False),
        Column("seeds", seeds_of),
        Column("seeds against", _seeds_against),
        Column("pairs", lambda row: count(row["pairs"]), usual=NOTHING),
        Column("difference, points", _difference),
        Column("verdict", lambda row: str(row["verdict"]), right=False),
        Column("method", lambda row: row["method"] or NOTHING, right=False),
        *how(),
    ]


def _difference(row: Row) -> str:
    return points(row["difference"], row["low"], row["high"])


def _seeds_against(row: Row) -> str:
    if not known(row["against_seeds"]):
        return NOTHING
    return seeds_of({name: row[f"against_{name}"] for name in ("seeds", "failed", "diverged")})
