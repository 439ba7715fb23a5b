"""Change points of a series: after which run a case is faster, slower or more accurate for good.

`ruptures` proposes them (PELT, a change of the mean; Killick et al. 2012), among points of equal
conditions alone. A proposal is kept where the runs before and after it differ by the verdict that
every comparison of the suite has, with the run as the unit of speeds (the spread between runs is in
it) and the training as that of accuracies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from bench.analysis.across.series import Point, Series, series_of
from bench.analysis.doubts import doubt_of
from bench.analysis.runs import Run
from bench.analysis.speeds import speeds_of, with_conditions
from bench.core.kinds import kind
from bench.core.system.machine import is_disturbed
from bench.stats.estimates import Estimate, unpaired
from bench.stats.seeds import welch_difference
from bench.stats.verdicts import ACCURACY, INCONCLUSIVE, TIE, Verdict, speed_verdict, verdict

LEAST = 2
"""Runs on each side of a change: one run may be slow for a reason of its own."""
_PENALTY = 3.0
"""Times the variance of the noise and the logarithm of the number of points; BIC has 2. With it
and the verdict, at most one series in twenty without a change has one
(tests/analysis/test_across.py)."""
_FLOOR = {True: 0.002, False: 0.001}
"""Least noise that is assumed: of speeds relative, of accuracies as a fraction. Equal values would
otherwise make a change of any other."""

MISSING = "ruptures is not installed, so no change points: pip install 'alexbench[history]'"


@dataclass(frozen=True)
class Change:
    """A change of level.

    Attributes:
        place: Of the first point after it, in the points of the series.
        estimate: Ratio of speeds after over before; of accuracies the difference, as a fraction.
        verdict: ``faster`` or ``slower``; ``higher`` or ``lower``.
        before: Number of runs before it, back to the change before or the break.
        after: Number of runs after it.
    """

    place: int
    estimate: Estimate
    verdict: str
    before: int
    after: int


@dataclass(frozen=True)
class History:
    """A series with its changes."""

    series: Series
    changes: tuple[Change, ...]

    @property
    def long_enough(self) -> bool:
        """Whether it has as many runs of equal conditions as a change needs on its two sides."""
        alike = Counter(point.conditions for point in self.series.points)
        return max(alike.values(), default=0) >= 2 * LEAST


def histories(runs: Sequence[Run]) -> list[History]:
    """Every case of the runs with its changes, in the order of tables."""
    return [History(series, tuple(changes_of(series))) for series in series_of(runs)]


def can_find() -> bool:
    """Whether the library is installed."""
    return find_spec("ruptures") is not None


def changes_of(series: Series) -> list[Change]:
    """The changes of a series, in order; none without the library (`MISSING`)."""
    found: list[Change] = []
    if not can_find():
        return found
    for conditions in dict.fromkeys(point.conditions for point in series.points):
        places = [i for i, point in enumerate(series.points) if point.conditions == conditions]
        found += _among(series, places)
    return sorted(found, key=lambda change: change.place)


def _among(series: Series, places: Sequence[int]) -> list[Change]:
    points = [series.points[place] for place in places]
    timed = kind(series.kind).timed
    cuts = proposed([_level(point, timed) for point in points], _FLOOR[timed])
    while cuts:
        ends = [0, *cuts, len(points)]
        changes = [
            _change(points[ends[i] : cut], points[cut : ends[i + 2]], timed, places[cut])
            for i, cut in enumerate(cuts)
        ]
        doubtful = [change for change in changes if change.verdict in (INCONCLUSIVE, TIE)]
        if not doubtful:
            return changes
        weakest = min(doubtful, key=lambda change: _size(change, timed))
        cuts.remove(places.index(weakest.place))
    return []


def _level(point: Point, timed: bool) -> float:
    value = point.estimate.value
    return math.log(value) if timed else value


def _size(change: Change, timed: bool) -> float:
    return abs(math.log(change.estimate.value) if timed else change.estimate.value)


def proposed(levels: Sequence[float], floor: float) -> list[int]:
    """Places of the first value after each change of the mean that ruptures proposes.

    Args:
        levels: One value per run, in order; logarithms where relative changes matter.
        floor: Least standard deviation of the noise.
    """
    import ruptures  # noqa: PLC0415  # an optional package

    if len(levels) < 2 * LEAST:
        return []
    values = np.asarray(levels, dtype=float)
    # From steps between neighbours, of which a change makes one: robust against the changes.
    noise = 1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2)
    penalty = _PENALTY * max(noise, floor) ** 2 * math.log(len(values))
    search = ruptures.Pelt(model="l2", min_size=LEAST, jump=1).fit(values.reshape(-1, 1))
    return [int(end) for end in search.predict(pen=penalty)[:-1]]


def _change(before: Sequence[Point], after: Sequence[Point], timed: bool, place: int) -> Change:
    estimate, found = (_speeds if timed else _accuracies)(before, after)
    return Change(place, estimate, found.word, len(before), len(after))


def _speeds(before: Sequence[Point], after: Sequence[Point]) -> tuple[Estimate, Verdict]:
    """Ratio of levels of runs: each run counts as what a process is within a run.

    Runs that give no verdict, as disturbed ones, are left out where enough others are there.
    """
    calm = [[point for point in side if not _is_doubtful(point)] for side in (before, after)]
    if min(map(len, calm)) >= LEAST:
        before, after = calm
    sides = [[_pooled(point) for point in side] for side in (after, before)]
    records = [record for point in (*before, *after) for record in point.records]
    ratio = with_conditions(unpaired(*sides), records)
    return ratio.ratio, speed_verdict(ratio)


def _is_doubtful(point: Point) -> bool:
    disturbed = any(is_disturbed(record.metrics) for record in point.records)
    return disturbed or bool(doubt_of(point.records))


def _pooled(point: Point) -> list[float]:
    return [speed for record in point.records for process in speeds_of(record) for speed in process]


def _accuracies(before: Sequence[Point], after: Sequence[Point]) -> tuple[Estimate, Verdict]:
    """Difference of the means of trainings: one that runs repeat bit for bit counts once."""
    sides = [
        list({(r.case.seed, r.samples[0]): r.samples[0] for p in side for r in p.records}.values())
        for side in (after, before)
    ]
    estimate = welch_difference(*sides)
    return estimate, verdict(estimate, ACCURACY, min(map(len, sides)))
