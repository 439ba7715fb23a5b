"""The ``summary`` of a record, computed from its raw samples as the row of its kind says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.core.kinds import kind
from bench.stats.estimates import median_estimate, percentiles, rates

Summary = dict[str, float | int | None]
Processes = Sequence[Sequence[float]]


def summary_of(name: str, processes: Processes, images_per_sample: int | None) -> Summary:
    """The ``summary`` of a record of the kind ``name``; empty without samples.

    Args:
        name: Name of the kind of measurement.
        processes: Samples of each process, in seconds, or as fractions for accuracies.
        images_per_sample: Images of one sample, needed for rates alone.

    Returns:
        ``rate``: ``images_per_second`` (`bench.stats.estimates.median_estimate`) with its interval
        ``low`` and ``high``, ``blocks`` and ``processes``. ``percentiles``: ``p50``, ``p90`` and
        ``p99`` in seconds, and ``calls``. ``median``: ``seconds``. ``mean``: ``fraction``.

    Raises:
        UserError: There is no such kind.
        ValueError: A rate without ``images_per_sample``.
    """
    row = kind(name)
    if not any(len(process) for process in processes):
        return {}
    return _SUMMARIES[row.summary](processes, images_per_sample)


def _rate(processes: Processes, images_per_sample: int | None) -> Summary:
    found = median_estimate([rates(process, images_per_sample) for process in processes])
    return {
        "images_per_second": found.value,
        "low": found.low,
        "high": found.high,
        "blocks": sum(map(len, processes)),
        "processes": len(processes),
    }


def _percentiles(processes: Processes, _: int | None) -> Summary:
    samples = _flat(processes)
    p50, p90, p99 = percentiles(samples)
    return {"p50": p50, "p90": p90, "p99": p99, "calls": len(samples)}


def _median(processes: Processes, _: int | None) -> Summary:
    return {"seconds": float(np.median(_flat(processes)))}


def _mean(processes: Processes, _: int | None) -> Summary:
    return {"fraction": float(np.mean(_flat(processes)))}


def _flat(processes: Processes) -> list[float]:
    return [sample for process in processes for sample in process]


_SUMMARIES: dict[str, Callable[[Processes, int | None], Summary]] = {
    "rate": _rate,
    "percentiles": _percentiles,
    "median": _median,
    "mean": _mean,
}
