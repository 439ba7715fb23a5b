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
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95
RESAMPLES = 4000  # the ends of the interval then move by far less than the interval is wide
SINGLE_SAMPLE_SPREAD = 1.2
"""What one reading may be off by, as a factor, when there is no second one to tell.

Runs of one benchmark on a shared machine differ by about 20 % (TorchBench found its fixed 7 % gate
too narrow for that reason)."""

PROCESS_SPREAD = 0.03
"""Standard deviation between processes, relative, that is taken for usual.

What a process happens to get (addresses, pages, places of threads) stays with it, so its blocks
cannot show it. `docs/statistics.md` has what was found between processes."""
PRIOR_WEIGHT = 2
"""Degrees of freedom that the usual spread counts for where fewer than `ENOUGH` processes tell of
their own: two that happen to agree, or not to, say next to nothing (a moderated t: Smyth 2004)."""
ENOUGH = 4
"""Processes whose own spread is believed."""
POWER = 0.8
"""How surely a difference of the smallest size that is told would have been found."""

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
    kind: str, processes: Processes, images_per_sample: int | None
) -> dict[str, float | int | None]:
    """The ``summary`` of a record, from its raw samples by process.

    train_throughput, inference: images/s (see `median_estimate`) with interval, ``blocks`` and
    ``processes``.
    latency: p50, p90 and p99 in seconds; ``calls``. startup: ``seconds``. accuracy: ``fraction``.
    Empty samples give an empty summary. Raises ValueError for an unknown kind, and for a
    throughput without ``images_per_sample``.
    """
    samples = [sample for process in processes for sample in process]
    if not samples:
        return {}
    match kind:
        case "train_throughput" | "inference":
            rate = median_estimate([rates(process, images_per_sample) for process in processes])
            return {
                "images_per_second": rate.value,
                "low": rate.low,
                "high": rate.high,
                "blocks": len(samples),
                "processes": len(processes),
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
    """Mean over processes of each process's median, with a bootstrap interval.

    With several processes the interval covers the spread between them (see `_Level`); with one it
    is of its samples alone. One sample in all has no interval. Raises ValueError when there is no
    sample.
    """
    level = _Level.of(processes)
    if level.samples < 2:
        return Estimate(level.centre, None, None)
    if level.processes == 1:
        return Estimate(level.centre, *_ends(level.resampled))
    return Estimate(level.centre, *_interval(level.resampled, level.centre, level))


def ratio_of_medians(numerator: Processes, denominator: Processes) -> Estimate:
    """Ratio of two independent levels (as in `median_estimate`) with a bootstrap interval.

    Taken of logarithms: the ratio of geometric means over processes. The spread between few
    processes is held against a usual one (`PROCESS_SPREAD`). The interval is unknown when
    either side has one sample only. Raises ValueError when a side is empty or not positive.
    """
    above, below = (_Level.of(_logarithms(side)) for side in (numerator, denominator))
    centre = above.centre - below.centre
    if min(above.samples, below.samples) < 2:
        return Estimate(math.exp(centre), None, None)
    # Each side draws from a generator of its own: the same samples twice must not move together.
    low, high = _interval(above.resampled - below.mirrored, centre, above, below)
    return Estimate(math.exp(centre), math.exp(low), math.exp(high))


def ratio_in_one_process(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Ratio of two medians of one process: no spread between processes is in it, or assumed.

    Raises ValueError when a side is empty or not positive.
    """
    above, below = (_Level.of(_logarithms([side])) for side in (numerator, denominator))
    centre = above.centre - below.centre
    if min(above.samples, below.samples) < 2:
        return Estimate(math.exp(centre), None, None)
    low, high = _ends(above.resampled - below.mirrored)
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
    out what both saw alike. Its interval resamples processes and pairs (see `_Level`). The spread
    between few processes is held against a usual one (`PROCESS_SPREAD`); one pair in all has no
    interval. Raises
    ValueError when there is no pair, or a ratio that is not positive.
    """
    level = _Level.of(_logarithms(ratios))
    value = math.exp(level.centre)
    if level.samples < 2:
        return Paired(Estimate(value, None, None), None, level.samples, level.processes)
    low, high = _interval(level.resampled, level.centre, level)
    error, freedom = _error(level)
    reach = (_t(freedom, (1 + CONFIDENCE) / 2) + _t(freedom, POWER)) * error
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


class _Level:
    """The mean over processes of their medians, and its bootstrap distribution.

    Processes are resampled, and samples within them. That alone would be too narrow: few processes
    vary less in resamples than in the world (by (P - 1) / P), and their spread is itself uncertain.
    So the distribution gives the interval its shape, and Student's t over the processes its width,
    never less than the samples inside them give (Davison and Hinkley 1997, sections 2.3 and 3.8;
    Kalibera and Jones 2013, section 6).
    """

    def __init__(self, kept: Sequence[Array]) -> None:
        medians = [float(np.median(samples)) for samples in kept]
        self.processes = len(kept)
        self.samples = sum(map(len, kept))
        self.centre = float(np.mean(medians))
        self.spread = float(np.std(medians, ddof=1)) if len(kept) > 1 else None
        self._kept = kept

    @classmethod
    def of(cls, processes: Processes) -> _Level:
        """Raises ValueError without a sample."""
        kept = [np.sort(np.asarray(samples, dtype=float)) for samples in processes if len(samples)]
        if not kept:
            raise ValueError("a median needs a sample. Received: none")
        return cls(kept)

    @property
    def resampled(self) -> Array:
        """(RESAMPLES,) means of resamples, the same in every call."""
        return self._resample(np.random.default_rng(_SEED))

    @property
    def mirrored(self) -> Array:
        """The same for the other side of a ratio: other draws."""
        return self._resample(np.random.default_rng(_SEED + 1))

    def _resample(self, rng: np.random.Generator) -> Array:
        slots = []
        for _ in self._kept:
            medians = np.stack([_medians_of_one(samples, rng) for samples in self._kept])
            chosen = rng.integers(len(self._kept), size=RESAMPLES)
            slots.append(medians[chosen, np.arange(RESAMPLES)])
        means: Array = np.mean(np.stack(slots), axis=0)
        return means

    @property
    def within(self) -> float:
        """Standard error of the mean as far as the samples inside the processes tell it."""
        rng = np.random.default_rng(_SEED)
        variances = [np.var(_medians_of_one(samples, rng)) for samples in self._kept]
        return math.sqrt(float(np.mean(variances)) / self.processes)


def _error(*levels: _Level) -> tuple[float, float]:
    """Standard error of a difference of logarithms, and its degrees of freedom (Welch)."""
    parts = [_error_of_one(level) for level in levels]
    variance = sum(error**2 for error, _ in parts)
    uncertain = sum(error**4 / freedom for error, freedom in parts)
    return math.sqrt(variance), variance**2 / uncertain if uncertain else math.inf


def _error_of_one(level: _Level) -> tuple[float, float]:
    freedom = level.processes - 1
    variance = 0.0 if level.spread is None else level.spread**2
    # Of few samples a median's bootstrap knows little more than half its error.
    within = level.within if freedom else 2 * level.within
    if level.processes < ENOUGH:
        total = PRIOR_WEIGHT + freedom
        variance = (PRIOR_WEIGHT * PROCESS_SPREAD**2 + freedom * variance) / total
        freedom = total
    between = math.sqrt(variance / level.processes)
    # The spread between processes has that of their samples in it, unless it is the usual one.
    together = math.hypot(between, within) if level.processes == 1 else max(between, within)
    return together, float(freedom)


def _t(freedom: float, probability: float) -> float:
    """A quantile of Student's t; of the normal distribution for infinitely many degrees."""
    if math.isinf(freedom):
        return float(ndtri(probability))
    return float(stdtrit(freedom, probability))


def _interval(resampled: Array, centre: float, *levels: _Level) -> tuple[float, float]:
    """The bootstrap's ends, moved out (or in) to the width that the levels' errors give."""
    error, freedom = _error(*levels)
    reach = _t(freedom, (1 + CONFIDENCE) / 2) * error
    deviation = float(np.std(resampled))
    if deviation <= 1e-12 * abs(error):
        return centre - reach, centre + reach
    scale = reach / (float(ndtri((1 + CONFIDENCE) / 2)) * deviation)
    low, high = _ends(resampled)
    return min(centre, centre + scale * (low - centre)), max(
        centre, centre + scale * (high - centre)
    )


def _logarithms(processes: Processes) -> list[list[float]]:
    if any(value <= 0 for samples in processes for value in samples):
        raise ValueError("a ratio needs positive values")
    return [[math.log(value) for value in samples] for samples in processes]


def _ends(resampled: Array) -> tuple[float, float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, (tail, 100 - tail))
    return float(low), float(high)


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
