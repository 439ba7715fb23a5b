"""The plot of a history: a panel per network and kind, a line per framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.lines import Line2D

from bench.analysis.across.changes import History
from bench.analysis.across.series import Break, Point
from bench.analysis.experiments import Data, data_of, framework_labels_of, labels
from bench.core.case import Case
from bench.core.kinds import kind
from bench.report.across.words import change_words, interval_of_point, kind_label, value_of_point
from bench.report.plot_style import (
    INK,
    SOFT,
    Drawing,
    colour,
    dash,
    grid_of_axes,
    hover,
    legend_below,
    marker,
    new_figure,
    plain_numbers,
    retitle,
    sign,
)
from bench.training.tracks import peers_of

BY = ("time", "commit", "run")
"""What the runs are placed by."""


class Axis:
    """The place of each run on the x axis.

    Args:
        tracked: All series of a panel.
        by: One of `BY`. Runs without a known time, or of one moment, are placed in their order; so
            are those of a panel in which marks of runs would overlap.
    """

    def __init__(self, tracked: Sequence[History], by: str) -> None:
        points = [point for entry in tracked for point in entry.series.points]
        ordered = sorted(points, key=lambda point: point.started_at)
        starts: dict[str, str] = {}
        for point in ordered:
            starts.setdefault(point.run, point.started_at)
        timeless = "" in starts.values() or len(set(starts.values())) < 2
        self.dated = by == "time" and not timeless
        self.steps = not self.dated or _too_close(list(starts.values()))
        self.by = by if by != "time" or self.dated else "run"
        keys = dict.fromkeys(map(self._key, ordered))
        self.ticks = {key: float(place) for place, key in enumerate(keys)}
        days = [start[:10] for start in starts.values()]
        self._names = {
            run: f"{start[:10]} {start[11:16]}" if days.count(start[:10]) > 1 else start[:10]
            for run, start in starts.items()
        }

    def _key(self, point: Point) -> str:
        return (point.commit or "unknown") if self.by == "commit" else point.run

    def at(self, point: Point) -> float:
        """The place of a point."""
        if not self.steps:
            return _date(point.started_at)
        return self.ticks[self._key(point)]

    def between(self, before: Point, now: Point) -> float:
        """The place of what changed from one point to the next of a curve."""
        apart = self.steps and self.at(before) != self.at(now)
        return self.at(now) - 0.5 if apart else (self.at(before) + self.at(now)) / 2

    def name(self, point: Point) -> str:
        """What a reader finds the run of a point by: its day, commit or name."""
        return self._names[point.run] if self.dated else self._key(point)

    def aside(self, place: int, number: int) -> float:
        """Offset of a curve from the middle of a step: the one at `place` of `number` curves."""
        between = min(_ASIDE, _BESIDE / number)
        return between * (place - (number - 1) / 2) if self.steps else 0.0

    def label(self, axes: Axes) -> None:
        """Ticks and their names."""
        if not self.steps:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            shows = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_formatter(shows)
            return
        shown = list(self.ticks.items())[:: -(-len(self.ticks) // _TICKS)]
        names = [self._names[key] if self.dated else key for key, _ in shown]
        upright = self.dated and len(shown) <= _UPRIGHT
        axes.set_xticks(
            [place for _, place in shown],
            [name.replace(" ", "\n") if upright else name for name in names],
            rotation=0 if upright else 30,
            ha="center" if upright else "right",
        )
        if self.dated:
            axes.set_xlabel("runs in the order of time, one step each (UTC)", color=SOFT)


_ASIDE, _BESIDE = 0.1, 0.6  # of a step, between two curves and of all of them
_TICKS, _UPRIGHT = 12, 9  # names below a panel at most, and those that stand side by side
_APART = 25
"""Two runs nearer than the length of the axis over this cover each other's marks."""
_UNEVEN = 4
"""Runs have steps where two are also this many times nearer than the mean distance."""


def _date(started_at: str) -> float:
    return float(date2num(datetime.fromisoformat(started_at)))  # type: ignore[no-untyped-call]


def _too_close(starts: Sequence[str]) -> bool:
    """Whether marks of runs that began then would cover each other on an axis of time.

    Runs at regular times, as those of every night, do not: what is near has neighbours as near.
    """
    dates = sorted(map(_date, starts))
    length = dates[-1] - dates[0]
    nearest = min(later - date for date, later in pairwise(dates))
    return nearest < min(length / _APART, length / (len(dates) - 1) / _UNEVEN)


def history(label: str, tracked: Sequence[History], axis: Axis) -> Drawing:
    """One panel: the frameworks of a network and kind over the runs.

    Args:
        label: What tells the network from those of other panels.
        tracked: Series of one kind and of what may be compared, each with two points or more.
        axis: Where runs stand.
    """
    frameworks = framework_labels_of(t.series.case for t in tracked)
    case, name = tracked[0].series.case, tracked[0].series.kind
    title = f"{label}, {case.track} track: {kind_label(name)}"
    figure = new_figure(10, 3.7 if axis.steps else 3.4, title, _data(tracked))
    retitle(figure, title)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    for place, entry in enumerate(tracked):
        _line(axes, entry, axis, axis.aside(place, len(tracked)), frameworks)
    _draw_changes(axes, tracked, axis)
    _draw_breaks(axes, tracked, axis, frameworks)
    axis.label(axes)
    axes.set_ylabel(_unit(name), color=SOFT)
    axes.yaxis.set_major_formatter(plain_numbers())
    axes.margins(x=0.05, y=0.15)
    legend_below(figure, _handles(tracked, frameworks), length=3)
    return Drawing(f"history_{name}", title, "", figure)


HOW = (
    "A panel per network and measurement, a line per framework. Marks are runs with their 95 % "
    "intervals; a hollow mark rests on one process or seed. Triangles are change points, with the "
    "ratio of speeds (or the difference in points) after over before. A dashed line "
    "across the panel is a break of the curve in its colour, or of several where it is grey: the "
    "points on its two sides are not joined. Where runs are close in time, each has a step of its "
    "own, and curves stand side by side in it."
)
"""How to read every panel."""


def _handles(tracked: Sequence[History], frameworks: Sequence[str]) -> list[Line2D]:
    """The legend: each curve with its mark, and the other signs that are in the panel."""
    cases = {entry.series.case.framework_label: entry.series.case for entry in tracked}
    curves = [
        Line2D(
            [],
            [],
            color=colour(name, frameworks),
            linestyle=dash(name, frameworks),
            marker=_mark(cases[name], frameworks),
            label=name,
        )
        for name in frameworks
    ]
    shape = marker(tracked[0].series.case.variant)
    points = [point for entry in tracked for point in entry.series.points]
    signs = [
        (any(point.repeats == 1 for point in points), sign("one process or seed", shape)),
        (any(entry.changes for entry in tracked), sign("change point", "^")),
        (any(point.broken for point in points), sign("break", line=_DASHED)),
    ]
    return [*curves, *(handle for there, handle in signs if there)]


_DASHED = (0, (4, 3))
_EXECUTIONS = "v<>P"
"""Marks of unusual executions: they have the colour of their framework."""


def _mark(case: Case, frameworks: Sequence[str]) -> str:
    """The mark of a curve: that of the network, or one for an unusual execution."""
    if not case.unusual_execution:
        return marker(case.variant)
    own = [name for name in frameworks if name.partition(" ")[0] == case.framework]
    unusual = [name for name in own if name != case.framework]
    return _EXECUTIONS[unusual.index(case.framework_label) % len(_EXECUTIONS)]


@dataclass(frozen=True)
class BreakLine:
    """A break of curves of one panel, for the list below it.

    Attributes:
        at: What its later run is called on the axis.
        curves: Labels of the frameworks, each with its colour.
        facts: What differs.
    """

    at: str
    curves: tuple[tuple[str, str], ...]
    facts: tuple[Break, ...]


def break_lines(tracked: Sequence[History], axis: Axis) -> list[BreakLine]:
    """The breaks of a panel, in the order of time: each once for all curves that have it."""
    frameworks = framework_labels_of(entry.series.case for entry in tracked)
    found: dict[tuple[float, str, Break], list[str]] = {}
    for entry in tracked:
        for point in entry.series.points:
            for broken in point.broken:
                key = axis.at(point) if axis.steps else _date(point.started_at[:10])
                curves = found.setdefault((key, axis.name(point), broken), [])
                curves.append(entry.series.case.framework_label)
    lines: dict[tuple[str, tuple[str, ...]], list[Break]] = {}
    for (_, at, broken), curves in sorted(found.items(), key=lambda item: item[0][0]):
        lines.setdefault((at, tuple(curves)), []).append(broken)
    return [
        BreakLine(at, tuple((name, colour(name, frameworks)) for name in curves), tuple(facts))
        for (at, curves), facts in lines.items()
    ]


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


def _line(
    axes: Axes, tracked: History, axis: Axis, aside: float, frameworks: Sequence[str]
) -> None:
    series = tracked.series
    scale = scale_of(series.kind)
    tint = colour(series.case.framework_label, frameworks)
    line = dash(series.case.framework_label, frameworks)
    shape = _mark(series.case, frameworks)
    places = [axis.at(point) + aside for point in series.points]
    for i, point in enumerate(series.points):
        value, low, high = point.estimate
        if i and not point.broken:
            before = series.points[i - 1].estimate.value
            ends = [scale * before, scale * value]
            axes.plot(places[i - 1 : i + 1], ends, color=tint, linewidth=1, linestyle=line)
        if low is not None and high is not None:
            axes.plot([places[i]] * 2, [scale * low, scale * high], color=tint, linewidth=1.6)
        face = tint if point.repeats > 1 else "white"
        (mark,) = axes.plot(
            places[i], scale * value, shape, color=tint, markerfacecolor=face, zorder=3
        )
        words = f"{value_of_point(point)} {interval_of_point(point)}"
        hover(mark, f"{series.case.framework_label}, {point.run}: {words}")


def _draw_changes(axes: Axes, tracked: Sequence[History], axis: Axis) -> None:
    """Draw the change points; those of one run have their words together, above the highest."""
    found: dict[float, list[tuple[float, float, str, str]]] = {}
    for place, entry in enumerate(tracked):
        series = entry.series
        for change in entry.changes:
            point = series.points[change.place]
            x = axis.at(point) + axis.aside(place, len(tracked))
            y = scale_of(series.kind) * point.estimate.value
            axes.plot(x, y, "^", color=INK, markersize=9, markerfacecolor="none", zorder=4)
            words = change_words(change, series.kind).partition(" [")[0]
            mark = y, x, words, series.case.framework_label
            found.setdefault(round(axis.at(point), _SAME_PLACE), []).append(mark)
    for marks in found.values():
        y, x, *_ = max(marks)
        same = len({words for *_, words, _ in marks}) == 1
        lines = [words if same else f"{name} {words}" for *_, words, name in marks]
        text = "\n".join(dict.fromkeys(lines))
        axes.annotate(text, (x, y), xytext=(6, 8), textcoords="offset points", fontsize=8)


_SAME_PLACE = 1
"""Digits of a place (days, or steps): measurements of one run begin minutes apart."""


def _draw_breaks(
    axes: Axes, tracked: Sequence[History], axis: Axis, frameworks: Sequence[str]
) -> None:
    tints: dict[float, set[str]] = {}
    for entry in tracked:
        tint = colour(entry.series.case.framework_label, frameworks)
        for before, now in pairwise(entry.series.points):
            if now.broken:
                tints.setdefault(axis.between(before, now), set()).add(tint)
    for place, of in tints.items():
        shade = next(iter(of)) if len(of) == 1 else SOFT
        axes.axvline(place, color=shade, linewidth=1, linestyle=_DASHED, zorder=1)


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
