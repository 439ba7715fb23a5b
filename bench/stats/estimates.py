"""Estimates from raw samples: medians, percentiles, ratios of speed and means, with intervals.

Nothing here reads a file, knows a framework or keeps state: the same samples always give the same
numbers, since the bootstrap starts from one fixed seed. All intervals are for 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from bench.stats.intervals import (
    CONFIDENCE,
    Level,
    Processes,
    ends_of,
    error_of,
    interval_of,
    t_quantile,
)

POWER = 0.8
"""Power of the detectable difference: how often a true difference of that size is found."""


class Estimate(NamedTuple):
    """A value with its 95 % interval; ``low`` and ``high`` are None where it is unknown."""

    value: float
    low: float | None
    high: float | None


UNKNOWN = Estimate(math.nan, None, None)
"""The estimate of what was not measured."""


COARSE = 1e-9
"""Seconds of a sample that a clock too coarse for it reads as zero."""


def rates(samples: Sequence[float], images_per_sample: int | None) -> list[float]:
    """Images/s of every sample in seconds. Raises ValueError when a sample's images are unknown."""
    if not images_per_sample:
        raise ValueError(f"a rate needs images_per_sample. Received: {images_per_sample!r}")
    return [images_per_sample / max(sample, COARSE) for sample in samples]


def percentiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """p50, p90 and p99 of the samples, in their unit, interpolated between neighbours."""
    p50, p90, p99 = np.percentile(np.asarray(samples, dtype=float), (50, 90, 99))
    return float(p50), float(p90), float(p99)


def median_estimate(processes: Processes) -> Estimate:
    """Geometric mean over processes of each one's median, with an interval.

    With several processes the interval covers the spread between them (`bench.stats.intervals`);
    with one it is of its samples alone.

    Args:
        processes: Samples by process, in any unit; positive where there are several processes.

    Returns:
        The estimate in the unit of the samples; without interval for a single sample.

    Raises:
        ValueError: There is no sample, or one of several processes is not positive.
    """
    measured = [samples for samples in processes if len(samples)]
    if len(measured) > 1:
        level = Level.of(measured, logarithmic=True)
        low, high = interval_of(level.centre, level)
        return Estimate(math.exp(level.centre), math.exp(low), math.exp(high))
    level = Level.of(measured)
    if level.samples < 2:
        return Estimate(level.centre, None, None)
    return Estimate(level.centre, *ends_of(level.resampled))


def noise_of(processes: Processes) -> float | None:
    """Spread of samples within a process: the interquartile range over the median.

    Each sample counts relative to the median of its process, so that the spread between processes
    is not in it.

    Args:
        processes: Samples by process, positive, in any unit.

    Returns:
        A fraction; None where no process has two samples.
    """
    several = [np.asarray(some, dtype=float) for some in processes if len(some) > 1]
    if not several:
        return None
    relative = np.concatenate([some / np.median(some) for some in several])
    low, high = np.percentile(relative, (25, 75))
    return float(high - low)


class Ratio(NamedTuple):
    """A ratio of two speeds and what it rests on.

    Attributes:
        ratio: Speed over speed, above 1 where the first is faster, with its interval.
        detectable: The smallest relative difference that so many pairs and processes find with a
            power of 80 %; None without an interval.
        pairs: Pairs of interleaved blocks; None where the two were measured one after the other.
        processes: Processes of the side that has fewer.
        disturbed: Share of the blocks during which others used the CPUs, of the side that has more.
        doubt: Why it gives no verdict, whatever its interval says; empty where it may give one.
    """

    ratio: Estimate
    detectable: float | None
    pairs: int | None
    processes: int
    disturbed: float = 0.0
    doubt: str = ""

    @property
    def precision(self) -> float:
        """Half the width of the interval, relative; infinite where there is none."""
        value, low, high = self.ratio
        if low is None or high is None:
            return math.inf
        return max(high / value - 1, 1 - low / value)


def paired(ratios: Processes) -> Ratio:
    """A ratio of two speeds from interleaved blocks.

    Geometric mean over processes of each process's median ratio: pairing cancels what both blocks
    of a pair saw alike. The interval has the spread of both (`bench.stats.intervals`); the
    spread between few processes is moderated by a usual one.

    Args:
        ratios: Ratios of speed pair by pair, by pair of processes.

    Raises:
        ValueError: There is no pair, or a ratio that is not positive.
    """
    level = Level.of(ratios, logarithmic=True)
    return _ratio(level.centre, (level,), level.samples)


def unpaired(numerator: Processes, denominator: Processes) -> Ratio:
    """A ratio of two independent levels: of geometric means over processes of their medians.

    Its interval covers the spread between the processes of both sides.

    Args:
        numerator: Samples by process (images/s).
        denominator: The same of the other side.

    Raises:
        ValueError: A side has no sample, or one that is not positive.
    """
    above, below = (Level.of(side, logarithmic=True) for side in (numerator, denominator))
    return _ratio(above.centre - below.centre, (above, below), None)


def _ratio(centre: float, levels: tuple[Level, ...], pairs: int | None) -> Ratio:
    processes = min(level.processes for level in levels)
    if min(level.samples for level in levels) < 2:
        return Ratio(Estimate(math.exp(centre), None, None), None, pairs, processes)
    low, high = interval_of(centre, *levels)
    error, freedom = error_of(*levels)
    reach = (t_quantile(freedom, (1 + CONFIDENCE) / 2) + t_quantile(freedom, POWER)) * error
    estimate = Estimate(math.exp(centre), math.exp(low), math.exp(high))
    return Ratio(estimate, math.expm1(reach), pairs, processes)


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Median of the ratios of pairs measured in one process, with a bootstrap interval.

    No spread between processes is in it: for two pieces of code that share a process.

    Raises:
        ValueError: The lengths differ, or there is no pair.
    """
    return median_estimate([[a / b for a, b in zip(numerator, denominator, strict=True)]])


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Mean over seeds with Student's t interval; one seed has no interval.

    Raises ValueError when there is no value.
    """
    if not values:
        raise ValueError("a mean needs a value. Received: none")
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, None, None)
    if min(values) == max(values):
        # numpy's mean of equal values may be off in the last digit.
        return Estimate(values[0], values[0], values[0])
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = error * float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    return Estimate(mean, mean - reach, mean + reach)
