"""Speeds of experiments and of single records, and the one ratio between two of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bench.analysis.doubts import doubt_of
from bench.analysis.experiments import Experiment
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import (
    Pairs,
    by_process,
    fastest_ratio,
    interleaved_together,
    pairs,
    ratios_of,
    timed,
)
from bench.core.system.machine import disturbed_share
from bench.stats import estimates
from bench.stats.estimates import Estimate, Ratio


def speeds(experiment: Experiment) -> list[list[float]]:
    """Speed of every sample of an experiment, by process; see `speeds_of`."""
    return [process for record in experiment.ok for process in speeds_of(record)]


def speeds_of(record: Record) -> list[list[float]]:
    """Speed of every sample of a record, by process.

    Images/s of a throughput; calls or starts per second of a latency or a start-up.
    """
    images = record.images_per_sample if kind(record.kind).throughput else 1
    return [estimates.rates(process, images) for process in by_process(record)]


def versus(one: Experiment, other: Experiment) -> Ratio:
    """Speed of ``one`` over that of ``other``: the ratio that every table and plot shows.

    Pair by pair where the two were interleaved; else the ratio of their medians.

    Args:
        one: The experiment in the numerator, with a result.
        other: The experiment in the denominator, with a result.
    """
    found = interleaved_versus(one, other)
    return found.ratio if found else unpaired_versus(one, other)


def unpaired_versus(one: Experiment, other: Experiment) -> Ratio:
    """The ratio of the medians of two that were not interleaved."""
    found = estimates.unpaired(speeds(one), speeds(other))
    return with_conditions(found, (*one.ok, *other.ok))


class Interleaved(NamedTuple):
    """Two speeds of an interleaved run.

    Attributes:
        ratio: By pairs of blocks.
        fastest: Of the fastest blocks of each process; what slows some blocks of one framework more
            than those of the other is not in it.
    """

    ratio: Ratio
    fastest: tuple[float, ...]

    @property
    def fastest_ratio(self) -> Estimate:
        """The ratio of the fastest blocks, with its interval over processes."""
        return estimates.paired([[ratio] for ratio in self.fastest]).ratio


def interleaved_versus(one: Experiment, other: Experiment) -> Interleaved | None:
    """Both ratios of two that were interleaved; None where they were not."""
    found = _pairs(one, other)
    if not found:
        return None
    ratio = with_conditions(estimates.paired(list(map(ratios_of, found))), (*one.ok, *other.ok))
    return Interleaved(ratio, tuple(map(fastest_ratio, found)))


def with_conditions(ratio: Ratio, records: Iterable[Record]) -> Ratio:
    """The ratio with what keeps it from a verdict: the share of disturbed blocks of the record that
    has most of them, and the doubt about one of the records."""
    found = list(records)
    shares = (disturbed_share(record.metrics) for record in found)
    return ratio._replace(disturbed=max(shares, default=0.0), doubt=doubt_of(found))


def paired_ratios(one: Experiment, other: Experiment) -> list[list[float]]:
    """Ratios of speed of interleaved blocks, by process; empty where none were interleaved."""
    return list(map(ratios_of, _pairs(one, other)))


def _pairs(one: Experiment, other: Experiment) -> list[Pairs]:
    """Speeds of both by process, of each seed in which they were measured together."""
    seeds = {record.case.seed: record for record in other.ok}
    return [
        process
        for record in one.ok
        if record.case.seed in seeds and interleaved_together(record, seeds[record.case.seed])
        for process in pairs(timed(record), timed(seeds[record.case.seed]))
    ]
