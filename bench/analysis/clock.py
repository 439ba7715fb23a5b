"""Judges the sync audit of an experiment: does a synced block take as long as the work in it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.experiments import Experiment
from bench.stats import estimates

TOLERANCE = 0.1
"""How far a synced step may be ahead of one whose weights were read, relative: below this nobody's
ranking turns on it."""
MISSING_SYNC, AGREES, NO_SLOPE = "returns early", "agrees", "no slope"


@dataclass(frozen=True)
class SyncAudit:
    """Seconds of a training step (medians), and what they say together."""

    block: float
    unsynced: float
    synced: float
    slope: float
    ratio: estimates.Estimate
    """Synced over slope, call by call."""

    @property
    def verdict(self) -> str:
        """``returns early`` where the interval lies wholly below 1 - `TOLERANCE`: a sync that does
        not wait."""
        if np.isnan(self.ratio.value):
            return NO_SLOPE
        early = self.ratio.high is not None and self.ratio.high < 1 - TOLERANCE
        return MISSING_SYNC if early else AGREES


def sync_audit_of(experiment: Experiment) -> SyncAudit | None:
    """None where no audit was made."""
    told = [clock for r in experiment.ok if (clock := r.metrics.get("clock"))]
    if not told:
        return None
    seconds = {name: _seconds(told, name) for name in ("block", "unsynced", "synced", "slope")}
    pairs = zip(seconds["synced"], seconds["slope"], strict=True)
    # A slope of few noisy timings may come out negative; it then says nothing. A synced one at or
    # below zero beside a positive one says most of all.
    believed = [(max(synced, 1e-6 * slope), slope) for synced, slope in pairs if slope > 0]
    ratio = estimates.Estimate(np.nan, None, None)
    if believed:
        ratio = estimates.paired_ratio(*zip(*believed, strict=True))
    block, unsynced, synced, slope = (float(np.median(v)) for v in seconds.values())
    return SyncAudit(block, unsynced, synced, slope, ratio)


def _seconds(told: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [value for clock in told for value in clock[f"{name}_seconds_per_step"]]
