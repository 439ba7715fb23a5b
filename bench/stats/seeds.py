"""Pure statistics of what seeds give: differences of means, with or without pairs of seeds.

Values are fractions of accuracy and so are differences; all intervals are for 95 %.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

from scipy.stats import ttest_ind

from bench.stats.bootstrap import CONFIDENCE
from bench.stats.estimates import Estimate, mean_estimate

UNKNOWN = Estimate(math.nan, None, None)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate:
    """Mean of ours minus theirs over the seeds that both have, with the t interval of these.

    The paired t interval is that of the mean of the differences. Not a number without a shared
    seed; no interval with one.
    """
    shared = sorted(ours.keys() & theirs.keys())
    differences = [ours[seed] - theirs[seed] for seed in shared]
    return mean_estimate(differences) if differences else UNKNOWN


def welch_difference(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Mean of ours minus mean of theirs with Welch's interval, which assumes no equal spread.

    Not a number where a side is empty; no interval where a side has one value.
    """
    if not ours or not theirs:
        return UNKNOWN
    value = mean_estimate(ours).value - mean_estimate(theirs).value
    if min(len(ours), len(theirs)) < 2:
        return Estimate(value, None, None)
    if min(ours) == max(ours) and min(theirs) == max(theirs):
        return Estimate(value, value, value)  # no spread at all: scipy divides by it
    with warnings.catch_warnings():
        # Of one side without a spread scipy says that it lost precision: its variance is 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
    return Estimate(value, float(found.low), float(found.high))


def verdict(difference: Estimate) -> str:
    """What a difference says: higher, lower, tie, or no more than ``single seed``.

    A tie means "not told apart": the interval holds 0. Empty where there is no difference.
    """
    if math.isnan(difference.value):
        return ""
    if difference.low is None or difference.high is None:
        return "single seed"
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "tie"
