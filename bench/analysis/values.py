"""The value of a case: what the tables of the report, a history, a comparison and the exports show.

There is one definition, so that a figure never reads 6.86 s in one place and 6.87 s in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.analysis.speeds import speeds_of
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import by_process
from bench.stats.estimates import COARSE, Estimate, median_estimate, percentiles
from bench.stats.seeds import mean_of_seeds

UNITS = {"images_per_second": "images/s", "p50": "s", "seconds": "s", "fraction": "fraction"}
"""Keys of ``summary`` that can be the value of a record (each record has one), with their units."""


def value_of(records: Sequence[Record]) -> Estimate:
    """The value of a case and kind over its seeds, in images/s, seconds or as a fraction.

    Images/s: the level over all processes. Latency: the median of all calls. Start-up and accuracy:
    the mean. The intervals of all that is timed are those of levels over processes
    (`bench.stats.estimates.median_estimate`): a t interval of two start-ups says nothing.

    Args:
        records: With a result; one per seed.
    """
    row = kind(records[0].kind)
    samples = [sample for record in records for sample in record.samples]
    if not row.timed:
        return mean_of_seeds(samples)
    of = speeds_of if row.throughput else by_process
    processes = [process for record in records for process in of(record)]
    # A clock too coarse for a call reads zero.
    level = median_estimate([[max(value, COARSE) for value in process] for process in processes])
    if row.throughput:
        return level
    value = fmean(samples) if row.startup else percentiles(samples)[0]
    if level.low is None or level.high is None:
        return Estimate(value, None, None)
    scale = value / level.value
    return Estimate(value, scale * level.low, scale * level.high)


def own_estimate(record: Record) -> Estimate | None:
    """The value of one record with the interval that tables show; None where it has no value.

    One training has no interval.
    """
    value = own_value(record)
    if value is None:
        return None
    return value_of([record]) if kind(record.kind).timed else Estimate(value, None, None)


def own_value(record: Record) -> float | None:
    """The value of one record; None where its summary has none.

    The summary of a start-up has the median of its processes, the tables have the mean.
    """
    if kind(record.kind).startup and record.samples:
        return fmean(record.samples)
    return next((found for key in UNITS if (found := record.summary.get(key)) is not None), None)
