"""Pure summaries of raw samples: medians, percentiles, intervals, ratios, verdicts.

Nothing here reads a file, knows a framework or keeps state: the same samples always give the same
numbers, since the bootstrap starts from one fixed seed. All intervals are for 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from bench.stats.bootstrap import (
    CONFIDENCE,
    Level,
    Processes,
    ends_of,
    error_of,
    interval_of,
    logarithms,
    t_quantile,
)

SINGLE_SAMPLE_SPREAD = 1.2
"""What one reading may be off by, as a factor, when there is no second one to tell.

Runs of one benchmark on a shared machine differ by about 20 % (TorchBench found its fixed 7 % gate
too narrow for that reason)."""
POWER = 0.8
"""How surely a difference of the smallest size that is told would have been found."""


class Estimate(NamedTuple):
    """A value with its 95 % interval; ``low`` and ``high`` are None where nothing is known."""

    value: float
    low: float | None
    high: float | None


def rates(samples: Sequence[float], images_per_sample: int | None) -> list[float]:
    """Images/s of every sample in seconds. Raises ValueError when a sample's images are unknown."""
    if not images_per_sample:
        raise ValueError(f"a rate needs images_per_sample. Received: {images_per_sample!r}")
    # A clock too coarse for the block reads zero: the smallest positive number keeps it a number.
    return [images_per_sample / max(sample, 1e-9) for sample in samples]


def percentiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """p50, p90 and p99 of the samples, in their unit, interpolated between neighbours."""
    p50, p90, p99 = np.percentile(np.asarray(samples, dtype=float), (50, 90, 99))
    return float(p50), float(p90), float(p99)


def median_estimate(processes: Processes) -> Estimate:
    """Geometric mean over processes of each one's median, with a bootstrap interval.

    With several processes the interval covers the spread between them (`bench.stats.bootstrap`),
    and values must be positive; with one it is of its samples alone. One sample in all has no
    interval. Raises ValueError when there is no sample.
    """
    kept = [samples for samples in processes if len(samples)]
    if len(kept) > 1:
        level = Level.of(logarithms(kept))
        low, high = interval_of(level.centre, level)
        return Estimate(math.exp(level.centre), math.exp(low), math.exp(high))
    level = Level.of(kept)
    if level.samples < 2:
        return Estimate(level.centre, None, None)
    return Estimate(level.centre, *ends_of(level.resampled))


def ratio_of_medians(numerator: Processes, denominator: Processes) -> Estimate:
    """Ratio of two independent levels: of geometric means over processes of their medians.

    Its interval covers the spread between processes (`bench.stats.bootstrap`); it is unknown when
    either side has one sample only. Raises ValueError when a side is empty or not positive.
    """
    above, below = (Level.of(logarithms(side)) for side in (numerator, denominator))
    centre = above.centre - below.centre
    if min(above.samples, below.samples) < 2:
        return Estimate(math.exp(centre), None, None)
    low, high = interval_of(centre, above, below)
    return Estimate(math.exp(centre), math.exp(low), math.exp(high))


def ratio_in_one_process(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Ratio of two medians of one process: no spread between processes is in it, or assumed.

    Raises ValueError when a side is empty or not positive.
    """
    above, below = (Level.of(logarithms([side])) for side in (numerator, denominator))
    centre = above.centre - below.centre
    if min(above.samples, below.samples) < 2:
        return Estimate(math.exp(centre), None, None)
    # Each side draws from a generator of its own: the same samples twice must not move together.
    low, high = ends_of(above.resampled - below.mirrored)
    return Estimate(math.exp(centre), math.exp(low), math.exp(high))


class Paired(NamedTuple):
    """What pairs of blocks, taken in turns, say of two speeds."""

    ratio: Estimate
    smallest: float | None
    """The smallest relative difference that this many pairs and processes would have found, four
    times out of five."""
    pairs: int
    processes: int

    @property
    def precision(self) -> float:
        """Half the width of the interval, relative; infinite where there is none."""
        value, low, high = self.ratio
        if low is None or high is None:
            return math.inf
        return max(high / value - 1, 1 - low / value)


def paired(ratios: Processes) -> Paired:
    """Ratios of two speeds, measured side by side, by the pair of processes that took them.

    The value is the geometric mean over processes of each process's median ratio: pairing takes
    out what both saw alike. Its interval resamples processes and pairs (`bench.stats.bootstrap`);
    the spread between few processes is held against a usual one. One pair in all has no interval.
    Raises ValueError when there is no pair, or a ratio that is not positive.
    """
    level = Level.of(logarithms(ratios))
    value = math.exp(level.centre)
    if level.samples < 2:
        return Paired(Estimate(value, None, None), None, level.samples, level.processes)
    low, high = interval_of(level.centre, level)
    error, freedom = error_of(level)
    reach = (t_quantile(freedom, (1 + CONFIDENCE) / 2) + t_quantile(freedom, POWER)) * error
    ratio = Estimate(value, math.exp(low), math.exp(high))
    return Paired(ratio, math.expm1(reach), level.samples, level.processes)


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Median of the ratios of pairs measured in one process, with a bootstrap interval.

    Pairing takes out what both saw alike (a clock that slows down, a busy neighbour, what the
    process happened to get). Raises ValueError when the lengths differ or there is no pair.
    """
    return median_estimate([[a / b for a, b in zip(numerator, denominator, strict=True)]])


def assume_spread(estimate: Estimate) -> Estimate:
    """The estimate with an assumed interval (``SINGLE_SAMPLE_SPREAD``) where it has none."""
    if estimate.low is not None:
        return estimate
    value = estimate.value
    return Estimate(value, value / SINGLE_SAMPLE_SPREAD, value * SINGLE_SAMPLE_SPREAD)


def verdict(low: float | None, high: float | None) -> str:
    """What the interval of a ratio of throughputs says: faster (above 1), slower or tie.

    A tie means "not told apart": the interval holds 1, or there is none.
    """
    if low is not None and low > 1:
        return "faster"
    if high is not None and high < 1:
        return "slower"
    return "tie"


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


def median_with_never(values: Sequence[float | None]) -> float | None:
    """Median of times to a goal where None is "never": infinity, not a value to leave out.

    None when half of the values or more are never (or there are none at all).
    """
    times = sorted(math.inf if value is None else value for value in values)
    if not times:
        return None
    middle = (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2
    return None if math.isinf(middle) else middle
