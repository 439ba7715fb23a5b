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
"""Two differences of accuracies that differ by less are the same."""


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
    return _unless_by_chance(found, differences)


def _unless_by_chance(found: Estimate, *sides: Sequence[float]) -> Estimate:
    """The estimate, without an interval where none is known: of two values that happen to be
    equal."""
    even = all(max(values) - min(values) < _ROUNDING for values in sides)
    by_chance = even and min(map(len, sides)) == 2 and abs(found.value) > 0
    return Estimate(found.value, None, None) if by_chance else found


def welch_difference(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Mean of ours minus mean of theirs with Welch's interval (unequal variances).

    Args:
        ours: Accuracies (fractions), one per seed.
        theirs: The same of the other side.

    Returns:
        Not a number where a side is empty; no interval where a side has one value, and where no
        side has a spread and one has two values: see `paired_difference`.
    """
    if not ours or not theirs:
        return UNKNOWN
    value = mean_estimate(ours).value - mean_estimate(theirs).value
    if min(len(ours), len(theirs)) < 2:
        return Estimate(value, None, None)
    if min(ours) == max(ours) and min(theirs) == max(theirs):
        without_width = Estimate(value, value, value)  # no spread at all: scipy divides by it
        return _unless_by_chance(without_width, ours, theirs)
    with warnings.catch_warnings():
        # Of one side without a spread scipy says that it lost precision: its variance is 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
    return Estimate(value, float(found.low), float(found.high))
