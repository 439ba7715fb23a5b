"""Scaling: training on several devices compared with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from bench.analysis.rows import Row
from bench.analysis.scaling import STRONG, WEAK, scaling_rows
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.core.system.machine import TOLERATED
from bench.report.captions import With
from bench.report.charts.forest import Forest
from bench.report.columns import (
    Column,
    disturbed_column,
    ends,
    fraction,
    how,
    naming,
    number,
    text,
    who,
    whole,
)
from bench.report.format import LEVEL, NOTHING, RATIO, known, percent
from bench.report.leads import Lead, both, who_among
from bench.report.plot_axes import Ends, Interval, ratio_axis
from bench.report.table import Chart, Table

_ENDS = ("efficiency_low", "efficiency_high")


def columns(rows: Sequence[Row]) -> list[Column]:
    """Speed-up, efficiency and communication."""
    return [
        *who(),
        replace(whole("devices", "devices"), who=True),
        naming("scaling", "scaling"),
        fraction("efficiency", "efficiency"),
        ends(LEVEL, *_ENDS),
        Column("speed-up", lambda row: RATIO.value(row["speed_up"])),
        number("images/s", "images_per_second"),
        number("on one", "one_images_per_second"),
        Column("communication", lambda row: percent(row["communication"]), usual=NOTHING),
        text("BatchNorm", "batch_norm", usual=NOTHING),
        text("weights", "same_as_one", usual=NOTHING),
        disturbed_column(),
        text("in doubt, since", "doubt", usual=NOTHING),
        *how(rows),
    ]


def _axis(axes: Axes, intervals: Sequence[Interval]) -> Ends:
    """As of ratios, in percent."""
    limits = ratio_axis(axes, intervals)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    return limits


_CHART = Forest(
    "scaling",
    "Efficiency of training on several devices",
    "Speed-up over the number of devices: at 100 % (the vertical line) N devices train N times as "
    "many images per second as one; lines are 95 % intervals over processes. Strong scaling "
    "divides the batch of one device, weak scaling gives each device the batch that one had.",
    "scaling",
    scaling_rows,
    lambda _: "efficiency: speed-up over the number of devices",
    LEVEL,
    ("efficiency", *_ENDS),
    heading=lambda row: f"{row['scaling']} scaling",
    network=lambda row: f"{row['variant']} · batch {row['batch_size']}",
    detail=lambda row: f"{row['devices']} devices",
    remark=lambda row: f"speed-up {RATIO.value(row['speed_up'])}",
    axis=_axis,
)


def _of(scaling: str) -> Lead:
    """The lowest and the highest efficiency of one way to scale, with their intervals."""

    def lead(rows: Sequence[Row]) -> str:
        found = sorted(
            (row for row in rows if row["scaling"] == scaling and _stands(row)),
            key=lambda row: row["efficiency"],
        )
        shown = [_in_words(row, found) for row in (*found[:1], *found[1:][-1:])]
        return f"Efficiency in {scaling} scaling: {' to '.join(shown)}." if shown else ""

    return lead


def _stands(row: Row) -> bool:
    """Whether there is an efficiency, no doubt about the speeds that it is of, and nothing that
    disturbed them."""
    calm = (row["disturbed"] or 0) <= TOLERATED
    return known(row["efficiency"]) and not row["doubt"] and calm


def _in_words(row: Row, among: Sequence[Row]) -> str:
    value = LEVEL.estimate(row["efficiency"], *(row[name] for name in _ENDS))
    return f"{value} ({who_among(row, among)} on {row['devices']} devices)"


TABLE = Table(
    "scaling",
    "Training on several devices",
    (
        "Strong scaling divides the batch of one device among several; weak scaling gives each "
        "device the batch that one had. Efficiency is the speed-up over the number of devices: "
        "100 % loses nothing.",
        With(
            ("communication",),
            "Communication is the share of a step that is saved when gradients are not exchanged.",
        ),
        With(
            ("BatchNorm",),
            "Local BatchNorm takes the moments of each device's part of the batch, so that the "
            "training is another one.",
        ),
    ),
    scaling_rows,
    columns,
    charts=(Chart("scaling", _CHART.draw, (TRAIN_THROUGHPUT,)),),
    times=(TRAIN_THROUGHPUT,),
    lead=both(_of(STRONG), _of(WEAK)),
    kinds=(TRAIN_THROUGHPUT,),
)
