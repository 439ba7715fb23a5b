"""Speeds of experiments, and how one stands to another."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.experiments import Experiment
from bench.core.samples import by_process, interleaved_together, ratios, timed
from bench.stats import estimates

IMAGES = ("train_throughput", "inference")
"""Kinds whose samples are of many images; the others' are of one call or one start."""


def speeds(experiment: Experiment) -> list[list[float]]:
    """Images/s (of calls and starts: how many a second) of every sample, by process."""
    return [
        estimates.rates(process, record.images_per_sample if record.kind in IMAGES else 1)
        for record in experiment.ok
        for process in by_process(record)
    ]


@dataclass(frozen=True)
class Versus:
    """A ratio of speeds, above 1 where the first is faster, and what it rests on."""

    ratio: estimates.Estimate
    pairs: int | None = None
    """Of blocks taken in turns; None where the two were measured one after the other."""
    processes: int | None = None
    detectable: float | None = None
    """Relative; see :class:`bench.stats.estimates.Paired`."""

    @property
    def verdict(self) -> str:
        """Faster, slower or tie."""
        return estimates.verdict(self.ratio.low, self.ratio.high)


def versus(one: Experiment, other: Experiment) -> Versus:
    """Speed of ``one`` over that of ``other``: pair by pair where they took turns."""
    apart = Versus(estimates.ratio_of_medians(speeds(one), speeds(other)))
    return interleaved_versus(one, other) or apart


def interleaved_versus(one: Experiment, other: Experiment) -> Versus | None:
    """The same, of two that took turns; None when they did not."""
    pairs = paired_ratios(one, other)
    if not pairs:
        return None
    found = estimates.paired(pairs)
    return Versus(found.ratio, found.pairs, found.processes, found.detectable)


def paired_ratios(one: Experiment, other: Experiment) -> list[list[float]]:
    """Ratios of speed of what took turns, by process; none where nothing did."""
    seeds = {record.case.seed: record for record in other.ok}
    return [
        process
        for record in one.ok
        if record.case.seed in seeds and interleaved_together(record, seeds[record.case.seed])
        for process in ratios(timed(record), timed(seeds[record.case.seed]))
    ]
