"""The plot of all ratios between runs: a line per case, a mark per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.analysis.across.entries import Entry
from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.experiments import (
    UNKNOWN,
    Data,
    data_of,
    frameworks_of,
)
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.report.across.words import figure_of, kind_label, names_of
from bench.report.charts.forest import EVEN_SPEED, beside, difference_axis
from bench.report.format import CHANGE, RATIO
from bench.report.panels import LINES
from bench.report.plot_style import (
    GRID,
    INK,
    PHONE,
    SOFT,
    Drawing,
    Interval,
    colour,
    draw_interval,
    few_ticks,
    hover,
    legend_below,
    name_rows,
    new_figure,
    ratio_axis,
    retitle,
    show_whole,
    sign,
)
from bench.stats.verdicts import ACCURACY, SPEED

_MARKERS = "osD^vPX*"
"""A shape per run after the first."""
_LINE, _MARK, _NAME = 0.3, 0.22, 0.2  # inches of a line, of a mark in it, of a name above it
_EVEN = {True: EVEN_SPEED, False: (100 * ACCURACY.low, 100 * ACCURACY.high)}
"""What counts as a tie, of speeds and of accuracies in points."""
_DIFFERENT = (SPEED.above, SPEED.below, ACCURACY.above, ACCURACY.below)


class _Line(NamedTuple):
    """A case with the comparisons of the runs that have it.

    Attributes:
        case: With seed 0 where it stands for all seeds.
        records: Those that were compared.
        marks: The comparisons, by place of the run.
    """

    case: Case
    records: list[Record]
    marks: dict[int, Entry]


def forest(found: SideBySide, name: str, *, narrow: bool = False) -> Drawing | None:
    """The drawing of one kind; accuracies once for all seeds. None without a figure.

    Args:
        found: The runs.
        name: The kind.
        narrow: Whether it is for the width of a phone: names above their lines.
    """
    lines = _lines(found, name)
    if not lines:
        return None
    shown = lines[:LINES]
    records = [record for line in shown for record in line.records]
    data = {data_of(record) for record in records} - {UNKNOWN}
    label = kind_label(name)
    title = f"{label[:1].upper()}{label[1:]}: compared with {found.runs[0].name}"
    marks = sorted({place for line in shown for place in line.marks})
    each = max(_LINE, _MARK * len(marks))
    height = 1.5 + len(shown) * (each + _NAME * narrow)
    of = data.pop() if len(data) == 1 else Data("several datasets", "")
    figure = new_figure(PHONE if narrow else 10, height, title, of)
    retitle(figure, title)
    axes = figure.subplots()
    frameworks = frameworks_of(records)
    above = (0.4 * each + 0.03) / (each + _NAME) if narrow else None
    _draw(axes, kind(name).timed, shown, frameworks, alone=len(found.entries) == 1, above=above)
    legend_below(figure, _handles(shown, frameworks, marks))
    if len(found.entries) > 1:
        _legend_of_runs(figure, found, marks)
    more = f" Only the first {LINES} of {len(lines)} cases are drawn." if lines[LINES:] else ""
    return Drawing(f"compare_{name}", title, f"{_reading(name)}{more}".strip(), figure)


def _lines(found: SideBySide, name: str) -> list[_Line]:
    lines: dict[Case, _Line] = {}
    for place, some in enumerate(found.entries, start=1):
        for entry in some:
            if entry.comparison.kind != name or not entry.comparison.has_figure:
                continue
            members = found.members[entry.key]
            line = lines.setdefault(entry.case, _Line(entry.case, [*members[0]], {}))
            line.records.extend(members[place])
            line.marks[place] = entry
    return list(lines.values())


def _reading(name: str) -> str:
    if kind(name).timed:
        return ""
    return "Difference of mean accuracy in percentage points, later run minus the first."


def _draw(
    axes: Axes,
    timed: bool,
    lines: Sequence[_Line],
    frameworks: Sequence[str],
    *,
    alone: bool,
    above: float | None,
) -> None:
    """Draw all lines.

    Args:
        axes: The panel.
        timed: Whether they are of speeds.
        lines: What is drawn.
        frameworks: Of the figure.
        alone: Whether there is one later run, whose letter no figure needs.
        above: How far above its line a name stands; None: at the left of the panel.
    """
    intervals = [_interval(entry) for line in lines for entry in line.marks.values()]
    limits = (ratio_axis if timed else difference_axis)(axes, intervals)
    show_whole(axes, _EVEN[timed])
    axes.axvspan(*_EVEN[timed], color=GRID, alpha=0.45, linewidth=0, zorder=0)
    runs = sorted({place for line in lines for place in line.marks})
    names = names_of(line.case for line in lines)
    show = (RATIO if timed else CHANGE).end_with_unit
    for at, line in enumerate(lines):
        tint = colour(line.case.framework, frameworks)
        for place, entry in line.marks.items():
            row = entry.comparison
            spread = 0.8 if above is None else 2 * above
            where = at + spread * ((runs.index(place) + 0.5) / len(runs) - 0.5)
            draw_interval(axes, where, _interval(entry), limits, show=show, tint=tint)
            face = tint if row.verdict in _DIFFERENT else "white"
            shape = _MARKERS[(place - 1) % len(_MARKERS)]
            x = _interval(entry)[0]
            (mark,) = axes.plot(x, where, shape, color=tint, markerfacecolor=face, zorder=3)
            figures = figure_of(row) if alone else f"{letter(place)}: {figure_of(row)}"
            figures += f", {entry.same}" if entry.same else ""
            hover(mark, f"{names[line.case]}: {figures}")
            beside(axes, where, figures)
    axes.axvline(1 if timed else 0, color=INK, linewidth=0.9, zorder=1)
    if above is not None:
        few_ticks(axes, 1 if timed else 0)
    size = 10 if above is None else 9
    name_rows(axes, {at: names[line.case] for at, line in enumerate(lines)}, size=size, above=above)
    axes.set_ylim(len(lines) - 0.4, -0.6 if above is None else -1)
    axes.set_xlabel("speed over that of A" if timed else "points above A", color=SOFT)


def _handles(
    lines: Sequence[_Line], frameworks: Sequence[str], places: Sequence[int]
) -> list[Line2D | Patch]:
    """The legend: the colours, as marks where there is one shape, and what is hollow."""
    shape = _MARKERS[(places[0] - 1) % len(_MARKERS)]
    tints = {name: colour(name, frameworks) for name in frameworks}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=tint, marker=shape, label=name)
        if len(places) == 1
        else Patch(color=tint, label=name)
        for name, tint in tints.items()
    ]
    verdicts = {entry.comparison.verdict for line in lines for entry in line.marks.values()}
    if verdicts.difference(_DIFFERENT):
        handles.append(sign("no verdict of a difference", shape))
    return handles


def _interval(entry: Entry) -> Interval:
    row = entry.comparison
    value = row.difference if row.ratio is None else row.ratio
    assert value is not None
    return value, row.low, row.high


def _legend_of_runs(figure: Figure, found: SideBySide, places: Sequence[int]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=INK,
            linestyle="",
            marker=_MARKERS[(place - 1) % len(_MARKERS)],
            markerfacecolor="white",
            label=f"{letter(place)}: {found.runs[place].name}",
        )
        for place in places
    ]
    figure.legend(handles=handles, loc="outside upper right", fontsize=8)
