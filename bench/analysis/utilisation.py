"""Columns next to a speed: the measured peak of the machine, energy, and device memory.

Records of older versions have none of it: their cells are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.records import Record
from bench.core.system.nvml import harmful
from bench.stats.estimates import Estimate

Row = dict[str, Any]


def utilisation(records: Sequence[Record], rate: Estimate, flops: float | None) -> Row:
    """Achieved FLOP/s over the highest that was measured on this device in this precision.

    Args:
        records: Of one row.
        rate: Their images/s; its interval is that of the share.
        flops: Operations of an image; None where they are unknown.

    Returns:
        The share with its ends, and what it is taken of. A row above that peak has no share of it:
        ``above_peak`` says so, and the peak is too low.
    """
    found = [r.metrics["ceiling"] for r in records if r.metrics.get("ceiling")]
    best = max(found, key=lambda one: float(one["flops_per_second"]), default=None)
    ceiling = None if best is None else best["flops_per_second"]
    value, low, high = (
        None if ceiling is None or flops is None or end is None else end * flops / ceiling
        for end in rate
    )
    above = value is not None and value > 1
    return {
        "ceiling_flops_per_second": ceiling,
        "ceiling_precision": None if best is None else best.get("precision"),
        "utilisation": None if above else value,
        "utilisation_low": None if above else low,
        "utilisation_high": None if above else high,
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


def disturbances(records: Sequence[Record]) -> Row:
    """What NVML saw of an accelerator's counted blocks: whether it was throttled or shared.

    The reasons of throttling are in words; empty where there was none, None where nothing is known.
    """
    blocks = [block for r in records for block in r.metrics.get("device_blocks") or ()]
    if not blocks:
        return {"device_throttled": None, "device_foreign_processes": None}
    reasons = harmful(block[when] or {} for block in blocks for when in ("before", "after"))
    return {
        "device_throttled": ", ".join(reasons),
        "device_foreign_processes": max(block["foreign_processes"] or 0 for block in blocks),
    }


def device_memory(records: Sequence[Record]) -> Row:
    """The most memory of an accelerator that the framework gave out and had taken, and that its
    process held."""
    names = ("device_memory_bytes", "device_reserved_bytes", "device_process_bytes")
    values = {name: [r.metrics.get(name) for r in records] for name in names}
    return {
        name: max((held for held in found if held is not None), default=None)
        for name, found in values.items()
    }
