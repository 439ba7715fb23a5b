"""Speeds of experiments and of single records, and the one ratio between two of them."""

from __future__ import annotations

from collections.abc import Iterable

from bench.analysis.doubts import doubt_of
from bench.analysis.experiments import Experiment
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import (
    Timed,
    by_process,
    fastest_ratios,
    interleaved_together,
    ratios,
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
    found = interleaved_versus(one, other) or estimates.unpaired(speeds(one), speeds(other))
    return with_conditions(found, (*one.ok, *other.ok))


def interleaved_versus(one: Experiment, other: Experiment) -> Ratio | None:
    """The same for two that were interleaved; None where they were not."""
    pairs = paired_ratios(one, other)
    return with_conditions(estimates.paired(pairs), (*one.ok, *other.ok)) if pairs else None


def with_conditions(ratio: Ratio, records: Iterable[Record]) -> Ratio:
    """The ratio with what keeps it from a verdict: the share of disturbed blocks of the record that
    has most of them, and the doubt about one of the records."""
    found = list(records)
    shares = (disturbed_share(record.metrics) for record in found)
    return ratio._replace(disturbed=max(shares, default=0.0), doubt=doubt_of(found))


def paired_ratios(one: Experiment, other: Experiment) -> list[list[float]]:
    """Ratios of speed of interleaved blocks, by process; empty where none were interleaved."""
    return [process for pair in _interleaved(one, other) for process in ratios(*pair)]


def fastest_ratio(one: Experiment, other: Experiment) -> Estimate:
    """Ratio of the fastest interleaved blocks of each process, with its interval over processes.

    What slows some blocks of one framework more than those of the other is not in it.
    """
    found = [ratio for pair in _interleaved(one, other) for ratio in fastest_ratios(*pair)]
    return estimates.paired([[ratio] for ratio in found]).ratio if found else estimates.UNKNOWN


def _interleaved(one: Experiment, other: Experiment) -> list[tuple[Timed, Timed]]:
    """Samples of both, of each seed in which they were measured together."""
    seeds = {record.case.seed: record for record in other.ok}
    return [
        (timed(record), timed(seeds[record.case.seed]))
        for record in one.ok
        if record.case.seed in seeds and interleaved_together(record, seeds[record.case.seed])
    ]
