"""From accuracy records to seeds on their way to an accuracy: seconds or images, start-up or not.

What the table and the plot of time to accuracy share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.core.records import Record
from bench.stats.survival import Seed

PARTS = ("import_seconds", "build_seconds", "first_step_seconds")
"""Of a start-up; the last is a part of the training's seconds, too."""


def startup_of(record: Record) -> dict[str, float] | None:
    """Seconds of each of ``PARTS``; None where a record does not say (those of old do not)."""
    told = record.metrics.get("startup") or {}
    if any(told.get(part) is None for part in PARTS):
        return None
    return {part: float(told[part]) for part in PARTS}


def before_training(record: Record) -> float:
    """Seconds before the first step; 0 where they are unknown."""
    told = startup_of(record)
    return told["import_seconds"] + told["build_seconds"] if told else 0.0


@dataclass(frozen=True)
class Follow:
    """Experiments that share how far they are followed up: one network in several frameworks."""

    members: tuple[Experiment, ...]
    with_startup: bool
    """Whether seconds have the start-up in them: not where one record does not know its own."""

    def goals(self) -> list[float]:
        """The accuracies that some seed reached, in order."""
        entries = (entry for e in self.members for r in e.ok for entry in _thresholds(r))
        return sorted({entry["accuracy"] for entry in entries if entry["images"] is not None})

    def horizon(self, unit: str) -> float:
        """How far every framework is followed up, in ``seconds`` or ``images``.

        A framework is followed as far as its longest training went. One that diverged will never
        reach anything, so it is known for ever and limits nobody.
        """
        ends = [
            max(found)
            for e in self.members
            if (found := [self._end(r, unit) for r in e.ok if not r.metrics.get("diverged")])
        ]
        return min(ends) if ends else self._longest(self.members, unit)

    def seeds(self, experiment: Experiment, goal: float, unit: str) -> list[Seed]:
        """How each seed with a result went on its way to ``goal``."""
        whole = max(self.horizon(unit), self._longest([experiment], unit))
        return [self._seed(record, goal, unit, whole) for record in experiment.ok]

    def _seed(self, record: Record, goal: float, unit: str, whole: float) -> Seed:
        at = next((e[unit] for e in _thresholds(record) if e["accuracy"] == goal), None)
        if at is not None:
            return Seed(float(at) + self._offset(record, unit), True)
        # Its training ended early, but it is known of a diverged seed that it never arrives.
        return Seed(whole if record.metrics.get("diverged") else self._end(record, unit), False)

    def _end(self, record: Record, unit: str) -> float:
        return float(record.metrics[f"train_{unit}"]) + self._offset(record, unit)

    def _longest(self, members: Sequence[Experiment], unit: str) -> float:
        return max(self._end(record, unit) for e in members for record in e.ok)

    def _offset(self, record: Record, unit: str) -> float:
        return before_training(record) if unit == "seconds" and self.with_startup else 0.0


def _thresholds(record: Record) -> list[dict[str, Any]]:
    return record.metrics.get("thresholds") or []


def follows(results: Results) -> list[Follow]:
    """Experiments with results by what may be compared, in the order of tables.

    What is uncertified, or may not be compared with the reference, is followed up alone.
    """
    groups: dict[tuple[Any, ...], list[Experiment]] = {}
    for experiment in results.experiments("accuracy"):
        if any("train_seconds" in record.metrics for record in experiment.ok):
            refused = bool(results.comparability(experiment)["not_compared"])
            alone = experiment.case if refused else None
            key = (experiment.peers, experiment.certified, alone)
            groups.setdefault(key, []).append(experiment)
    return [
        Follow(tuple(group), all(startup_of(r) is not None for e in group for r in e.ok))
        for group in groups.values()
    ]
