"""The x axis of a history: where each run stands, by time, by commit or in steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from bench.analysis.across.changes import History
from bench.analysis.across.series import Point
from bench.report.plot_style import SOFT

BY = ("time", "commit", "run")
"""What the runs are placed by."""


def days_of(points: Iterable[Point]) -> dict[str, str]:
    """By run the day on which it began (UTC), with the time where others of them began on it."""
    begun = {point.run: point.begun for point in points}
    runs = Counter(start[:10] for start in begun.values())
    return {
        run: f"{start[:10]} {start[11:16]}" if runs[start[:10]] > 1 else start[:10]
        for run, start in begun.items()
    }


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
        ordered = sorted(points, key=lambda point: point.begun)
        starts = {point.run: point.begun for point in ordered}
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
        self._names = days_of(ordered)

    def _key(self, point: Point) -> str:
        return (point.commit or "unknown") if self.by == "commit" else point.run

    def at(self, point: Point) -> float:
        """The place of a point."""
        if not self.steps:
            return _date(point.begun)
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


_INCHES = {False: 8.0, True: 3.0}
"""Of a panel from the first run to the last; narrow or not."""
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
