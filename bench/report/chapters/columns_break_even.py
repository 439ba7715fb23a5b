"""What a reader sees of the break-even."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.analysis.rows import Row
from bench.report.chapters.rows_break_even import AHEAD
from bench.report.columns import Column, how, who
from bench.report.format import NOTHING, count, known, ratio, significant


def columns(rows: Sequence[Row]) -> list[Column]:
    """The faster one, whom it catches up with, and when."""
    return [
        *who(rows),
        Column("catches up with", lambda row: str(row["reference"]), right=False),
        Column("x images/s", lambda row: ratio(row["ratio"], row["ratio_low"], row["ratio_high"])),
        Column("start-up s", partial(_number, "startup_seconds")),
        Column("start-up s against", partial(_number, "against_startup_seconds")),
        Column("starts later by s", partial(_signed, "behind_seconds")),
        Column("of it first step s", partial(_signed, "behind_first_step_seconds")),
        Column("level after images", partial(_level, "images")),
        Column("level after epochs", partial(_level, "epochs")),
        Column("verdict", lambda row: str(row["verdict"]), right=False),
        *how(),
    ]


def _number(key: str, row: Row) -> str:
    return significant(row[key])


def _signed(key: str, row: Row) -> str:
    """``+3.20`` is later, ``-0.51`` sooner."""
    value = row[key]
    return f"{'-' if value < 0 else '+'}{significant(abs(value))}" if known(value) else NOTHING


def _level(key: str, row: Row) -> str:
    if row["verdict"] == AHEAD or row[key] is None:
        return NOTHING
    return count(row[key]) if key == "images" else significant(row[key])
