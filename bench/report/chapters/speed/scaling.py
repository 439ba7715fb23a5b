"""Scaling: training on several devices compared with one."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.rows import Row
from bench.analysis.scaling import scaling_rows
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.report.columns import (
    Column,
    disturbed_column,
    ends,
    fraction,
    how,
    number,
    text,
    who,
    whole,
)
from bench.report.format import LEVEL, NOTHING, RATIO, percent
from bench.report.table import Table


def columns(rows: Sequence[Row]) -> list[Column]:
    """Speed-up, efficiency and communication."""
    return [
        *who(rows),
        whole("devices", "devices"),
        text("scaling", "scaling"),
        number("images/s", "images_per_second"),
        number("on one", "one_images_per_second"),
        Column("speed-up", lambda row: RATIO.value(row["speed_up"])),
        fraction("efficiency", "efficiency"),
        ends(LEVEL),
        Column("communication", lambda row: percent(row["communication"]), usual=NOTHING),
        text("BatchNorm", "batch_norm", usual=NOTHING),
        text("weights", "same_as_one", usual=NOTHING),
        disturbed_column(),
        *how(),
    ]


TABLE = Table(
    "scaling",
    "Training on several devices",
    "Strong scaling divides the batch of one device among several; weak scaling gives each device "
    "the batch that one had. Efficiency is the speed-up over the number of devices: 100 % loses "
    "nothing. Communication is the share of a step that is saved when gradients are not "
    "exchanged. Local BatchNorm takes the moments of each device's part of the batch, so that the "
    "training is another one.",
    scaling_rows,
    columns,
    times=(TRAIN_THROUGHPUT,),
)
