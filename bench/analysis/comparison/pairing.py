"""Which runs of one seed are a pair, and the difference of accuracy that follows from it.

Two runs of a seed are a pair when they share what the seed decides: the order of batches, as
its digest says, and on one network the initial weights. Seeds that merely have the same number are
independent: the difference of their means has Welch's interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from bench.core.records import Record
from bench.stats.estimates import Estimate
from bench.stats.seeds import paired_difference, welch_difference
from bench.stats.verdicts import ACCURACY, Verdict, verdict
from bench.training.tracks import track


class AccuracyDifference(NamedTuple):
    """A difference of mean accuracies and what it rests on.

    Attributes:
        estimate: Ours minus theirs, as a fraction, with its 95 % interval.
        pairs: Number of pairs of seeds; None where the seeds are independent (Welch).
        seeds: Seeds of the side that has fewer.
        means: Mean accuracies of the seeds that count, ours and theirs, as fractions.
        left_out: Seeds of either side without a partner on the other, where pairs count.
    """

    estimate: Estimate
    pairs: int | None
    seeds: int
    means: tuple[float, float]
    left_out: int = 0

    @property
    def verdict(self) -> Verdict:
        """``higher``, ``lower``, ``tie`` or ``inconclusive``, with the reason."""
        return verdict(self.estimate, ACCURACY, self.seeds)


def is_pair(one: Record, other: Record) -> bool:
    """Whether two trainings of one seed share their batches and, on one network, their weights.

    An unknown digest is not shared. Two runs of one framework that draw initial weights from the
    framework's own generator, seeded alike, have no digest on either side and start equally, where
    both draw the same: not where one of them starts from pretrained weights.
    """
    batches = [record.settings.get("batch_plan_sha256") for record in (one, other)]
    if None in batches or batches[0] != batches[1]:
        return False
    if one.case.variant != other.case.variant:
        # Two networks cannot share weights: where a track pairs seeds, batches are what it shares.
        return track(one.case.track).paired_seeds
    weights = [record.settings.get("initial_weights_sha256") for record in (one, other)]
    if None in weights:
        starts = [tuple(getattr(r.case, name) for name in _START) for r in (one, other)]
        return weights[0] == weights[1] and starts[0] == starts[1]
    return bool(weights[0] == weights[1])


_START = ("framework", "init", "weights", "frozen", "head")
"""What decides the initial weights of a network, besides the seed."""


def accuracy_difference(ours: Sequence[Record], theirs: Sequence[Record]) -> AccuracyDifference:
    """Mean test accuracy of our seeds minus that of theirs.

    Args:
        ours: Records of accuracy with a result, one per seed.
        theirs: The same of the other side.

    Returns:
        Paired by seed where every seed that both sides have is a pair, else Welch's.
    """
    left, right = ({record.case.seed: record for record in side} for side in (ours, theirs))
    shared = sorted(left.keys() & right.keys())
    values = [{seed: record.samples[0] for seed, record in side.items()} for side in (left, right)]
    if shared and all(is_pair(left[seed], right[seed]) for seed in shared):
        means = _mean([values[0][s] for s in shared]), _mean([values[1][s] for s in shared])
        left_out = len(left.keys() ^ right.keys())
        paired = paired_difference(*values)
        return AccuracyDifference(paired, len(shared), len(shared), means, left_out)
    each = [list(side.values()) for side in values]
    means = _mean(each[0]), _mean(each[1])
    return AccuracyDifference(welch_difference(*each), None, min(map(len, each)), means)


def _mean(values: Sequence[float]) -> float:
    """Not a number of none, as a side has where all of its seeds have failed."""
    return fmean(values) if values else math.nan
