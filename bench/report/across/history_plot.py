"""The plot of a history: a panel per network and kind, a line per framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.analysis.across.changes import History
from bench.analysis.experiments import Data, curve_names, data_of, labels
from bench.core.case import Case
from bench.core.kinds import kind
from bench.report.across.history_axis import Axis
from bench.report.across.history_breaks import DASHED, breaks_of, draw_breaks
from bench.report.across.words import change_words, estimate_of_point, kind_label
from bench.report.captions import HOLLOW, With, read_with
from bench.report.plot_axes import accuracy_axis, plain_numbers, possible
from bench.report.plot_style import (
    INK,
    PHONE,
    SOFT,
    Drawing,
    colour,
    dash,
    grid_of_axes,
    hover,
    legend_below,
    marker,
    new_figure,
    retitle,
    sign,
)
from bench.training.tracks import peers_of

Curves = Mapping[Case, str]
"""Names of the curves of a panel (`bench.analysis.experiments.curve_names`)."""

_WIDTH = {False: 10.0, True: PHONE}
_LEGEND_LINE = 0.2
"""Inches of a figure, narrow or not, and of a line of its legend."""


def history(label: str, tracked: Sequence[History], axis: Axis) -> Drawing:
    """One panel: the frameworks of a network and kind over the runs.

    Args:
        label: What tells the network from those of other panels.
        tracked: Series of one kind and of what may be compared, each with two points or more.
        axis: Where runs stand.
    """
    curves = curve_names([[t.series.case for t in tracked]])
    case, name = tracked[0].series.case, tracked[0].series.kind
    title = f"{label}, {case.track} track: {kind_label(name)}"
    handles = _handles(tracked, curves)
    height = 3.7 if axis.steps else 3.4
    height += _LEGEND_LINE * max(len(handles) - 3, 0) * axis.narrow  # it has one column
    figure = new_figure(_WIDTH[axis.narrow], height, title, _data(tracked))
    retitle(figure, title)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    for place, entry in enumerate(tracked):
        _line(axes, entry, axis, axis.aside(place, len(tracked)), curves)
    _draw_changes(axes, tracked, axis, curves)
    axes.margins(x=0.05, y=0.15)
    if not kind(name).timed:
        ends = [axes.dataLim.y0, axes.dataLim.y1]
        axes.set_ylim(*(100 * end for end in accuracy_axis(end / 100 for end in ends)))
    draw_breaks(axes, breaks_of(tracked), axis)
    axis.label(axes)
    axes.set_ylabel(_unit(name), color=SOFT)
    axes.yaxis.set_major_formatter(plain_numbers())
    legend_below(figure, handles, length=3)
    return Drawing(f"history_{name}", title, "", figure)


def how(tracked: Sequence[History], *, steps: bool) -> str:
    """How to read panels: of each sign only where one of them has it.

    Args:
        tracked: The series of all panels.
        steps: Whether runs of a panel have steps instead of times.
    """
    points = [point for entry in tracked for point in entry.series.points]
    trained = any(not kind(entry.series.kind).timed for entry in tracked)
    changed = any(entry.changes for entry in tracked)
    signs = {
        HOLLOW: any(point.repeats == 1 for point in points),
        _OF_SPEED: changed and not trained,
        _OF_BOTH: changed and trained,
        _BREAK: any(point.broken for point in points),
        _STEPS: steps,
        _ACCURACIES: trained,
    }
    return read_with(_HOW, {sign for sign, there in signs.items() if there})


_OF_SPEED, _OF_BOTH = "change points of speed", "change points of speed and accuracy"
_BREAK, _STEPS, _ACCURACIES = "break", "steps", "accuracies"
_CHANGED = "A ring around a mark is a change point, with the ratio of speeds after over before"
_HOW = (
    "A panel per network and measurement, a line per framework. A mark is the result of a run, "
    "with its 95 % interval.",
    With((HOLLOW,), "A hollow mark is one process or seed."),
    With((_OF_SPEED,), f"{_CHANGED}."),
    With((_OF_BOTH,), f"{_CHANGED} (of accuracies the difference in points)."),
    With(
        (_BREAK,),
        "A dashed line from top to bottom is a break: before the next run, machine, settings, data "
        "or certificate changed. It breaks the curves that have its colours; other curves go on. "
        "The list below the plot has, by its number, these curves and what changed.",
    ),
    "Curves stand side by side at each run.",
    With((_STEPS,), "Where runs are close in time, each has a step of its own."),
    With(
        (_ACCURACIES,),
        "Axes of accuracies span two points or more, and intervals of accuracies are drawn from 0 "
        "to 100 % at most.",
    ),
)


def _handles(tracked: Sequence[History], curves: Curves) -> list[Line2D]:
    """The legend: each curve with its mark, and the other signs that are in the panel."""
    names = list(curves.values())
    lines = [
        Line2D(
            [],
            [],
            color=colour(name, names),
            linestyle=dash(name, names),
            marker=_mark(case, curves),
            label=name,
        )
        for name, case in {name: case for case, name in curves.items()}.items()
    ]
    shape = marker(tracked[0].series.case.variant)
    points = [point for entry in tracked for point in entry.series.points]
    signs = [
        (any(point.repeats == 1 for point in points), sign("one process or seed", shape)),
        (any(entry.changes for entry in tracked), _ring()),
        (
            any(point.broken for point in points),
            sign("break of the curves in its colours", line=DASHED),
        ),
    ]
    return [*lines, *(handle for there, handle in signs if there)]


def _ring() -> Line2D:
    """The sign of a change point in a legend."""
    return Line2D([], [], **_RING, markersize=_RING_SIZE, label="change point")


_RING: dict[str, Any] = {"marker": "o", "linestyle": "", "color": INK, "markerfacecolor": "none"}
"""Around a mark of any shape, so that it is none of a curve."""
_RING_SIZE = 12.0
_FURTHER = "v<>P"
"""Marks of unusual executions and of several precisions, in the colour of their framework."""


def _mark(case: Case, curves: Curves) -> str:
    """The mark of a curve: that of the network, or one of its own next to others of its
    framework."""
    if curves[case] == case.framework:
        return marker(case.variant)
    own = [name for of, name in curves.items() if of.framework == case.framework != name]
    return _FURTHER[own.index(curves[case]) % len(_FURTHER)]


def _data(tracked: Sequence[History]) -> Data:
    found = {data_of(r) for t in tracked for p in t.series.points for r in p.records}
    return found.pop() if len(found) == 1 else Data("several datasets", "")


def _unit(name: str) -> str:
    row = kind(name)
    if row.throughput:
        return "images/s"
    return {True: "seconds" if row.startup else "ms", False: "test accuracy (%)"}[row.timed]


def scale_of(name: str) -> float:
    """What values of records are multiplied by to be in the unit of the plot."""
    row = kind(name)
    if not row.timed:
        return 100.0
    return 1.0 if row.throughput or row.startup else 1000.0


def _line(axes: Axes, tracked: History, axis: Axis, aside: float, curves: Curves) -> None:
    series = tracked.series
    scale = scale_of(series.kind)
    curve, names = curves[series.case], list(curves.values())
    tint, line = colour(curve, names), dash(curve, names)
    shape = _mark(series.case, curves)
    places = [axis.at(point) + aside for point in series.points]
    size = axis.mark_size
    for i, point in enumerate(series.points):
        whole = point.estimate
        value, low, high = whole if kind(series.kind).timed else possible(whole)
        if i and not point.broken:
            before = series.points[i - 1].estimate.value
            ends = [scale * before, scale * value]
            axes.plot(places[i - 1 : i + 1], ends, color=tint, linewidth=1, linestyle=line)
        if low is not None and high is not None:
            ends, width = [scale * low, scale * high], _BAR * size
            axes.plot([places[i]] * 2, ends, color=tint, linewidth=width)
        face = tint if point.repeats > 1 else "white"
        (mark,) = axes.plot(
            places[i], scale * value, shape, color=tint, mfc=face, ms=size, zorder=3
        )
        hover(mark, f"{curve}, {point.run}: {estimate_of_point(point)}")


def _draw_changes(axes: Axes, tracked: Sequence[History], axis: Axis, curves: Curves) -> None:
    """Draw the change points; those of one run have their words together, above the highest."""
    found: dict[float, list[tuple[float, float, str, str]]] = {}
    for place, entry in enumerate(tracked):
        series = entry.series
        for change in entry.changes:
            point = series.points[change.place]
            x = axis.at(point) + axis.aside(place, len(tracked))
            y = scale_of(series.kind) * point.estimate.value
            axes.plot(x, y, **_RING, markersize=_RING_SIZE, zorder=4)
            words = change_words(change, series.kind).partition(" [")[0]
            mark = y, x, words, curves[series.case]
            found.setdefault(round(axis.at(point), _SAME_PLACE), []).append(mark)
    for marks in found.values():
        y, x, *_ = max(marks)
        same = len({words for *_, words, _ in marks}) == 1
        lines = [words if same else f"{name} {words}" for *_, words, name in marks]
        text = "\n".join(dict.fromkeys(lines))
        words_of = axes.annotate(
            text, (x, y), (6, 8), textcoords="offset points", fontsize=8, zorder=4
        )
        words_of.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8})


_BAR = 1.6 / 6
"""Width of an interval over the size of its mark."""
_SAME_PLACE = 1
"""Digits of a place (days, or steps): measurements of one run begin minutes apart."""


def panels(tracked: Sequence[History]) -> list[tuple[str, list[History]]]:
    """Series with two points or more by what one panel shows, each with its label."""
    found: dict[tuple[Case, str], list[History]] = {}
    for entry in tracked:
        if len(entry.series.points) > 1:
            found.setdefault((peers_of(entry.series.case), entry.series.kind), []).append(entry)
    names = labels(case for case, _ in found)
    # What each framework chooses itself, as the precision of some tracks, is no part of a panel.
    words = {case: [*filter(str.strip, names[case].split(" · ")), case.defaults] for case in names}
    return [
        (" · ".join(filter(None, words[case])), entries) for (case, _), entries in found.items()
    ]
