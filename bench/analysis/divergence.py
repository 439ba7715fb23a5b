"""How long two frameworks' trainings of one seed are the same one, told from the loss of each step.

The closed track gives both the same weights, batches and arithmetic, so only rounding tells them
apart. It starts in the last digits and grows: a sum that rounds otherwise lets a unit of a ReLU or
the winner of a pool fall the other way, and from there the trainings go ways of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.analysis.certified import is_certified
from bench.analysis.comparability import differences, in_words
from bench.analysis.experiments import framework_place
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.training.tracks import peers_of, track

THRESHOLDS = (1e-3, 1e-2)
"""Relative differences to look for. Above the second one, the batch losses of two runs differ more
than a reader could put down to rounding: they are different trainings from there on."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingPair:
    """One framework's training beside the reference's, from one seed."""

    record: Record
    reference: Record

    @property
    def network(self) -> Case:
        """What both are: the case without its framework."""
        return peers_of(self.record.case)

    @property
    def refused(self) -> str:
        """What forbids to compare the two, in words; empty where nothing does."""
        return in_words(differences(self.record, self.reference))

    @cached_property
    def difference(self) -> Array:
        """(steps,) relative difference of the loss at each step that both took.

        Infinite where one loss is a number and the other is not; ends where neither is one.
        """
        mine, theirs = step_losses(self.record), step_losses(self.reference)
        steps = min(len(mine), len(theirs))
        mine, theirs = mine[:steps], theirs[:steps]
        known = np.isfinite(mine) & np.isfinite(theirs)
        lost = ~(np.isfinite(mine) | np.isfinite(theirs))
        relative = np.full(steps, np.inf)
        scale = np.maximum(np.abs(theirs[known]), np.finfo(np.float64).tiny)
        relative[known] = np.abs(mine[known] - theirs[known]) / scale
        return relative[: int(np.argmax(lost))] if lost.any() else relative

    def first_above(self, threshold: float) -> int | None:
        """The first step (from 1) whose difference is above `threshold`; None where none is."""
        above = np.flatnonzero(self.difference > threshold)
        return int(above[0]) + 1 if len(above) else None


def step_losses(record: Record) -> Array:
    """(steps,) loss of each of the first steps, NaN where it was no number; empty if not kept."""
    told = record.metrics.get("step_losses") or ()
    return np.array([np.nan if loss is None else loss for loss in told], dtype=np.float64)


def training_pairs(records: Iterable[Record]) -> list[TrainingPair]:
    """Certified trainings beside the reference (pytorch where it is), network by network."""
    seeds: dict[Case, list[Record]] = {}
    for record in sorted(records, key=lambda r: framework_place(r.case.framework)):
        closed = track(record.case.track).certified and is_certified(record)
        if closed and kind(record.kind).trained and record.ok and len(step_losses(record)):
            seeds.setdefault(peers_of(record.case), []).append(record)
    return [TrainingPair(record, same[0]) for same in seeds.values() for record in same[1:]]


def describe_step(step: int | None, steps: int) -> str:
    """``at step 143`` or ``not within 500 steps``."""
    return f"not within {steps:,} steps" if step is None else f"at step {step:,}"


def comparable_pairs(found: Sequence[TrainingPair]) -> list[TrainingPair]:
    """The pairs that nothing forbids to compare and that took a step."""
    return [pair for pair in found if not pair.refused and len(pair.difference)]
