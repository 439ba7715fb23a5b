"""Results for services that follow benchmarks over commits: github-action-benchmark, Bencher.

Both also read pytest-benchmark's ``benchmark.json``, which holds times per step and no intervals of
ours; these files have each result with its 95 % interval.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bench.analysis.caveats import is_removed
from bench.analysis.experiments import data_of, latest
from bench.analysis.values import own_estimate, own_value
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.report.format import joined
from bench.stats.estimates import Estimate

_NANOSECONDS = 1e9


def github_action_benchmark(records: Iterable[Record]) -> bytes:
    """The JSON of its tool ``customBiggerIsBetter``: a list of results.

    Everything is a speed or an accuracy, so that one file holds all: latencies are calls/s,
    start-ups starts/s.
    """
    entries = []
    for record in _with_result(records):
        value, low, high = _bigger_is_better(record)
        entry: dict[str, Any] = {
            "name": f"{record.case.id} {record.kind}",
            "unit": _unit(record),
            "value": value,
        }
        if low is not None and high is not None:
            entry["range"] = f"± {max(high - value, value - low):.4g}"
        entries.append(entry | {"extra": _extra(record)})
    return _dumped(entries)


def bencher(records: Iterable[Record]) -> bytes:
    """Bencher Metric Format: measures with their intervals, by case.

    Latencies are in nanoseconds, as Bencher's own measure of that name; start-ups in seconds,
    throughputs in images/s, accuracies as fractions.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for record in _with_result(records):
        row = kind(record.kind)
        scale = _NANOSECONDS if row.timed and not (row.throughput or row.startup) else 1.0
        ends = zip(("value", "lower_value", "upper_value"), _result(record), strict=True)
        metric = {name: scale * end for name, end in ends if end is not None}
        measures = found.setdefault(record.case.id, {})
        measures[record.kind.replace("_", "-")] = metric
    return _dumped(found)


FORMATS = {"github-action-benchmark": github_action_benchmark, "bencher": bencher}
"""Writers by name."""


def _with_result(records: Iterable[Record]) -> list[Record]:
    """Of several records of one case the last one with a value (`latest`).

    Raises:
        UserError: They are of several data: a service knows a result by its name alone.
    """
    found = [
        record
        for record in latest(records)[0]
        if record.ok and not (kind(record.kind).timed and is_removed(record))
        if own_value(record) is not None
    ]
    data = dict.fromkeys(data_of(record).label for record in found)
    if len(data) > 1:
        raise UserError(
            f"records of several data ({joined(list(data))}): a service knows a result by the name "
            "of its case alone; export runs on the same data"
        )
    return found


def _result(record: Record) -> Estimate:
    found = own_estimate(record)
    assert found is not None, "records without a value are left out"
    return found


def _bigger_is_better(record: Record) -> Estimate:
    found = _result(record)
    row = kind(record.kind)
    if row.throughput or not row.timed:
        return found
    value, low, high = found
    if low is None or high is None:
        return Estimate(1 / value, None, None)
    return Estimate(1 / value, 1 / high, 1 / low)


def _unit(record: Record) -> str:
    row = kind(record.kind)
    if row.throughput:
        return "images/s"
    if not row.timed:
        return "fraction"
    return "starts/s" if row.startup else "calls/s"


def _extra(record: Record) -> str:
    versions = record.environment.get("versions") or {}
    return "\n".join(
        [
            f"samples: {len(record.samples)}",
            *(f"{name}: {version}" for name, version in versions.items()),
            *(f"caveat on {caveat['on']}: {caveat['why']}" for caveat in record.caveats),
        ]
    )


def _dumped(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
