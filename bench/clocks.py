"""Judges the sync audit of an experiment: does a synced block take as long as the work in it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import stats
from bench.grouping import Experiment

TOLERANCE = 0.1
"""How far the two may be apart, relative: a block's own cost (its sync, its first steps after a
pause) is real, and below this nobody's ranking turns on it."""
EARLY, COSTLY, AGREES, UNTOLD = "returns early", "sync costs time", "agrees", "no slope"


@dataclass(frozen=True)
class Clock:
    """Seconds of a training step, three ways (medians), and what they say together."""

    synced: float
    unsynced: float
    slope: float
    ratio: stats.Estimate
    """Synced over slope."""

    @property
    def said(self) -> str:
        """``returns early`` where the interval lies wholly below 1 - `TOLERANCE`: a sync that does
        not wait. ``sync costs time`` where it lies above 1 + `TOLERANCE`."""
        if np.isnan(self.ratio.value):
            return UNTOLD
        if self.ratio.high is not None and self.ratio.high < 1 - TOLERANCE:
            return EARLY
        if self.ratio.low is not None and self.ratio.low > 1 + TOLERANCE:
            return COSTLY
        return AGREES


def clock_of(experiment: Experiment) -> Clock | None:
    """None where no audit was made."""
    told = [clock for r in experiment.ok if (clock := r.metrics.get("clock"))]
    if not told:
        return None
    seconds = {name: _seconds(told, name) for name in ("synced", "unsynced", "slope")}
    # A slope of a few noisy timings may come out negative; it then says nothing.
    slopes = [slope for slope in seconds["slope"] if slope > 0]
    ratio = stats.Estimate(np.nan, None, None)
    if slopes:
        ratio = stats.ratio_in_one_process(seconds["synced"], slopes)
    synced, unsynced, slope = (float(np.median(values)) for values in seconds.values())
    return Clock(synced, unsynced, slope, ratio)


def _seconds(told: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [value for clock in told for value in clock[f"{name}_seconds_per_step"]]
