"""Pure summaries of raw samples: medians, percentiles, intervals, ratios, verdicts.

Nothing here reads a file, knows a framework or keeps state: the same samples always give the same
numbers, since the bootstrap starts from one fixed seed. All intervals are for 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

CONFIDENCE = 0.95
RESAMPLES = 4000  # the ends of the interval then move by far less than the interval is wide
SINGLE_SAMPLE_SPREAD = 1.2
"""What one reading may be off by, as a factor, when there is no second one to tell.

Runs of one benchmark on a shared machine differ by about 20 % (TorchBench found its fixed 7 % gate
too narrow for that reason)."""

_SEED = 20120930  # any fixed number: the same samples must give the same interval

Array = NDArray[np.float64]
Processes = Sequence[Sequence[float]]
"""Samples by the process that took them: blocks of one process are more alike than processes."""


class Estimate(NamedTuple):
    """A value with its 95 % interval; ``low`` and ``high`` are None where nothing is known."""

    value: float
    low: float | None
    high: float | None


def summary_of(
    kind: str, samples: Sequence[float], images_per_sample: int | None
) -> dict[str, float | int | None]:
    """The ``summary`` of a record, from its raw samples.

    train_throughput, inference: images/s, median over blocks with its interval; ``blocks``.
    latency: p50, p90 and p99 in seconds; ``calls``. startup: ``seconds``. accuracy: ``fraction``.
    Empty samples give an empty summary. Raises ValueError for an unknown kind, and for a
    throughput without ``images_per_sample``.
    """
    if not samples:
        return {}
    match kind:
        case "train_throughput" | "inference":
            rate = median_estimate([rates(samples, images_per_sample)])
            return {
                "images_per_second": rate.value,
                "low": rate.low,
                "high": rate.high,
                "blocks": len(samples),
            }
        case "latency":
            p50, p90, p99 = percentiles(samples)
            return {"p50": p50, "p90": p90, "p99": p99, "calls": len(samples)}
        case "startup":
            return {"seconds": float(np.median(samples))}
        case "accuracy":
            return {"fraction": float(np.mean(samples))}
    raise ValueError(f"unknown kind of record. Received: {kind!r}")


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
    """Median over processes of each process's median, with a bootstrap interval.

    With several processes both levels are resampled, so the interval covers the spread between
    processes too. One sample in all has no interval. Raises ValueError when there is no sample.
    """
    value = _centre(processes)
    if _count(processes) < 2:
        return Estimate(value, None, None)
    resampled = _resampled_medians(processes, np.random.default_rng(_SEED))
    return Estimate(value, *_ends(resampled))


def ratio_of_medians(numerator: Processes, denominator: Processes) -> Estimate:
    """Ratio of two independent medians with a bootstrap interval.

    The interval is unknown when either side has one sample only. Raises ValueError when a side is
    empty or the denominator's median is not positive.
    """
    below = _centre(denominator)
    if below <= 0:
        raise ValueError(f"a ratio needs a positive denominator. Received: {below}")
    value = _centre(numerator) / below
    if min(_count(numerator), _count(denominator)) < 2:
        return Estimate(value, None, None)
    rng = np.random.default_rng(_SEED)
    tops = _resampled_medians(numerator, rng)
    bottoms = _resampled_medians(denominator, rng)
    positive = bottoms > 0
    return Estimate(value, *_ends(tops[positive] / bottoms[positive]))


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Median of the ratios of pairs measured side by side, with a bootstrap interval.

    Pairing takes out what both saw alike (a clock that slows down, a busy neighbour). Raises
    ValueError when the lengths differ or there is no pair.
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


def _count(processes: Processes) -> int:
    return sum(len(samples) for samples in processes)


def _centre(processes: Processes) -> float:
    medians = [float(np.median(samples)) for samples in processes if len(samples)]
    if not medians:
        raise ValueError("a median needs a sample. Received: none")
    return float(np.median(medians))


def _ends(resampled: Array) -> tuple[float, float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, (tail, 100 - tail))
    return float(low), float(high)


def _resampled_medians(processes: Processes, rng: np.random.Generator) -> Array:
    """(RESAMPLES,) medians of bootstrap samples, processes first and blocks within them."""
    kept = [np.sort(np.asarray(samples, dtype=float)) for samples in processes if len(samples)]
    slots = []
    for _ in kept:
        medians = np.stack([_medians_of_one(samples, rng) for samples in kept])
        chosen = rng.integers(len(kept), size=RESAMPLES)
        slots.append(medians[chosen, np.arange(RESAMPLES)])
    return np.median(np.stack(slots), axis=0)


def _medians_of_one(ordered: Array, rng: np.random.Generator) -> Array:
    """(RESAMPLES,) medians of resamples of sorted values, without drawing the resamples.

    The k-th smallest of n uniform draws is Beta(k, n + 1 - k) distributed, so the k-th smallest of
    a resample is ``ordered[floor(n * that)]``; the next one follows from it (David and Nagaraja,
    Order Statistics, section 2). Thousands of latency samples then cost no more than ten.
    """
    n = len(ordered)
    lower = (n + 1) // 2
    first = rng.beta(lower, n + 1 - lower, RESAMPLES)
    second = first
    if n % 2 == 0:
        second = first + (1 - first) * rng.beta(1, n - lower, RESAMPLES)
    places = [np.minimum((n * u).astype(int), n - 1) for u in (first, second)]
    middle: Array = (ordered[places[0]] + ordered[places[1]]) / 2
    return middle
