"""Why the speed of a record may give no verdict, whatever its interval says.

A speed that was read before the work was done, that lies above the fastest operation of the
machine, or whose parity check failed is that of something else. One that was not checked at all has
no row next to other frameworks (`bench.analysis.certified`), and may be compared with its own
earlier runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.certified import FAIL, problem_of, status_of
from bench.analysis.clock import MISSING_SYNC, lacks_sync
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import by_process
from bench.core.text import without_folders
from bench.stats import estimates

UNCERTIFIED = "uncertified"
ABOVE_PEAK = "above the measured peak"


def doubt_of(records: Sequence[Record]) -> str:
    """The first reason why a ratio of these records gives no verdict; empty where there is none.

    Args:
        records: With a result.
    """
    for record in records:
        name = record.case.framework_label
        if status_of(record) == FAIL and (problem := problem_of(record)):
            return f"{name} is {UNCERTIFIED} ({without_folders(problem)})"
        if lacks_sync(record):
            return f"{MISSING_SYNC} in {name}"
        if excess_of_peak([record]) is not None:
            return f"the speed of {name} is {ABOVE_PEAK}"
    return ""


def excess_of_peak(records: Sequence[Record]) -> tuple[float, float] | None:
    """FLOP/s of an experiment and the measured peak, where they are above it.

    Args:
        records: Of one experiment, with a result.
    """
    peaks = [r.metrics["ceiling"]["flops_per_second"] for r in records if r.metrics.get("ceiling")]
    flops = records[0].metrics.get("flops_per_image") if records else None
    if not peaks or not flops or not kind(records[0].kind).throughput:
        return None
    speeds = [
        estimates.rates(process, record.images_per_sample)
        for record in records
        for process in by_process(record)
    ]
    achieved = estimates.median_estimate(speeds).value * flops
    return (achieved, max(peaks)) if achieved > max(peaks) else None
