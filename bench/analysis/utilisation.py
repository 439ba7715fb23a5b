"""Columns next to a speed: the measured peak of the machine, energy, and device memory.

Records of older versions have none of it: their cells are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.records import Record

Row = dict[str, Any]


def utilisation(records: Sequence[Record], flops_per_second: float | None) -> Row:
    """Achieved FLOP/s over the highest that was measured on this machine in this precision.

    A row above that peak has no share of it: ``above_peak`` says so, and the peak is too low.
    """
    values = [r.metrics["ceiling"]["flops_per_second"] for r in records if r.metrics.get("ceiling")]
    ceiling = max(values, default=None)
    share = None if ceiling is None or flops_per_second is None else flops_per_second / ceiling
    above = share is not None and share > 1
    return {
        "ceiling_flops_per_second": ceiling,
        "utilisation": None if above else share,
        "above_peak": above,
    }


def energy(records: Sequence[Record]) -> Row:
    """Joules an image, over all records that have them; else why there are none."""
    values = [r.metrics["energy"] for r in records if r.metrics.get("energy")]
    counted = [one for one in values if one["joules"] is not None and one["images"]]
    images = sum(one["images"] for one in counted)
    reasons = [one["reason"] for one in values if one.get("reason")]
    return {
        "joules_per_image": sum(one["joules"] for one in counted) / images if images else None,
        "energy_reason": None if images or not reasons else reasons[0],
    }


def device_memory(records: Sequence[Record]) -> Row:
    """The peak of the device's own memory, where there is such a device."""
    values = [r.metrics.get("device_memory_bytes") for r in records]
    return {"device_memory_bytes": max((held for held in values if held is not None), default=None)}
