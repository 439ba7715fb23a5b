"""The metrics of several processes of a case as one, by the rows of `bench.core.schema.metrics`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.core.schema.metrics import METRICS
from bench.worker.device.energy import added


def pooled(processes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of the first process, each pooled with the others' as its row says.

    What the first process did not measure is not there; a metric without a row is the first's.
    """
    return {name: _pooled(name, processes) for name in processes[0]}


def _pooled(name: str, processes: Sequence[Mapping[str, Any]]) -> Any:
    row = METRICS.get(name)
    values = [metrics[name] for metrics in processes if metrics.get(name) is not None]
    if row is None or not values:
        return processes[0][name]
    return _POOLS[row.pooled](values)


def _energy(values: Sequence[Any]) -> dict[str, Any]:
    return added(values) | {"images": sum(value["images"] for value in values)}


_POOLS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "first": lambda values: values[0],
    "mean": lambda values: float(np.mean(values)),
    "max": max,
    "energy": _energy,
    "joined": lambda values: [one for value in values for one in value],
}
