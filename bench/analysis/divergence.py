"""Divergence of two frameworks' trainings of one seed: the step from which their losses differ.

The closed track gives both the same weights, batches and arithmetic, so only rounding differs. It
starts in the last digits and grows: another order of summation makes a ReLU or a max pool choose
otherwise, and from there the two are different trainings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.analysis.certified import is_certified
from bench.analysis.comparison.comparability import differences, in_words
from bench.analysis.experiments import framework_place
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.training.tracks import peers_of, track

THRESHOLDS = (1e-3, 1e-2)
"""Relative differences of the loss whose first step is looked for. The second one is far above
rounding: the two first become different trainings there, though later losses may be closer."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingPair:
    """One framework's training and the reference's, from one seed.

    Attributes:
        record: Of the framework.
        reference: Of the reference framework, same case otherwise.
    """

    record: Record
    reference: Record

    @property
    def network(self) -> Case:
        """The case of both, without its framework."""
        return peers_of(self.record.case)

    @property
    def refused(self) -> str:
        """What forbids comparing the two, in words; empty where nothing does."""
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
    """(steps,) loss of each of the first steps, NaN where it was no number; empty if unrecorded."""
    losses = record.metrics.get("step_losses") or ()
    return np.array([np.nan if loss is None else loss for loss in losses], dtype=np.float64)


def training_pairs(records: Iterable[Record]) -> list[TrainingPair]:
    """Certified trainings, each with the reference's (pytorch where it was run), by network.

    Of tracks whose frameworks share weights: the others are different trainings from the start.
    """
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
    """The pairs that may be compared and have a step in common."""
    return [pair for pair in found if not pair.refused and len(pair.difference)]
