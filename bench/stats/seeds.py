"""Differences of accuracy between two sets of seeds, paired by seed or not.

Pure: values are fractions of accuracy and so are differences; all intervals are for 95 %. Whether
seeds may be paired is decided in `bench.analysis.comparison.pairing`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from scipy.stats import ttest_ind

from bench.stats.estimates import UNKNOWN as UNKNOWN
from bench.stats.estimates import Estimate, mean_estimate
from bench.stats.intervals import CONFIDENCE

_ROUNDING = 1e-12
"""Two accuracies, or differences of them, that differ by less are the same."""


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate:
    """Mean of ours minus theirs over the seeds that both have, with its paired t interval.

    Args:
        ours: Accuracy (fraction) by seed.
        theirs: The same of the other side.

    Returns:
        Not a number without a shared seed; no interval with one, and with two that differ by the
        same amount: accuracies are multiples of one image, so that two of them soon do.
    """
    shared = sorted(ours.keys() & theirs.keys())
    differences = [ours[seed] - theirs[seed] for seed in shared]
    if not differences:
        return UNKNOWN
    found = mean_estimate(differences)
    by_chance = _two_agree(differences) and abs(found.value) > 0
    return Estimate(found.value, None, None) if by_chance else found


def _two_agree(values: Sequence[float]) -> bool:
    """Whether they are two that happen to be equal, which says nothing of their spread."""
    return len(values) == 2 and max(values) - min(values) < _ROUNDING


def mean_of_seeds(values: Sequence[float]) -> Estimate:
    """Mean over seeds with its t interval; none of one seed, and of two that happen to be equal.

    Raises ValueError when there is no value.
    """
    found = mean_estimate(values)
    return Estimate(found.value, None, None) if _two_agree(values) else found


def welch_difference(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Mean of ours minus mean of theirs with Welch's interval (unequal variances).

    Args:
        ours: Accuracies (fractions), one per seed.
        theirs: The same of the other side.

    Returns:
        Not a number where a side is empty; no interval where a side has one value, or two that
        happen to be equal (see `paired_difference`), unless all values of both sides are equal.
    """
    if not ours or not theirs:
        return UNKNOWN
    value = mean_estimate(ours).value - mean_estimate(theirs).value
    if min(len(ours), len(theirs)) < 2:
        return Estimate(value, None, None)
    even = all(min(side) == max(side) for side in (ours, theirs))
    if any(map(_two_agree, (ours, theirs))) and not (even and value == 0):
        return Estimate(value, None, None)
    if even:
        return Estimate(value, value, value)  # no spread at all: scipy divides by it
    with warnings.catch_warnings():
        # Of one side without a spread scipy says that it lost precision: its variance is 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
    return Estimate(value, float(found.low), float(found.high))
