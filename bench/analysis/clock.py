"""The sync audit of an experiment: does a synced block take as long as the work in it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.experiments import Experiment
from bench.core.records import Record
from bench.stats import estimates

TOLERANCE = 0.1
"""How far a synced step may be from one whose weights were read, relative: a missing
synchronisation makes a step several times too short, not a tenth."""
MISSING_SYNC, SYNCED = "missing synchronisation", "synchronised"
INCONCLUSIVE, NO_SLOPE = "inconclusive", "no slope"


@dataclass(frozen=True)
class SyncAudit:
    """Seconds of a training step measured in four ways (medians), and their comparison.

    Attributes:
        block: Seconds a step of a timed block.
        unsynced: Seconds a step until the call returns.
        synced: Seconds a step until the sync returns: the slope over calls of several lengths.
        slope: The same until the trained weights lie on the host, which nothing can deliver early.
        ratio: Synced over slope, call by call, with its 95 % interval.
        device: By the accelerator's own clock, of the same blocks; None where there is none.
    """

    block: float
    unsynced: float
    synced: float
    slope: float
    ratio: estimates.Estimate
    device: float | None = None

    @property
    def verdict(self) -> str:
        """``missing synchronisation``, ``synchronised``, ``inconclusive`` or ``no slope``.

        Synchronised is an interval that lies wholly within 1 ± `TOLERANCE`; the synchronisation is
        missing where it lies wholly below, or where the device computed for longer than a block
        took. All else is inconclusive: an interval that reaches beyond, however far above, is of
        two slopes that were not measured well enough.
        """
        if self.device is not None and self.block < (1 - TOLERANCE) * self.device:
            return MISSING_SYNC
        value, low, high = self.ratio
        if np.isnan(value):
            return NO_SLOPE
        if low is None or high is None:
            return INCONCLUSIVE
        if high < 1 - TOLERANCE:
            return MISSING_SYNC
        within = low >= 1 - TOLERANCE and high <= 1 + TOLERANCE
        return SYNCED if within else INCONCLUSIVE


def sync_audit_of(experiment: Experiment) -> SyncAudit | None:
    """The audit of an experiment's records; None where none was made."""
    return sync_audit(experiment.ok)


def sync_audit(records: Sequence[Record]) -> SyncAudit | None:
    """The audit of the records of one experiment; None where none was made."""
    audits = _audits(records)
    if not audits:
        return None
    seconds = {name: _seconds(audits, name) for name in ("block", "unsynced", "synced", "slope")}
    usable = _pairs(seconds["synced"], seconds["slope"])
    ratio = estimates.UNKNOWN
    if usable:
        ratio = estimates.paired_ratio(*zip(*usable, strict=True))
    block, unsynced, synced, slope = (float(np.median(v)) for v in seconds.values())
    return SyncAudit(block, unsynced, synced, slope, ratio, _device_seconds(records))


def lacks_sync(record: Record) -> bool:
    """Whether the verdict on a record is `MISSING_SYNC`, without an interval where none can say so.

    No resample of ratios at or above the tolerance has a median below it.
    """
    audits = _audits([record])
    if not audits:
        return False
    pairs = _pairs(_seconds(audits, "synced"), _seconds(audits, "slope"))
    if not record.metrics.get("device_seconds") and all(
        synced / slope >= 1 - TOLERANCE for synced, slope in pairs
    ):
        return False
    audit = sync_audit([record])
    return audit is not None and audit.verdict == MISSING_SYNC


def _audits(records: Sequence[Record]) -> list[Mapping[str, Any]]:
    """The audits of records, but for those of the first form and those whose calls are no pairs."""
    found = (record.metrics.get("clock") or {} for record in records)
    names = [f"{name}_seconds_per_step" for name in ("block", "unsynced", "synced", "slope")]
    return [
        clock
        for clock in found
        if all(clock.get(name) for name in names) and len({len(clock[n]) for n in names[2:]}) == 1
    ]


def _pairs(synced: Sequence[float], slopes: Sequence[float]) -> list[tuple[float, float]]:
    """Synced seconds and slope of each call whose slope says something.

    A slope of few noisy timings may come out negative; it then says nothing. A synced one at or
    below zero next to a positive one is the strongest sign of a missing synchronisation.
    """
    pairs = zip(synced, slopes, strict=True)
    return [(max(own, 1e-6 * slope), slope) for own, slope in pairs if slope > 0]


def _device_seconds(records: Sequence[Record]) -> float | None:
    """Of a step, by the accelerator's clock: the median of all blocks."""
    found = [
        seconds / (record.metrics.get("steps_per_sample") or 1)
        for record in records
        for seconds in record.metrics.get("device_seconds") or ()
    ]
    return float(np.median(found)) if found else None


def _seconds(audits: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [value for audit in audits for value in audit[f"{name}_seconds_per_step"]]
