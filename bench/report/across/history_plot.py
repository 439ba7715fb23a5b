"""The plot of a history: a panel per network and kind, a line per framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from bench.analysis.across.changes import History
from bench.analysis.across.series import Point
from bench.analysis.experiments import Data, data_of, framework_labels_of, labels
from bench.core.case import Case
from bench.core.kinds import kind
from bench.report.across.words import change_words, kind_label
from bench.report.plot_style import (
    INK,
    SOFT,
    Drawing,
    colour,
    dash,
    framework_legend,
    grid_of_axes,
    marker,
    new_figure,
    plain_numbers,
    retitle,
)
from bench.training.tracks import peers_of

BY = ("time", "commit", "run")
"""What the runs are placed by."""


class Axis:
    """The place of each run on the x axis.

    Args:
        tracked: All series of the history.
        by: One of `BY`. Runs without a known time, or of one moment, are placed in their order.
    """

    def __init__(self, tracked: Sequence[History], by: str) -> None:
        points = [point for entry in tracked for point in entry.series.points]
        ordered = sorted(points, key=lambda point: point.started_at)
        times = {point.started_at for point in ordered}
        self.by = by if by != "time" or ("" not in times and len(times) > 1) else "run"
        keys = dict.fromkeys(map(self._key, ordered))
        self.ticks = {key: float(place) for place, key in enumerate(keys)}

    def _key(self, point: Point) -> str:
        return {"commit": point.commit or "unknown", "run": point.run}.get(self.by, "")

    def at(self, point: Point) -> float:
        """The place of a point."""
        if self.by == "time":
            moment = datetime.fromisoformat(point.started_at)
            return float(date2num(moment))  # type: ignore[no-untyped-call]
        return self.ticks[self._key(point)]

    def label(self, axes: Axes) -> None:
        """Ticks and their names."""
        if self.by == "time":
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            shows = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_formatter(shows)
            return
        step = -(-len(self.ticks) // 12)
        shown = list(self.ticks.items())[::step]
        axes.set_xticks(
            [place for _, place in shown], [name for name, _ in shown], rotation=30, ha="right"
        )


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
    figure = new_figure(10, 3.4, title, _data(tracked))
    retitle(figure, title)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    for entry in tracked:
        _line(axes, entry, axis, frameworks)
    breaks = _breaks(axes, tracked, axis, frameworks)
    axis.label(axes)
    axes.set_ylabel(_unit(name), color=SOFT)
    axes.yaxis.set_major_formatter(plain_numbers())
    axes.margins(x=0.05, y=0.15)
    framework_legend(figure, frameworks, lines=True)
    how = f"Breaks: {'; '.join(dict.fromkeys(breaks))}." if breaks else ""
    return Drawing(f"history_{name}", title, how, figure)


HOW = (
    "A panel per network and measurement, a line per framework. Marks are runs with their 95 % "
    "intervals; a hollow mark rests on one process or seed. Triangles are change points, with the "
    "ratio of speeds (or the difference in points) after over before. A dashed line "
    "across the panel is a break of the curve in its colour, or of several where it is grey: the "
    "points on its two sides are not joined."
)
"""How to read every panel."""


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


def _line(axes: Axes, tracked: History, axis: Axis, frameworks: Sequence[str]) -> None:
    series = tracked.series
    scale = scale_of(series.kind)
    tint = colour(series.case.framework_label, frameworks)
    line = dash(series.case.framework_label, frameworks)
    shape = marker(series.case.variant)
    places = [axis.at(point) for point in series.points]
    for i, point in enumerate(series.points):
        value, low, high = point.estimate
        if i and not point.broken:
            before = series.points[i - 1].estimate.value
            ends = [scale * before, scale * value]
            axes.plot(places[i - 1 : i + 1], ends, color=tint, linewidth=1, linestyle=line)
        if low is not None and high is not None:
            axes.plot([places[i]] * 2, [scale * low, scale * high], color=tint, linewidth=1.6)
        face = tint if point.repeats > 1 else "white"
        axes.plot(places[i], scale * value, shape, color=tint, markerfacecolor=face, zorder=3)
    for change in tracked.changes:
        at = places[change.place], scale * series.points[change.place].estimate.value
        axes.plot(*at, "^", color=INK, markersize=9, markerfacecolor="none", zorder=4)
        words = change_words(change, series.kind).partition(" [")[0]
        axes.annotate(words, at, xytext=(6, 8), textcoords="offset points", fontsize=8)


def _breaks(
    axes: Axes, tracked: Sequence[History], axis: Axis, frameworks: Sequence[str]
) -> list[str]:
    """Draw the breaks; what each of them is, in the order of time."""
    found: dict[float, dict[str, None]] = {}
    tints: dict[float, set[str]] = {}
    for entry in tracked:
        tint = colour(entry.series.case.framework_label, frameworks)
        for before, now in zip(entry.series.points, entry.series.points[1:], strict=False):
            if now.broken:
                place = (axis.at(before) + axis.at(now)) / 2
                found.setdefault(place, {}).update(dict.fromkeys(now.broken))
                tints.setdefault(place, set()).add(tint)
    for place, of in tints.items():
        shade = next(iter(of)) if len(of) == 1 else SOFT
        axes.axvline(place, color=shade, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    return [_first(words) for _, words in sorted(found.items())]


def _first(words: Mapping[str, None], shown: int = 3) -> str:
    some = list(words)
    more = len(some) - shown
    return ", ".join(some[:shown]) + (f" and {more} more" if more > 0 else "")


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
