"""Verdicts: what a 95 % interval says of a difference, and when it says nothing.

A verdict needs an interval and two runs on each side. *Different* is an interval that excludes
equality, *equivalent* ("tie") one that lies wholly within a margin stated beforehand; everything
else is inconclusive. That an interval contains equality is no evidence of it (Altman and Bland,
"Absence of evidence is not evidence of absence", BMJ 1995); the margin makes a test of equivalence
of it (Schuirmann 1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from bench.core.system.machine import TOLERATED
from bench.stats.estimates import Estimate, Ratio

TIE, INCONCLUSIVE = "tie", "inconclusive"
EQUIVALENT_SPEED = 0.10
"""Relative difference in speed below which two frameworks count as equally fast.

Runs of one benchmark on a shared machine differ by about as much from day to day, and the choice of
a framework does not depend on less."""
EQUIVALENT_ACCURACY = 0.01
"""The same for accuracy, as a fraction: one percentage point, two standard errors of an accuracy
of 65 % on the 10,000 test images of CIFAR-10."""
ENOUGH_RUNS = 2
"""Processes (speed) or seeds (accuracy) on each side: one says nothing of the spread between
them."""


WIDE = "the interval holds equality and more than the margin of a tie"
"""Why a verdict is inconclusive although there are runs and an interval."""


@dataclass(frozen=True)
class Margin:
    """Which differences count as none, and the words for those that do not.

    Attributes:
        equal: The value of equality: 1 of a ratio, 0 of a difference.
        low: Lower end of what counts as equal.
        high: Upper end of what counts as equal.
        above: The verdict on an interval wholly above equality.
        below: The verdict on an interval wholly below equality.
        run: What is repeated: ``process`` or ``seed``.
    """

    equal: float
    low: float
    high: float
    above: str
    below: str
    run: str

    @classmethod
    def of_speed(cls, relative: float = EQUIVALENT_SPEED) -> Margin:
        """Ratios of speed from 1 / (1 + relative) to 1 + relative, symmetric in the two sides."""
        return cls(1.0, 1 / (1 + relative), 1 + relative, "faster", "slower", "process")

    @classmethod
    def of_accuracy(cls, points: float = EQUIVALENT_ACCURACY) -> Margin:
        """Differences of accuracy up to ``points`` (a fraction) to either side."""
        return cls(0.0, -points, points, "higher", "lower", "seed")


SPEED = Margin.of_speed()
ACCURACY = Margin.of_accuracy()


class Verdict(NamedTuple):
    """What an interval says.

    Attributes:
        word: ``faster``, ``slower``, ``higher``, ``lower``, ``tie`` or ``inconclusive``; empty
            where there is no estimate.
        reason: Why it is inconclusive, in words; else None.
    """

    word: str
    reason: str | None = None


def verdict(estimate: Estimate, margin: Margin, processes: int) -> Verdict:
    """The verdict on a ratio or a difference.

    Args:
        estimate: The ratio of speeds, or the difference of accuracies as a fraction.
        margin: Which differences count as none: `SPEED` or `ACCURACY`.
        processes: Number of processes (seeds for accuracy) on the side that has fewer.
    """
    value, low, high = estimate
    if math.isnan(value):
        return Verdict("")
    if processes < ENOUGH_RUNS:
        return Verdict(INCONCLUSIVE, f"one {margin.run} on a side, so the spread is unknown")
    if low is None or high is None:
        return Verdict(
            INCONCLUSIVE, f"no interval: two {margin.run}s that agree say nothing of the spread"
        )
    if math.isnan(low) or math.isnan(high):
        return Verdict(INCONCLUSIVE, "no interval")
    if low > margin.equal:
        return Verdict(margin.above)
    if high < margin.equal:
        return Verdict(margin.below)
    if margin.low <= low and high <= margin.high:
        return Verdict(TIE)
    return Verdict(INCONCLUSIVE, WIDE)


def without_verdict(ratio: Ratio) -> str | None:
    """Why a ratio of speeds has no verdict, whatever its interval says; None where it may have."""
    if math.isnan(ratio.ratio.value):
        return None
    if not ratio.doubt and ratio.disturbed > TOLERATED:
        share = f"{100 * ratio.disturbed:.0f} %"
        return f"disturbed: others used the CPUs in {share} of the blocks"
    return ratio.doubt or None


def speed_verdict(ratio: Ratio) -> Verdict:
    """The verdict on a ratio of speeds: ``faster``, ``slower``, ``tie`` or ``inconclusive``.

    A disturbed ratio has none: what others did to one side may be all that it shows. Nor has one
    of a speed that is no speed of this work (`bench.stats.estimates.Ratio.doubt`).
    """
    if why := without_verdict(ratio):
        return Verdict(INCONCLUSIVE, why)
    return verdict(ratio.ratio, SPEED, ratio.processes)
