"""When each seed of an accuracy record reached an accuracy: in seconds or images.

What the table and the plot of time to accuracy share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.core.records import Record
from bench.stats.survival import Seed

PARTS = ("import_seconds", "build_seconds", "first_step_seconds")
"""Parts of a start-up; the last one is a part of the training's seconds, too."""


def startup_of(record: Record) -> dict[str, float] | None:
    """Seconds of each of ``PARTS``; None where a record lacks one (schema of before start-ups)."""
    parts = record.metrics.get("startup") or {}
    if any(parts.get(part) is None for part in PARTS):
        return None
    return {part: float(parts[part]) for part in PARTS}


def before_training(record: Record) -> float:
    """Seconds before the first step; 0 where they are unknown."""
    parts = startup_of(record)
    return parts["import_seconds"] + parts["build_seconds"] if parts else 0.0


@dataclass(frozen=True)
class TimeToAccuracy:
    """Experiments on one network whose times to an accuracy are compared.

    Attributes:
        members: One experiment per framework; they share how far they are followed.
        with_startup: Whether seconds include the start-up: not where one record lacks its own.

    Records whose seconds are no measurement are followed by images alone.
    """

    members: tuple[Experiment, ...]
    with_startup: bool

    def thresholds(self) -> list[float]:
        """The accuracies (fractions) that some seed reached, in order."""
        entries = (entry for e in self.members for r in e.ok for entry in _thresholds(r))
        return sorted({entry["accuracy"] for entry in entries if entry["images"] is not None})

    @property
    def timed(self) -> bool:
        """Whether the seconds of every record are a measurement."""
        return all(_has_end(record, "seconds") for e in self.members for record in e.ok)

    def horizon(self, unit: str) -> float:
        """How far every framework is followed, in ``seconds`` or ``images``.

        As far as every seed of every framework was trained. One that diverged will never reach
        anything, so its end is no limit for the others. Not a number where none is followed.
        """
        ends = [
            (self._end(record, unit), bool(record.metrics.get("diverged")))
            for experiment in self.members
            for record in experiment.ok
            if _has_end(record, unit)
        ]
        limits = [end for end, diverged in ends if not diverged]
        return min(limits) if limits else max((end for end, _ in ends), default=math.nan)

    def seeds(self, experiment: Experiment, threshold: float, unit: str) -> list[Seed]:
        """When each seed with a result reached an accuracy, or until when it had not.

        Args:
            experiment: One of the members.
            threshold: The accuracy, a fraction.
            unit: ``seconds`` or ``images``.

        Returns:
            The seeds whose record has that threshold and that unit. A record without the threshold
            was never asked: its seed is unknown, not one that never reached it. Empty where all
            are unknown.
        """
        followed = [record for record in experiment.ok if _has_end(record, unit)]
        whole = max([self.horizon(unit), *(self._end(record, unit) for record in followed)])
        return [
            self._seed(record, entry, unit, whole)
            for record in followed
            for entry in _thresholds(record)
            if entry["accuracy"] == threshold
        ]

    def _seed(self, record: Record, entry: Mapping[str, Any], unit: str, whole: float) -> Seed:
        if entry[unit] is not None:
            return Seed(float(entry[unit]) + self._offset(record, unit), True)
        # A diverged training ended early, and it is known that it never reaches the accuracy.
        return Seed(whole if record.metrics.get("diverged") else self._end(record, unit), False)

    def _end(self, record: Record, unit: str) -> float:
        return float(record.metrics[f"train_{unit}"]) + self._offset(record, unit)

    def _offset(self, record: Record, unit: str) -> float:
        return before_training(record) if unit == "seconds" and self.with_startup else 0.0


def _thresholds(record: Record) -> list[dict[str, Any]]:
    return record.metrics.get("thresholds") or []


def _has_end(record: Record, unit: str) -> bool:
    """Whether a record says how long it was trained in that unit."""
    return record.metrics.get(f"train_{unit}") is not None


def times_to_accuracy(results: Results) -> list[TimeToAccuracy]:
    """Experiments with results by what may be compared, in the order of tables.

    What is uncertified, or may not be compared with the reference, is followed alone.
    """
    groups: dict[tuple[Any, ...], list[Experiment]] = {}
    for whole in results.experiments("accuracy"):
        experiment = whole
        if not all(_has_end(record, "images") for record in whole.ok):
            followed = tuple(r for r in whole.records if not r.ok or _has_end(r, "images"))
            experiment = replace(whole, records=followed)
        if experiment.ok:
            refused = bool(results.comparability(experiment)["not_compared"])
            alone = experiment.case if refused else None
            key = (experiment.peers, experiment.certified, alone)
            groups.setdefault(key, []).append(experiment)
    return [TimeToAccuracy(tuple(group), _with_startup(group)) for group in groups.values()]


def _with_startup(group: Iterable[Experiment]) -> bool:
    timed = (r for experiment in group for r in experiment.ok if _has_end(r, "seconds"))
    return all(startup_of(record) is not None for record in timed)
