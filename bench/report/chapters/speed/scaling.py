"""Scaling: training on several devices compared with one."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from bench.analysis.rows import Row
from bench.analysis.scaling import STRONG, WEAK, scaling_rows
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
from bench.report.footnotes import has_caveat, signed
from bench.report.format import LEVEL, NOTHING, RATIO, percent
from bench.report.leads import Lead, both
from bench.report.leads import who as who_is
from bench.report.plot_style import (
    SOFT,
    Drawing,
    Interval,
    colour,
    draw_interval,
    ends_of,
    framework_legend,
    grid_of_axes,
    hover,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table


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


_LINES = 40
"""Rows that a panel has at most."""


def scaling(part: Part) -> Drawing | None:
    """Efficiency with its interval, a panel per network and a line per row of the table."""
    panels: dict[str, list[Row]] = {}
    for row in part.rows(scaling_rows):
        panels.setdefault(str(row["variant"]), []).append(row)
    if not panels:
        return None
    shown = {name: rows[:_LINES] for name, rows in list(panels.items())[: part.panels]}
    left_out = sum(map(len, panels.values())) - sum(map(len, shown.values()))
    title = f"Efficiency on several devices, {part.track} track"
    lines = max(map(len, shown.values()))
    figure = new_figure(7.2, 1.3 + len(shown) * (0.9 + 0.34 * lines), title, part.data)
    for (axes,), (name, rows) in zip(
        grid_of_axes(figure, len(shown), 1), shown.items(), strict=True
    ):
        axes.set_title(name)
        _efficiencies(axes, rows, part.frameworks)
    there = {row["framework"] for rows in shown.values() for row in rows}
    framework_legend(figure, [name for name in part.frameworks if name in there])
    rest = f" {left_out} rows are not drawn; tables/scaling.csv has all." if left_out else ""
    return Drawing(
        f"scaling_{part.track}",
        title,
        "Speed-up over the number of devices, with its 95 % interval: at the line of 100 % twice "
        "as many devices train twice as many images in a second. Strong scaling divides the batch "
        f"that is named among the devices; weak scaling gives each the batch that one had.{rest}",
        figure,
    )


def _efficiencies(axes: Axes, rows: Sequence[Row], frameworks: Sequence[str]) -> None:
    intervals: list[Interval] = [(row["efficiency"], row["low"], row["high"]) for row in rows]
    farthest = 1.08 * max([*ends_of(intervals), 1.0])
    axes.axvline(1, color=SOFT, linewidth=1, linestyle="--", zorder=1)
    for place, (row, interval) in enumerate(zip(rows, intervals, strict=True)):
        tint = colour(row["framework"], frameworks)
        draw_interval(axes, place, interval, (0, farthest), tint=tint)
        (mark,) = axes.plot(interval[0], place, "o", color=tint, markersize=6, zorder=3)
        hover(mark, f"{_name(row)}: {percent(interval[0])}")
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, farthest)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("efficiency")


def _name(row: Row) -> str:
    words = f"{row['scaling']}, {row['devices']} devices, batch {row['batch_size']}"
    return signed(f"{row['framework']}, {words}", on=has_caveat(row))


def _of(scaling: str) -> Lead:
    """The lowest and the highest efficiency of one way to scale, with their intervals."""

    def lead(rows: Sequence[Row]) -> str:
        found = sorted(
            (row for row in rows if row["scaling"] == scaling), key=lambda row: row["efficiency"]
        )
        shown = [_in_words(row) for row in (*found[:1], *found[1:][-1:])]
        return f"Efficiency in {scaling} scaling: {' to '.join(shown)}." if shown else ""

    return lead


def _in_words(row: Row) -> str:
    value = LEVEL.estimate(row["efficiency"], row["low"], row["high"])
    return f"{value} ({who_is(row)} on {row['devices']} devices)"


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
    charts=(Chart("scaling", scaling, (TRAIN_THROUGHPUT,)),),
    times=(TRAIN_THROUGHPUT,),
    lead=both(_of(STRONG), _of(WEAK)),
    kinds=(TRAIN_THROUGHPUT,),
)
