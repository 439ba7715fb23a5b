"""When each seed of an accuracy record reached an accuracy: in seconds or images.

What the table and the plot of time to accuracy share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.caveats import is_removed
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
    """

    members: tuple[Experiment, ...]
    with_startup: bool

    def thresholds(self) -> list[float]:
        """The accuracies (fractions) that some seed reached, in order."""
        entries = (entry for e in self.members for r in e.ok for entry in _thresholds(r))
        return sorted({entry["accuracy"] for entry in entries if entry["images"] is not None})

    def horizon(self, unit: str) -> float:
        """How far every framework is followed, in ``seconds`` or ``images``.

        A framework is followed as far as its longest training went. One that diverged will never
        reach anything, so its end is no limit for the others.
        """
        ends = [
            max(found)
            for e in self.members
            if (found := [self._end(r, unit) for r in e.ok if not r.metrics.get("diverged")])
        ]
        return min(ends) if ends else self._longest(self.members, unit)

    def seeds(self, experiment: Experiment, threshold: float, unit: str) -> list[Seed]:
        """When each seed with a result reached an accuracy, or until when it had not.

        Args:
            experiment: One of the members.
            threshold: The accuracy, a fraction.
            unit: ``seconds`` or ``images``.

        Returns:
            The seeds whose record has that threshold. A record without it was never asked: its
            seed is unknown, not one that never reached it. Empty where all are unknown.
        """
        whole = max(self.horizon(unit), self._longest([experiment], unit))
        return [
            self._seed(record, entry, unit, whole)
            for record in experiment.ok
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

    def _longest(self, members: Sequence[Experiment], unit: str) -> float:
        return max(self._end(record, unit) for e in members for record in e.ok)

    def _offset(self, record: Record, unit: str) -> float:
        return before_training(record) if unit == "seconds" and self.with_startup else 0.0


def _thresholds(record: Record) -> list[dict[str, Any]]:
    return record.metrics.get("thresholds") or []


def _is_followed(record: Record) -> bool:
    """Whether a record says how long it was trained, and its seconds are a measurement."""
    ends = (record.metrics.get(name) for name in ("train_seconds", "train_images"))
    return not is_removed(record) and all(end is not None for end in ends)


def times_to_accuracy(results: Results) -> list[TimeToAccuracy]:
    """Experiments with results by what may be compared, in the order of tables.

    What is uncertified, or may not be compared with the reference, is followed alone.
    """
    groups: dict[tuple[Any, ...], list[Experiment]] = {}
    for whole in results.experiments("accuracy"):
        experiment = whole
        if not all(map(_is_followed, whole.ok)):
            followed = tuple(r for r in whole.records if not r.ok or _is_followed(r))
            experiment = replace(whole, records=followed)
        if experiment.ok:
            refused = bool(results.comparability(experiment)["not_compared"])
            alone = experiment.case if refused else None
            key = (experiment.peers, experiment.certified, alone)
            groups.setdefault(key, []).append(experiment)
    return [
        TimeToAccuracy(tuple(group), all(startup_of(r) is not None for e in group for r in e.ok))
        for group in groups.values()
    ]
