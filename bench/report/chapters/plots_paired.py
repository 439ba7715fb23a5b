"""The plot of what was measured side by side: every ratio with its interval, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.experiments import Data, framework_place, labels
from bench.analysis.rows import Row
from bench.core.records import Record
from bench.report.chapters.rows_paired import TIMED, paired_rows
from bench.report.columns import case_of, kind_of
from bench.report.plot_style import (
    INK,
    SOFT,
    Drawing,
    colour,
    framework_legend,
    grid_of_axes,
    marker,
    new_figure,
)
from bench.training.tracks import peers_of

_LINE = 0.27  # inches
_REACH = 1.6  # an interval is drawn as far as this times the farthest ratio (one pair gives none)


def paired(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """A line per network and framework, a panel per kind."""
    rows = [row for row in paired_rows(records, data) if row["ratio"] is not None]
    if not rows:
        return None
    title = f"Side by side: speed against {_references(rows)}, {track} track"
    kinds = [kind for kind in TIMED if any(row["kind"] == kind for row in rows)]
    lines = max(sum(row["kind"] == kind for row in rows) for kind in kinds)
    columns = min(2, len(kinds))
    tall = math.ceil(len(kinds) / columns)
    figure = new_figure(8.6, 1.3 + tall * (0.75 + _LINE * lines), title, data)
    panels = [axes for row in grid_of_axes(figure, tall, columns) for axes in row]
    frameworks = sorted({str(row["framework"]) for row in rows}, key=framework_place)
    for axes, kind in zip(panels, kinds, strict=False):
        _panel(axes, [row for row in rows if row["kind"] == kind], frameworks)
    for axes in panels[len(kinds) :]:
        axes.set_axis_off()
    framework_legend(figure, frameworks)
    return Drawing(
        f"paired_{track}",
        title,
        "Right of the line is faster. Marks are ratios taken pair by pair in turns, lines their "
        "95 % intervals over processes and pairs; a tie (the interval holds 1) is drawn hollow.",
        figure,
    )


def _references(rows: Sequence[Row]) -> str:
    return ", ".join(dict.fromkeys(str(row["reference"]) for row in rows))


def _panel(axes: Axes, rows: Sequence[Row], frameworks: Sequence[str]) -> None:
    names = labels(peers_of(case_of(row)) for row in rows)
    farthest = _REACH * max(abs(math.log(row["ratio"])) for row in rows) + 0.05
    for place, row in enumerate(rows):
        tint = colour(row["framework"], frameworks)
        low, high = (row[end] for end in ("ratio_low", "ratio_high"))
        if low is not None and high is not None:
            ends = [max(low, math.exp(-farthest)), min(high, math.exp(farthest))]
            axes.plot(ends, (place, place), color=tint, linewidth=1.6, zorder=2)
        face = tint if row["verdict"] in ("faster", "slower") else "white"
        shape = marker(row["framework"], frameworks)
        axes.plot(row["ratio"], place, shape, color=tint, markerfacecolor=face, zorder=3)
    axes.axvline(1, color=INK, linewidth=0.9, zorder=1)
    axes.set_title(kind_of(rows[0]))
    axes.set_yticks(range(len(rows)), [names[peers_of(case_of(row))] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_xlabel(f"speed over {_references(rows)}", color=SOFT)
