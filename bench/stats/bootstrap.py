"""The bootstrap over processes, and samples inside them, that every interval of a speed rests on.

Nothing here keeps state: the same samples always give the same interval, since the draws start from
one fixed seed.
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
PROCESS_SPREAD = 0.03
"""Standard deviation between processes, relative, that is taken for usual.

What a process happens to get (addresses, pages, places of threads) stays with it, so its blocks
cannot show it. `docs/statistics.md` has what was found between processes."""
PRIOR_WEIGHT = 2
"""Degrees of freedom that the usual spread counts for where fewer than `ENOUGH` processes tell of
their own: two that happen to agree, or not to, say next to nothing (a moderated t: Smyth 2004)."""
ENOUGH = 4
"""Processes whose own spread is believed."""
MANY = 8
"""Processes from which on the error is computed from each process's resamples, without drawing
means of them: the variance of a mean of independent draws is known, and the draws of P processes
for P places cost P squared."""
_SEED = 20120930  # any fixed number: the same samples must give the same interval

Array = NDArray[np.float64]
Processes = Sequence[Sequence[float]]
"""Samples by the process that took them: blocks of one process are more alike than processes."""


class Level:
    """The mean over processes of their medians, with its error from a bootstrap.

    Processes are resampled, and samples within them. Percentiles of that would be too narrow: few
    processes vary less in resamples than in the world (by (P - 1) / P, which is put right), and
    their spread is itself uncertain (for which Student's t stands). The shape of so few points is
    not believed: intervals reach as far to both sides, on a scale of logarithms. Davison and
    Hinkley 1997, sections 2.3 and 3.8; Kalibera and Jones 2013, section 6.
    """

    def __init__(self, kept: Sequence[Array]) -> None:
        medians = [float(np.median(samples)) for samples in kept]
        self.processes = len(kept)
        self.samples = sum(map(len, kept))
        self.centre = float(np.mean(medians))
        self.spread = float(np.std(medians, ddof=1)) if len(kept) > 1 else None
        self._kept = kept

    @classmethod
    def of(cls, processes: Processes) -> Level:
        """Raises ValueError without a sample."""
        kept = tuple(tuple(samples) for samples in processes if len(samples))
        if not kept:
            raise ValueError("a median needs a sample. Received: none")
        return _level(kept)

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

    @cached_property
    def error(self) -> float:
        """Standard error of the mean: of its bootstrap distribution."""
        if self.processes < MANY:
            return float(np.std(self.resampled))
        rng = np.random.default_rng(_SEED)
        size = max(RESAMPLES * MANY // self.processes, 1)
        medians = np.stack([_medians_of_one(samples, rng, size) for samples in self._kept])
        return float(np.std(medians)) / math.sqrt(self.processes)

    @cached_property
    def within(self) -> float:
        """Standard error of the mean as far as the samples inside the processes tell it."""
        rng = np.random.default_rng(_SEED)
        variances = [np.var(_medians_of_one(samples, rng)) for samples in self._kept]
        return math.sqrt(float(np.mean(variances)) / self.processes)


@lru_cache(maxsize=4096)
def _level(kept: tuple[tuple[float, ...], ...]) -> Level:
    """One level for the same samples: a framework is compared with several others."""
    return Level([np.sort(np.asarray(samples, dtype=float)) for samples in kept])


def error_of(*levels: Level) -> tuple[float, float]:
    """Standard error of a difference of levels, and its degrees of freedom (Welch)."""
    parts = [_error_of_one(level) for level in levels]
    variance = sum(error**2 for error, _ in parts)
    uncertain = sum(error**4 / freedom for error, freedom in parts)
    return math.sqrt(variance), variance**2 / uncertain if uncertain else math.inf


def _error_of_one(level: Level) -> tuple[float, float]:
    freedom = level.processes - 1
    if level.processes >= ENOUGH:
        return level.error * math.sqrt(level.processes / freedom), float(freedom)
    total = PRIOR_WEIGHT + freedom
    found = freedom * level.spread**2 if level.spread else 0.0
    usual = (PRIOR_WEIGHT * PROCESS_SPREAD**2 + found) / total
    return math.hypot(math.sqrt(usual / level.processes), level.within), float(total)


def t_quantile(freedom: float, probability: float) -> float:
    """A quantile of Student's t; of the normal distribution for infinitely many degrees."""
    if math.isinf(freedom):
        return float(ndtri(probability))
    return float(stdtrit(freedom, probability))


def interval_of(centre: float, *levels: Level) -> tuple[float, float]:
    """The 95 % interval of a level, or of a difference of levels, of logarithms."""
    error, freedom = error_of(*levels)
    reach = t_quantile(freedom, (1 + CONFIDENCE) / 2) * error
    return centre - reach, centre + reach


def logarithms(processes: Processes) -> list[list[float]]:
    """Of every sample. Raises ValueError for one that is not positive."""
    if any(value <= 0 for samples in processes for value in samples):
        raise ValueError("a ratio needs positive values")
    return [[math.log(value) for value in samples] for samples in processes]


def ends_of(resampled: Array) -> tuple[float, float]:
    """The percentiles that hold `CONFIDENCE` of a bootstrap distribution between them."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, (tail, 100 - tail))
    return float(low), float(high)


def _medians_of_one(ordered: Array, rng: np.random.Generator, size: int = RESAMPLES) -> Array:
    """(size,) medians of resamples of sorted values, without drawing the resamples.

    The k-th smallest of n uniform draws is Beta(k, n + 1 - k) distributed, so the k-th smallest of
    a resample is ``ordered[floor(n * that)]``; the next one follows from it (David and Nagaraja,
    Order Statistics, section 2). Thousands of latency samples then cost no more than ten.
    """
    n = len(ordered)
    lower = (n + 1) // 2
    first = rng.beta(lower, n + 1 - lower, size)
    second = first
    if n % 2 == 0:
        second = first + (1 - first) * rng.beta(1, n - lower, size)
    places = [np.minimum((n * u).astype(int), n - 1) for u in (first, second)]
    middle: Array = (ordered[places[0]] + ordered[places[1]]) / 2
    return middle
