"""Records to rows of numbers: one dict per experiment, in full precision, nothing rounded.

The rows are what the CSV files hold. How a row looks to a reader is decided in `tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.analysis.clock import sync_audit_of
from bench.analysis.comparability import differences_between, in_words
from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.provenance import provenance_of
from bench.analysis.published import MEAN_OF_CLASSES, published_figure
from bench.analysis.speeds import speeds, versus
from bench.analysis.utilisation import device_memory, energy, utilisation
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.core.text import without_folders
from bench.stats import estimates
from bench.stats.verdicts import speed_verdict

Row = dict[str, Any]

IDENTITY = (
    "dataset",
    "fingerprint",
    "track",
    "variant",
    "framework",
    "init",
    "weights",
    "head",
    "frozen",
    "recipe",
    "input_size",
    "precision",
    "batch_size",
    "device",
    "devices",
)
"""Columns that every table begins with."""

FACTS = (
    "seeds",
    "failed",
    "parity",
    "parity_problem",
    "peak_memory_bytes",
    "reference",
    "not_compared",
)
"""Columns about a row as a whole: what it was made from, and what it may be held against."""


def identity(experiment: Experiment, data: Data) -> Row:
    """What a row is about: the columns of ``IDENTITY``."""
    case = experiment.case
    facts = {name: getattr(case, name) for name in IDENTITY[2:]}
    return {"dataset": data.name, "fingerprint": data.fingerprint, **facts}


def counts(experiment: Experiment) -> Row:
    """What a row was made from: seeds, failures, its proof, and the most memory it took."""
    memory = [r.peak_memory_bytes for r in experiment.ok if r.peak_memory_bytes is not None]
    return {
        "seeds": len(experiment.ok),
        "failed": experiment.failed,
        "parity": experiment.parity,
        "parity_problem": experiment.problem,
        "peak_memory_bytes": max(memory, default=None),
    }


def standing_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Every experiment with its proof and what it may be held against, without its numbers."""
    found = experiments(records, KINDS)
    return [identity(e, data) | {"kind": e.kind} | counts(e) | standing(e, found) for e in found]


def accuracy_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Mean test accuracy over seeds (fraction) with its interval; cost of training in s and images.

    A seed that diverged is in the mean; one that failed has no accuracy and is counted.
    """
    found = experiments(records, ("accuracy",))
    return [_accuracy_row(e, data) | standing(e, found) for e in found]


def _accuracy_row(experiment: Experiment, data: Data) -> Row:
    row = identity(experiment, data) | counts(experiment)
    metrics = [record.metrics for record in experiment.ok]
    row["diverged"] = sum(bool(m.get("diverged")) for m in metrics)
    row |= _estimate("accuracy", mean_over_seeds([record.samples[0] for record in experiment.ok]))
    for name in ("train_seconds", "train_images"):
        row[name] = mean_over_seeds([m[name] for m in metrics if m.get(name) is not None]).value
    row |= _threshold_columns([m.get("thresholds") or [] for m in metrics])
    row |= provenance_of(experiment.ok)
    return row | _published("accuracy", experiment, relevant=_is_cifar(data))


def _is_cifar(data: Data) -> bool:
    """A figure for CIFAR-10 says nothing beside a row on other pictures."""
    return "cifar" in data.name.lower()


def _threshold_columns(seeds: Sequence[Sequence[Row]]) -> Row:
    """Median seconds and images to each threshold, and how many seeds reached it."""
    goals = sorted({goal["accuracy"] for seed in seeds for goal in seed})
    columns: Row = {}
    for goal in goals:
        met = [entry for seed in seeds for entry in seed if entry["accuracy"] == goal]
        for unit in ("seconds", "images"):
            columns[f"{unit}_to_{goal:g}"] = estimates.median_with_never([m[unit] for m in met])
        columns[f"reached_{goal:g}"] = sum(m["images"] is not None for m in met)
    return columns


def mean_over_seeds(values: Sequence[float]) -> estimates.Estimate:
    """Mean with its t interval; not a number where there is no value."""
    return estimates.mean_estimate(values) if values else estimates.Estimate(np.nan, None, None)


def _estimate(name: str, estimate: estimates.Estimate) -> Row:
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}


def _published(kind: str, experiment: Experiment, *, relevant: bool) -> Row:
    figure = published_figure(kind, experiment.case) if relevant else None
    return {
        "published": figure.value if figure else None,
        "published_source": figure.source if figure else None,
    }


def throughput_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Images/s of training and inference: median, interval, ratio to the reference framework."""
    found = experiments(records, ("train_throughput", "inference"))
    return [_throughput_row(e, found, data) for e in found]


def _throughput_row(experiment: Experiment, found: Sequence[Experiment], data: Data) -> Row:
    row = identity(experiment, data) | {"kind": experiment.kind} | counts(experiment)
    row["blocks"] = sum(len(record.samples) for record in experiment.ok)
    rate = _median(experiment)
    row["processes"] = len(speeds(experiment))
    row |= _estimate("images_per_second", rate)
    flops = [
        r.metrics["flops_per_image"] for r in experiment.ok if r.metrics.get("flops_per_image")
    ]
    row["flops_per_second"] = rate.value * flops[0] if flops else None
    row |= utilisation(experiment.ok, row["flops_per_second"])
    row |= energy(experiment.ok) | device_memory(experiment.ok)
    first = [r.metrics.get("first_step_seconds") for r in experiment.ok]
    known = [seconds for seconds in first if seconds is not None]
    row["first_step_seconds"] = estimates.median_with_never(known)
    clock = sync_audit_of(experiment)
    row["clock"] = clock.verdict if clock else None
    row |= _versus(experiment, found)
    return row | _published(experiment.kind, experiment, relevant=True)


def _median(experiment: Experiment) -> estimates.Estimate:
    processes = speeds(experiment)
    return (
        estimates.median_estimate(processes)
        if processes
        else estimates.Estimate(np.nan, None, None)
    )


def latency_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Seconds of one call with one picture: p50, p90, p99 over the calls of all seeds."""
    found = experiments(records, ("latency",))
    rows = []
    for experiment in found:
        calls = [seconds for record in experiment.ok for seconds in record.samples]
        p50, p90, p99 = estimates.percentiles(calls) if calls else (np.nan, np.nan, np.nan)
        row = identity(experiment, data) | counts(experiment)
        row |= {"calls": len(calls), "p50": p50, "p90": p90, "p99": p99}
        rows.append(row | _versus(experiment, found))
    return rows


def startup_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Seconds from an empty process to the end of the first step, and its parts: seed means."""
    rows = []
    found = experiments(records, ("startup",))
    for experiment in found:
        row = identity(experiment, data) | counts(experiment) | standing(experiment, found)
        row |= _estimate("seconds", mean_over_seeds([s for r in experiment.ok for s in r.samples]))
        for part in ("import_seconds", "build_seconds", "first_step_seconds"):
            told = [r.metrics[part] for r in experiment.ok if r.metrics.get(part) is not None]
            row[part] = mean_over_seeds(told).value
        rows.append(row | _beside_bare(experiment))
    return rows


def _beside_bare(experiment: Experiment) -> Row:
    """From the birth of a worker to the end of its first step, and of a process that takes the
    shortest way to one; None where that was not measured."""
    told = [r.metrics for r in experiment.ok if r.metrics.get("bare_seconds")]
    if not told:
        return dict.fromkeys(("worker_seconds", "bare_seconds", "worker_ratio"))
    worker, bare = (
        mean_over_seeds([metrics[name] for metrics in told]).value
        for name in ("worker_seconds", "bare_seconds")
    )
    return {"worker_seconds": worker, "bare_seconds": bare, "worker_ratio": worker / bare}


def per_class_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Test accuracy (fraction) of each class, mean over seeds; a column named after each class.

    ``published`` is somebody's mean over the classes.
    """
    rows = []
    found = experiments(records, ("accuracy",))
    for experiment in found:
        told = [r.metrics["per_class"] for r in experiment.ok if r.metrics.get("per_class")]
        if told:
            means = {name: mean_over_seeds([seed[name] for seed in told]).value for name in told[0]}
            row = identity(experiment, data) | counts(experiment) | standing(experiment, found)
            row[MEAN_OF_CLASSES] = float(np.mean(list(means.values())))
            row |= _published(MEAN_OF_CLASSES, experiment, relevant=_is_cifar(data))
            rows.append(row | means)
    return rows


def failure_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Everything without a result, with its error text; no folder of a machine in it."""
    return [
        {
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "track": record.case.track,
            "case": record.case.id,
            "kind": record.kind,
            "status": record.status,
            "error": without_folders(record.error or "no reason was recorded").strip(),
        }
        for record in records
        if not record.ok
    ]


def reference_of(experiment: Experiment, found: Iterable[Experiment]) -> Experiment | None:
    """Whom a row is held against: pytorch where it has a result, and nobody when uncertified."""
    if not experiment.ok or not experiment.certified:
        return None
    same = (e for e in found if e.peers == experiment.peers and e.kind == experiment.kind)
    # Experiments come framework by framework, pytorch first.
    return next((e for e in same if e.ok and e.certified), None)


def standing(experiment: Experiment, found: Iterable[Experiment]) -> Row:
    """Name of the reference, and in words what forbids to compare the row with it."""
    reference = reference_of(experiment, found)
    if reference is None:
        return {"reference": None, "not_compared": None}
    words = (
        in_words(differences_between(experiment, reference)) if reference is not experiment else ""
    )
    return {"reference": reference.case.framework, "not_compared": words or None}


def _versus(experiment: Experiment, found: Sequence[Experiment]) -> Row:
    """Ratio of throughput to the reference framework, where the two may be compared."""
    row = standing(experiment, found)
    reference = reference_of(experiment, found)
    if reference is None:
        return row | ratio_columns(None, "")
    if reference is experiment:
        return row | ratio_columns(estimates.Estimate(1.0, None, None), "reference")
    if row["not_compared"]:
        return row | ratio_columns(None, "not comparable")
    held = versus(experiment, reference)
    return row | ratio_columns(held.ratio, speed_verdict(held).word)


def ratio_columns(ratio: estimates.Estimate | None, verdict: str) -> Row:
    """A ratio with its interval and what it says, as columns."""
    value, low, high = ratio or (None, None, None)
    return {"ratio": value, "ratio_low": low, "ratio_high": high, "verdict": verdict}
