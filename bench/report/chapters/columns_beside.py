"""Columns of what the suite does beside how others do it: loops, layers, features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.analysis.rows import Row
from bench.report.columns import Column, how, who
from bench.report.format import NOTHING, count, interval, percent, significant


def tutorial(rows: Sequence[Row]) -> list[Column]:
    """Speed beside speed, then accuracy beside accuracy."""
    return [
        *who(rows),
        Column("our images/s", partial(_number, "images_per_second")),
        Column("their loop", lambda row: str(row["loop"]), right=False),
        Column("its batch", lambda row: count(row["loop_batch_size"])),
        Column("its images/s", partial(_number, "loop_images_per_second")),
        Column("ours / theirs", lambda row: _times(row["ratio"])),
        Column("95 % interval", _range),
        Column("pairs", lambda row: count(row["pairs"])),
        Column("our accuracy", lambda row: percent(row["accuracy"], 2), usual=NOTHING),
        Column("our s", partial(_number, "seconds"), usual=NOTHING),
        Column("their accuracy", lambda row: percent(row["loop_accuracy"], 2), usual=NOTHING),
        Column("their s", partial(_number, "loop_seconds"), usual=NOTHING),
        Column("after images", partial(_images, "images"), usual=NOTHING),
        *how(),
    ]


def _range(row: Row) -> str:
    return interval(_times(row["ratio_low"]), _times(row["ratio_high"]))


def _number(key: str, row: Row) -> str:
    return significant(row[key])


def _images(key: str, row: Row) -> str:
    return count(row[key])


def _times(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}x"


def layers(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of a call of both sides."""
    return [
        *who(rows),
        Column("layer", lambda row: str(row["layer"]), right=False),
        Column("input", lambda row: str(row["shape"]), right=False),
        Column("held against", lambda row: str(row["theirs"]), right=False),
        Column("ours ms", lambda row: significant(1000 * row["our_seconds"])),
        Column("theirs ms", lambda row: significant(1000 * row["their_seconds"])),
        Column("theirs / ours", lambda row: _times(row["ratio"])),
        Column("95 % interval", _range),
        Column("pairs", lambda row: count(row["pairs"])),
        Column("largest difference", lambda row: f"{row['largest_difference']:.1e}"),
        *how(),
    ]


def features(rows: Sequence[Row]) -> list[Column]:
    """What keeping them saves."""
    return [
        *who(rows),
        Column("accuracy", lambda row: percent(row["accuracy"], 2)),
        Column("images trained", partial(_images, "images")),
        Column("through the trunk", partial(_images, "trunk_images")),
        Column("training s", partial(_number, "seconds")),
        Column("of it in the trunk", partial(_number, "trunk_seconds")),
        Column("computed anew s", partial(_number, "anew_seconds")),
        Column("anew / kept", lambda row: _times(row["ratio"])),
        Column("features already there", lambda row: _times(row["ratio_again"])),
        *how(),
    ]
