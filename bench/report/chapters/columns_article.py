"""Columns of the table that sets our trainings beside the transfer article's own loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.analysis.experiments import start_of
from bench.analysis.rows import Row
from bench.report.columns import Column, case_of, how
from bench.report.format import NOTHING, count, interval, percent, significant


def article(rows: Sequence[Row]) -> list[Column]:
    """The loop's pace and what follows from it, then ours."""
    return [
        Column("network", lambda row: str(row["variant"]), right=False),
        Column("framework", lambda row: str(row["framework"]), right=False),
        Column("weights", lambda row: start_of(case_of(row)), right=False, usual="scratch"),
        Column("seeds", lambda row: count(row["seeds"])),
        Column("article's loop images/s", partial(_number, "article_images_per_second")),
        Column("95 % interval", _range),
        Column("its whole training s", partial(_number, "article_seconds")),
        Column("our accuracy", lambda row: percent(row["reached"], 2), usual=NOTHING),
        Column("reached after s", partial(_number, "seconds"), usual=NOTHING),
        Column("article's s / ours", _ratio, usual=NOTHING),
        *how(),
    ]


def _number(key: str, row: Row) -> str:
    return significant(row[key])


def _range(row: Row) -> str:
    return interval(significant(row["article_low"]), significant(row["article_high"]))


def _ratio(row: Row) -> str:
    return NOTHING if row["ratio"] is None else f"{significant(row['ratio'])}x"
