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
    PHONE,
    SOFT,
    Drawing,
    accuracy_axis,
    colour,
    dash,
    grid_of_axes,
    hover,
    legend_below,
    marker,
    new_figure,
    plain_numbers,
    possible,
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
        narrow: Whether the panel is for the width of a phone.
    """

    def __init__(self, tracked: Sequence[History], by: str, *, narrow: bool = False) -> None:
        self.narrow = narrow
        self._inches = _INCHES[narrow]
        points = [point for entry in tracked for point in entry.series.points]
        ordered = sorted(points, key=lambda point: point.started_at)
        starts: dict[str, str] = {}
        for point in ordered:
            starts.setdefault(point.run, point.started_at)
        timeless = "" in starts.values() or len(set(starts.values())) < 2
        self.dated = by == "time" and not timeless
        dates = sorted(map(_date, starts.values())) if self.dated else []
        self.steps = not self.dated or _too_close(dates, self._inches)
        self.by = by if by != "time" or self.dated else "run"
        keys = dict.fromkeys(map(self._key, ordered))
        self.ticks = {key: float(place) for place, key in enumerate(keys)}
        places = list(self.ticks.values()) if self.steps else dates
        self._inch = (places[-1] - places[0] or 1.0) / self._inches
        nearest = min((later - place for place, later in pairwise(places)), default=1.0)
        self._spacing = nearest / self._inch
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

    @property
    def mark_size(self) -> float:
        """Points of a mark: less where runs are so close that marks would cover each other."""
        usual = _MARK[self.narrow]
        return min(max(72 * _FILLED * self._spacing, usual / 2), usual)

    def name(self, point: Point) -> str:
        """What a reader finds the run of a point by: its day, commit or name."""
        return self._names[point.run] if self.dated else self._key(point)

    def aside(self, place: int, number: int) -> float:
        """Offset of a curve from the place of its run: the one at `place` of `number` curves.

        Marks and intervals of one run would lie on each other where frameworks are alike.
        """
        inches = min(_ASIDE, _BESIDE * self._spacing / number)
        return inches * self._inch * (place - (number - 1) / 2)

    def label(self, axes: Axes) -> None:
        """Ticks and their names."""
        if not self.steps:
            few = {"minticks": 2, "maxticks": _TICKS_PHONE} if self.narrow else {}
            locator = AutoDateLocator(**few)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            shows = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_formatter(shows)
            return
        most = _TICKS_PHONE if self.narrow else _TICKS
        shown = list(self.ticks.items())[:: -(-len(self.ticks) // most)]
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


_WIDTH = {False: 10.0, True: PHONE}
_LEGEND_LINE = 0.2
_INCHES = {False: 8.0, True: 3.0}
"""Of a figure, of a line of its legend, and of its panel from the first run to the last; narrow or
not."""
_MARK = {False: 6.0, True: 4.5}
_FILLED = 0.6
"""Points of a mark, narrow or not, and the share of the distance between runs that it may take."""
_ASIDE, _BESIDE = 0.13, 0.6  # inches between two curves, and of a run's distance for all of them
_TICKS, _UPRIGHT, _TICKS_PHONE = 12, 9, 4  # names below a panel at most; that stand side by side
_APART = 0.35
"""Inches: two runs that are nearer cover each other's marks."""
_UNEVEN = 4
"""Runs have steps where two are also this many times nearer than the mean distance."""


def _date(started_at: str) -> float:
    return float(date2num(datetime.fromisoformat(started_at)))  # type: ignore[no-untyped-call]


def _too_close(dates: Sequence[float], inches: float) -> bool:
    """Whether marks of runs of these days would cover each other on an axis of time.

    Runs at regular times, as those of every night, do not: what is near has neighbours as near.
    """
    length = dates[-1] - dates[0]
    nearest = min(later - date for date, later in pairwise(dates))
    return nearest < min(length * _APART / inches, length / (len(dates) - 1) / _UNEVEN)


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
    handles = _handles(tracked, frameworks)
    height = 3.7 if axis.steps else 3.4
    height += _LEGEND_LINE * max(len(handles) - 3, 0) * axis.narrow  # it has one column
    figure = new_figure(_WIDTH[axis.narrow], height, title, _data(tracked))
    retitle(figure, title)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    for place, entry in enumerate(tracked):
        _line(axes, entry, axis, axis.aside(place, len(tracked)), frameworks)
    _draw_changes(axes, tracked, axis)
    axes.margins(x=0.05, y=0.15)
    if not kind(name).timed:
        ends = [axes.dataLim.y0, axes.dataLim.y1]
        axes.set_ylim(*(100 * end for end in accuracy_axis(end / 100 for end in ends)))
    _draw_breaks(axes, breaks_of(tracked), axis)
    axis.label(axes)
    axes.set_ylabel(_unit(name), color=SOFT)
    axes.yaxis.set_major_formatter(plain_numbers())
    legend_below(figure, handles, length=3)
    return Drawing(f"history_{name}", title, "", figure)


HOW = (
    "A panel per network and measurement, a line per framework. Marks are runs with their 95 % "
    "intervals; a hollow mark rests on one process or seed. Triangles are change points, with the "
    "ratio of speeds (or the difference in points) after over before. A dashed line "
    "across the panel is a break of the curves in whose colours its dashes are, and of no other: "
    "their points on its two sides are not joined. Its number is that of the list below the plot, "
    "which names these curves and what changed. Curves stand side by side at each run; where runs "
    "are close in time, each has a step of its own. Axes of accuracies span two points or more, "
    "and intervals of accuracies are drawn from 0 to 100 % at most."
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
        (
            any(point.broken for point in points),
            sign("break of the curves in its colours", line=_DASHED),
        ),
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
class CurveBreak:
    """What differs between the two points of some curves that a break stands between.

    Attributes:
        curves: Labels of the frameworks, each with its colour.
        facts: What differs.
    """

    curves: tuple[tuple[str, str], ...]
    facts: tuple[Break, ...]


@dataclass(frozen=True)
class BreakLine:
    """The line of the breaks before one run of a panel.

    Attributes:
        number: By which the list below the panel names it.
        befores: For each broken curve its last point before the line.
        nows: The first after it.
        parts: Which curves are broken by what.
    """

    number: int
    befores: tuple[Point, ...]
    nows: tuple[Point, ...]
    parts: tuple[CurveBreak, ...]

    @property
    def tints(self) -> list[str]:
        """The colours of its curves."""
        return list(dict.fromkeys(tint for part in self.parts for _, tint in part.curves))

    def place(self, axis: Axis) -> float:
        """Where it stands: between the points of every curve that it is of."""
        last, first = max(map(axis.at, self.befores)), min(map(axis.at, self.nows))
        if axis.steps and last < first:
            return first - 0.5
        return (min(last, first) + first) / 2


def breaks_of(tracked: Sequence[History]) -> list[BreakLine]:
    """The breaks of a panel, in the order of time: a line for each run that some stand before."""
    frameworks = framework_labels_of(entry.series.case for entry in tracked)
    found: dict[str, list[tuple[Point, Point, str]]] = {}
    for entry in tracked:
        name = entry.series.case.framework_label
        for before, now in pairwise(entry.series.points):
            if now.broken:
                found.setdefault(now.run, []).append((before, now, name))
    ordered = sorted(found.values(), key=lambda some: min(now.started_at for _, now, _ in some))
    lines = []
    for number, some in enumerate(ordered, start=1):
        by_facts: dict[tuple[Break, ...], list[str]] = {}
        for _, now, name in some:
            by_facts.setdefault(now.broken, []).append(name)
        parts = (
            CurveBreak(tuple((name, colour(name, frameworks)) for name in curves), facts)
            for facts, curves in by_facts.items()
        )
        befores, nows = tuple(before for before, *_ in some), tuple(now for _, now, _ in some)
        lines.append(BreakLine(number, befores, nows, tuple(parts)))
    return lines


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
    size = axis.mark_size
    for i, point in enumerate(series.points):
        whole = point.estimate
        value, low, high = whole if kind(series.kind).timed else possible(whole)
        if i and not point.broken:
            before = series.points[i - 1].estimate.value
            ends = [scale * before, scale * value]
            axes.plot(places[i - 1 : i + 1], ends, color=tint, linewidth=1, linestyle=line)
        if low is not None and high is not None:
            axes.plot([places[i]] * 2, [scale * low, scale * high], color=tint, linewidth=1.6)
        face = tint if point.repeats > 1 else "white"
        (mark,) = axes.plot(
            places[i], scale * value, shape, color=tint, mfc=face, ms=size, zorder=3
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


def _draw_breaks(axes: Axes, lines: Sequence[BreakLine], axis: Axis) -> None:
    """Draw each break in turns of the colours of its curves, with its number above the panel."""
    on, period = _DASHED[1][0], sum(_DASHED[1])
    for line in lines:
        place, tints = line.place(axis), line.tints
        whole = period * len(tints)
        for turn, tint in enumerate(tints):
            dashes = ((whole - turn * period) % whole, (on, whole - on))
            axes.axvline(place, color=tint, linewidth=1.3, linestyle=dashes, zorder=1)
        axes.annotate(
            f"{line.number}",
            (place, 1),
            (0, 2),
            axes.get_xaxis_transform(),
            "offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )


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
