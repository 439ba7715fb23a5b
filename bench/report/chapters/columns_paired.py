"""Columns of what was measured in turns, and of how the clock was checked."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.rows import Row
from bench.report.columns import Column, how, kind_of, who
from bench.report.format import NOTHING, count, interval, known, percent, significant

_WHY = {
    "precision": "goal reached",
    "time limit": "time limit",
    "processes": "as many as asked for",
    "failure": "a process failed",
}


def paired(rows: Sequence[Row]) -> list[Column]:
    """The ratio, what it rests on, and what it could have shown."""
    return [
        Column("of", kind_of, right=False),
        *who(rows),
        Column("against", lambda row: row["reference"] or NOTHING, right=False),
        Column("ratio", lambda row: _times(row["ratio"])),
        Column("95 % interval", _range),
        Column("verdict", lambda row: row["verdict"] or NOTHING, right=False),
        Column("processes", lambda row: count(row["processes"])),
        Column("pairs", lambda row: count(row["pairs"])),
        Column("could show", _smallest),
        Column("stopped at", _stopped, right=False),
        Column("lost", lambda row: row["lost"] or NOTHING, right=False, usual=NOTHING),
        *how(),
    ]


def _times(value: float | None) -> str:
    return f"{value:.3f}x" if value is not None and known(value) else NOTHING


def _range(row: Row) -> str:
    return interval(_times(row["ratio_low"]), _times(row["ratio_high"]))


def _smallest(row: Row) -> str:
    value = row["smallest"]
    return NOTHING if value is None or not known(value) else f"± {percent(value)}"


def _stopped(row: Row) -> str:
    told = _WHY.get(row["stopped"], str(row["stopped"]))
    if row["stopped"] == "precision":
        return f"{told} (± {percent(row['precision_goal'])})"
    return f"{told} ({row['group_seconds']:g} s)" if row["stopped"] == "time limit" else told


def clock(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of a step, three ways."""
    return [
        *who(rows),
        Column("in blocks ms", lambda row: _milliseconds(row["block"])),
        Column("unsynced ms", lambda row: _milliseconds(row["unsynced"])),
        Column("synced ms", lambda row: _milliseconds(row["synced"])),
        Column("weights read ms", lambda row: _milliseconds(row["slope"])),
        Column("synced / read", lambda row: f"{row['ratio']:.2f}"),
        Column("95 % interval", _clock_range),
        Column("clock", lambda row: str(row["clock"]), right=False),
        *how(),
    ]


def _clock_range(row: Row) -> str:
    if row["ratio_low"] is None or not known(row["ratio_low"]):
        return NOTHING
    return interval(f"{row['ratio_low']:.2f}", f"{row['ratio_high']:.2f}")


def _milliseconds(seconds: float) -> str:
    return significant(1000 * seconds)
