"""The plot of all ratios between runs: a line per case, a mark per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.comparison.compare import Comparison
from bench.analysis.experiments import (
    UNKNOWN,
    Data,
    data_of,
    frameworks_of,
    labels,
    without_seed,
)
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.report.across.words import kind_label
from bench.report.format import CHANGE, RATIO
from bench.report.panels import LINES
from bench.report.plot_style import (
    INK,
    SOFT,
    Drawing,
    Interval,
    colour,
    draw_interval,
    framework_legend,
    grid_of_axes,
    name_rows,
    new_figure,
    ratio_axis,
    retitle,
)
from bench.stats.verdicts import ACCURACY, SPEED

_MARKERS = "osD^vPX*"
"""A shape per run after the first."""
_LINE = 0.3  # inches
_DIFFERENT = (SPEED.above, SPEED.below, ACCURACY.above, ACCURACY.below)


class _Line(NamedTuple):
    """A case with the comparisons of the runs that have it."""

    case: Case
    records: list[Record]
    marks: dict[int, Comparison]
    """By place of the run."""


def forest(found: SideBySide, name: str) -> Drawing | None:
    """The drawing of one kind; accuracies once for all seeds. None without a figure."""
    lines = _lines(found, name)
    if not lines:
        return None
    shown = lines[:LINES]
    records = [record for line in shown for record in line.records]
    data = {data_of(record) for record in records} - {UNKNOWN}
    label = kind_label(name)
    title = f"{label[:1].upper()}{label[1:]}: compared with {found.runs[0].name}"
    height = 1.5 + len(shown) * max(_LINE, 0.16 * len(found.comparisons))
    figure = new_figure(
        10, height, title, data.pop() if len(data) == 1 else Data("several datasets", "")
    )
    retitle(figure, title)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    frameworks = frameworks_of(records)
    _draw(axes, kind(name).timed, shown, frameworks)
    framework_legend(figure, frameworks)
    if len(found.comparisons) > 1:
        _legend_of_runs(figure, found)
    more = f" Only the first {LINES} of {len(lines)} cases are drawn." if lines[LINES:] else ""
    return Drawing(f"compare_{name}", title, f"{_reading(name)}{more}", figure)


def _lines(found: SideBySide, name: str) -> list[_Line]:
    lines: dict[Case, _Line] = {}
    for place, some in enumerate(found.comparisons, start=1):
        for row in some:
            if row.kind != name or not row.has_figure:
                continue
            records = [r for r in found.records[row.case, row.kind] if r is not None]
            case = without_seed(records[0].case)
            lines.setdefault(case, _Line(case, records, {})).marks.setdefault(place, row)
    return list(lines.values())


def _reading(name: str) -> str:
    if kind(name).timed:
        return (
            "Ratio of speeds, later run over the first. The axis is logarithmic where intervals "
            "span more than a factor of four; an arrow with a value is an end beyond the panel."
        )
    return "Difference of mean accuracy in percentage points, later run minus the first."


def _draw(axes: Axes, timed: bool, lines: Sequence[_Line], frameworks: Sequence[str]) -> None:
    intervals = [_interval(row) for line in lines for row in line.marks.values()]
    limits = ratio_axis(axes, intervals) if timed else (-100.0, 100.0)
    runs = max(place for line in lines for place in line.marks)
    show = (RATIO if timed else CHANGE).end_with_unit
    for at, line in enumerate(lines):
        tint = colour(line.case.framework, frameworks)
        for place, row in line.marks.items():
            where = at + 0.7 * (place / (runs + 1) - 0.5)
            draw_interval(axes, where, _interval(row), limits, show=show, tint=tint)
            face = tint if row.verdict in _DIFFERENT else "white"
            shape = _MARKERS[(place - 1) % len(_MARKERS)]
            axes.plot(_interval(row)[0], where, shape, color=tint, markerfacecolor=face, zorder=3)
    axes.axvline(1 if timed else 0, color=INK, linewidth=0.9, zorder=1)
    names = labels(line.case for line in lines)
    shown = (_name(names[line.case], line.case) for line in lines)
    name_rows(axes, dict(enumerate(shown)))
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel("speed over that of A" if timed else "points above A", color=SOFT)


def _interval(row: Comparison) -> Interval:
    value = row.mean if row.ratio is None else row.ratio
    assert value is not None
    return value, row.low, row.high


def _name(network: str, case: Case) -> str:
    return f"{network}, {case.track}, {case.framework_label}"


def _legend_of_runs(figure: Figure, found: SideBySide) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=INK,
            linestyle="",
            marker=_MARKERS[(place - 1) % len(_MARKERS)],
            markerfacecolor="white",
            label=f"{letter(place)}: {run.name}",
        )
        for place, run in enumerate(found.runs[1:], start=1)
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8)
