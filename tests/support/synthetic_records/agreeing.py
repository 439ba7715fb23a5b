"""Records that say everything the same way in all places, as measured ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import by_process, timed
from bench.networks.variants import variant
from bench.stats.summaries import summary_of

QUIET = {"others": 0.0, "steal": 0.0, "throttled": 0.0, "load": 0.0}
"""The machine while nothing else ran on it."""


def agreeing(record: Record, **metrics: Any) -> Record:
    """The record with all that follows from its samples and its curve: summary, machine, accuracy.

    Args:
        record: With a result.
        metrics: In the place of its own.
    """
    record = replace(record, metrics={**record.metrics, **metrics})
    found = _trained(record) if kind(record.kind).trained else _timed(record)
    record = replace(record, metrics={**record.metrics, **found})
    return replace(
        record, summary=summary_of(record.kind, by_process(record), record.images_per_sample)
    )


def quiet(seconds: Sequence[float]) -> dict[str, Any]:
    """The metric ``machine`` of blocks that took so long, with nothing else running."""
    rest = {name: [value] * len(seconds) for name, value in QUIET.items()}
    rounded = [round(block + 2e-4, 4) for block in seconds]
    return {"seconds": rounded, "cpu_seconds": rounded, **rest, "threads": 2, "repeated": 0}


def _timed(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": quiet([sum(part) for part in timed(record).parts()])}
    case = record.case
    network = variant(case.variant).architecture(10, head=case.head, input_size=case.input_size)
    if kind(record.kind).throughput:
        training = kind(record.kind).parallel
        found["flops_per_image"] = network.training_flops() if training else network.forward_flops()
        found["ceiling_reason"] = "a synthetic record"
        found["steps_per_sample"] = (record.images_per_sample or 0) // case.batch_size
    return found


def _trained(record: Record) -> dict[str, Any]:
    """One class is right as often as the samples say; the curve ends there."""
    metrics, accuracy = record.metrics, record.samples[0]
    images = record.dataset["test_images"]
    right = round(accuracy * images)
    curve = [dict(point) for point in metrics.get("curve") or ()]
    goals = [goal["accuracy"] for goal in metrics.get("thresholds") or ()]
    if curve:
        curve[-1]["test_accuracy"] = accuracy
    found: dict[str, Any] = {
        "test_accuracy": accuracy,
        "confusion": [[right, images - right], [0, 0]],
        "per_class": {},
        "curve": curve,
        "thresholds": [_threshold(curve, goal) for goal in goals],
        "startup": {},
        "parts": 1,
    }
    if curve:
        own = [
            curve[0]["seconds"],
            *(after["seconds"] - before["seconds"] for before, after in pairwise(curve)),
        ]
        ends = {"train_seconds": curve[-1]["seconds"], "train_images": curve[-1]["images"]}
        found |= ends | {"machine": quiet(own)}
    return found


def _threshold(curve: Sequence[dict[str, Any]], accuracy: float) -> dict[str, Any]:
    first = next((point for point in curve if point["test_accuracy"] >= accuracy), {})
    return {"accuracy": accuracy, **{name: first.get(name) for name in ("seconds", "images")}}
