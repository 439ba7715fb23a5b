"""The interval of a speed: Student's t over processes, and a bootstrap of the samples within them.

Nothing here keeps state: the same samples always give the same interval, since the draws start from
one fixed seed. The draws depend on nothing but how many samples each process has, so they are made
once per shape and looked up afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95
RESAMPLES = 4000  # the ends of the interval then move by far less than the interval is wide
PROCESS_SPREAD = 0.04
"""Usual standard deviation between processes, relative: the prior where few processes were run.

Addresses, memory pages and the placement of threads stay with a process, so its blocks cannot show
their effect. Twice the spread that was measured between processes (`docs/statistics.md`)."""
PRIOR_WEIGHT = 1
"""Degrees of freedom of that prior where fewer than `ENOUGH` processes were run: it counts as one
more process, since the agreement of two says next to nothing about their spread (a moderated t:
Smyth 2004). With more weight it would narrow the intervals of processes that differ by more: at a
spread of 3 % and a weight of 2, those of processes that differ by 6 % held the truth 91 times in
100."""
ENOUGH = 4
"""Number of processes from which on their own spread is used alone."""
_CACHED_SAMPLES = 256  # of a level that is cached: thousands of latencies would fill the memory
_SEED = 20120930  # any fixed number: the same samples must give the same interval

Array = NDArray[np.float64]
Places = NDArray[np.intp]
Processes = Sequence[Sequence[float]]
"""Samples by the process that took them: blocks of one process are more alike than processes."""


class Level:
    """The mean over processes of their medians, with its error from a bootstrap.

    Its standard error is that of the processes' medians, whose spread has that of the samples
    inside the processes in it, and is uncertain (hence Student's t). By chance the medians of few
    processes may lie closer together than their own samples allow: the error is at least what a
    bootstrap of the samples inside the processes gives. (A bootstrap of processes and of samples
    within them counts the latter twice.) Intervals reach as far to both sides, on a logarithmic
    scale. Kalibera and Jones 2013, section 6; Davison and Hinkley 1997, sections 2.3 and 3.8.

    Attributes:
        processes: Number of processes with a sample.
        samples: Number of samples in all.
        centre: Mean over processes of their medians, in the unit of the samples.
        spread: Standard deviation of these medians; None with one process.
    """

    def __init__(self, ordered: Sequence[Array]) -> None:
        medians = [_middle(samples) for samples in ordered]
        self.processes = len(ordered)
        self.samples = sum(map(len, ordered))
        self.centre = float(np.mean(medians))
        self.spread = float(np.std(medians, ddof=1)) if len(ordered) > 1 else None
        self._counts = tuple(map(len, ordered))
        self._pooled = np.concatenate(ordered)

    @classmethod
    def of(cls, processes: Processes, *, logarithmic: bool = False) -> Level:
        """The level of samples by process.

        Args:
            processes: Samples by process; processes without a sample are left out.
            logarithmic: Whether to take the logarithm of every sample first.

        Raises:
            ValueError: There is no sample, or one that is not positive has no logarithm.
        """
        measured = tuple(tuple(some) for some in processes if len(some))
        few = sum(map(len, measured)) <= _CACHED_SAMPLES
        return (_level if few else _level.__wrapped__)(measured, logarithmic)

    @property
    def resampled(self) -> Array:
        """(RESAMPLES,) means of resamples."""
        means: Array = np.mean(self._medians_at(*_places_over_processes(self._counts)), axis=0)
        return means

    @cached_property
    def error_within(self) -> float:
        """Standard error of the mean from the spread of samples inside the processes alone."""
        if max(self._counts) == 1:
            return 0.0  # every resample is the sample
        medians = self._medians_at(*_places_within(self._counts))
        return math.sqrt(float(np.mean(np.var(medians, axis=1))) / self.processes)

    def _medians_at(self, lower: Places, upper: Places) -> Array:
        medians: Array = (self._pooled.take(lower) + self._pooled.take(upper)) / 2
        return medians


def _middle(ordered: Array) -> float:
    """The median of sorted samples, at a tenth of the price of `numpy.median`."""
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


@lru_cache(maxsize=32768)
def _level(processes: tuple[tuple[float, ...], ...], logarithmic: bool) -> Level:
    if not processes:
        raise ValueError("a median needs a sample. Received: none")
    if logarithmic:
        if any(value <= 0 for samples in processes for value in samples):
            raise ValueError("a ratio needs positive values")
        processes = tuple(tuple(map(math.log, samples)) for samples in processes)
    return Level([np.sort(np.asarray(samples, dtype=float)) for samples in processes])


def error_of(*levels: Level) -> tuple[float, float]:
    """Standard error of a difference of levels, and its degrees of freedom (Welch)."""
    parts = [_error_of_one(level) for level in levels]
    variance = sum(error**2 for error, _ in parts)
    uncertain = sum(error**4 / freedom for error, freedom in parts)
    return math.sqrt(variance), variance**2 / uncertain if uncertain else math.inf


def _error_of_one(level: Level) -> tuple[float, float]:
    freedom = level.processes - 1
    if level.processes >= ENOUGH:
        assert level.spread is not None, "several processes have a spread"
        between = level.spread / math.sqrt(level.processes)
        return max(between, level.error_within), float(freedom)
    total = PRIOR_WEIGHT + freedom
    own = freedom * level.spread**2 if level.spread else 0.0
    variance = (PRIOR_WEIGHT * PROCESS_SPREAD**2 + own) / total
    return math.hypot(math.sqrt(variance / level.processes), level.error_within), float(total)


def t_quantile(freedom: float, probability: float) -> float:
    """A quantile of Student's t; of the normal distribution for infinitely many degrees."""
    if math.isinf(freedom):
        return float(ndtri(probability))
    return float(stdtrit(freedom, probability))


def interval_of(centre: float, *levels: Level) -> tuple[float, float]:
    """The 95 % interval of a logarithmic level, or of a difference of such levels."""
    error, freedom = error_of(*levels)
    reach = t_quantile(freedom, (1 + CONFIDENCE) / 2) * error
    return centre - reach, centre + reach


def ends_of(resampled: Array) -> tuple[float, float]:
    """The percentiles that hold `CONFIDENCE` of a bootstrap distribution between them."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, (tail, 100 - tail))
    return float(low), float(high)


@lru_cache(maxsize=256)
def _places_over_processes(counts: tuple[int, ...]) -> tuple[Places, Places]:
    """Places of the two middle samples of every resample, in the samples of all processes.

    Args:
        counts: Number of samples of each of P processes.

    Returns:
        Two arrays (P, RESAMPLES): for each of the P processes of a resample, drawn with
        replacement, where the middle samples of its own resample stand.
    """
    rng = np.random.default_rng(_SEED)
    columns = np.arange(RESAMPLES)
    lower, upper = [], []
    for _ in counts:
        drawn = _places_of_each(counts, rng)
        chosen = rng.integers(len(counts), size=RESAMPLES)
        lower.append(drawn[0][chosen, columns])
        upper.append(drawn[1][chosen, columns])
    return np.stack(lower), np.stack(upper)


@lru_cache(maxsize=256)
def _places_within(counts: tuple[int, ...]) -> tuple[Places, Places]:
    """The same without resampling processes: (P, RESAMPLES), a row per process."""
    return _places_of_each(counts, np.random.default_rng(_SEED))


def _places_of_each(counts: Sequence[int], rng: np.random.Generator) -> tuple[Places, Places]:
    drawn = [_middle_places(count, rng) for count in counts]
    starts = np.cumsum([0, *counts[:-1]], dtype=np.intp)
    lower, upper = (
        np.stack([places[side] + start for places, start in zip(drawn, starts, strict=True)])
        for side in (0, 1)
    )
    return lower, upper


def _middle_places(n: int, rng: np.random.Generator) -> tuple[Places, Places]:
    """Places of the two middle values of resamples of n sorted samples, (RESAMPLES,) each.

    The resamples themselves are not drawn. The k-th smallest of n uniform draws is
    Beta(k, n + 1 - k) distributed, so the k-th smallest of a resample stands at ``floor(n * that)``
    of the sorted samples; the next one follows from it (David and Nagaraja, Order Statistics,
    section 2). Thousands of latency samples then cost no more than ten.
    """
    lower = (n + 1) // 2
    first = rng.beta(lower, n + 1 - lower, RESAMPLES)
    second = first
    if n % 2 == 0:
        second = first + (1 - first) * rng.beta(1, n - lower, RESAMPLES)
    below, above = (np.minimum((n * u).astype(np.intp), n - 1) for u in (first, second))
    return below, above
