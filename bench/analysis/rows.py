"""Rows of numbers: one dict per experiment, in full precision, nothing rounded.

The columns that every table shares, and the rows of accuracy, throughput and latency, which more
than one reader needs (tables, headlines, README). The rows of other tables stand in the tables'
own files, `bench.report.chapters`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import median

import numpy as np

from bench.analysis.caveats import ACCURACY, ALL, SECONDS, SPEED, reasons
from bench.analysis.experiments import Data, Experiment
from bench.analysis.provenance import provenance_of
from bench.analysis.published import Figure, published_figure
from bench.analysis.results import Results, Row
from bench.analysis.speeds import speeds
from bench.analysis.utilisation import device_memory, disturbances, energy, utilisation
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.core.system.machine import disturbed_share
from bench.stats import estimates
from bench.stats.seeds import mean_of_seeds
from bench.stats.verdicts import speed_verdict
from bench.training.recipes import recipe

__all__ = [
    "FACTS",
    "IDENTITY",
    "Row",
    "accuracy_rows",
    "caveats_of_both",
    "comparability_rows",
    "counts",
    "identity",
    "latency_rows",
    "mean_over_seeds",
    "most_disturbed",
    "provenance_columns",
    "published_columns",
    "ratio_columns",
    "throughput_rows",
]

CIFAR_IMAGES = 50_000
"""Training images of CIFAR-10, on which the published accuracies were reached."""
_AS_LONG = 0.05
"""Relative difference in images up to which two trainings count as equally long: the last batch of
an epoch that is left out, for example."""

_LATER = ("track", "seed", "defaults")
"""Fields of a case that stand elsewhere: the track before the others, the rest where a table has
them."""
IDENTITY = (
    *("dataset", "fingerprint", "track"),
    *(field.name for field in dataclasses.fields(Case) if field.name not in _LATER),
)
"""Columns that every table begins with."""

FACTS = (
    "run",
    "caveats",
    "speed_caveats",
    "seconds_caveats",
    "seeds",
    "failed",
    "parity",
    "parity_problem",
    "peak_memory_bytes",
    "reference",
    "not_compared",
)
"""Columns about a row as a whole: what it was made from, and what it may be compared with."""


def identity(experiment: Experiment, data: Data) -> Row:
    """What a row is about: the columns of ``IDENTITY``, its runs and its caveats."""
    case = experiment.case
    facts = {name: getattr(case, name) for name in IDENTITY[2:]}
    row = {"dataset": data.name, "fingerprint": data.fingerprint, **facts}
    return row | provenance_columns(experiment.ok or experiment.records)


def provenance_columns(records: Sequence[Record]) -> Row:
    """Where the records of a row come from and what a reader must know of them.

    ``run`` names the runs, None where they are unknown; ``caveats`` says what holds for all figures
    of the row, ``speed_caveats`` for its speeds and times, ``seconds_caveats`` why its seconds were
    dropped.
    """
    runs = dict.fromkeys(record.run for record in records if record.run)
    return {
        "run": ", ".join(runs) or None,
        "caveats": "; ".join(reasons(records, ACCURACY, ALL)) or None,
        "speed_caveats": "; ".join(reasons(records, SPEED)) or None,
        "seconds_caveats": "; ".join(reasons(records, SECONDS)) or None,
    }


def caveats_of_both(one: Experiment, other: Experiment) -> Row:
    """The caveats of a row that compares two experiments."""
    both = provenance_columns([*one.ok, *other.ok])
    return {name: both[name] for name in ("caveats", "speed_caveats")}


def counts(experiment: Experiment) -> Row:
    """What a row was made from: seeds, failures, its certificate, and the most memory it took."""
    memory = [r.peak_memory_bytes for r in experiment.ok if r.peak_memory_bytes is not None]
    return {
        "seeds": len(experiment.ok),
        "failed": experiment.failed,
        "parity": experiment.parity,
        "parity_problem": experiment.problem,
        "peak_memory_bytes": max(memory, default=None),
    }


def comparability_rows(results: Results) -> list[Row]:
    """Every experiment with its certificate and what it may be compared with, without numbers."""
    return [
        identity(e, results.data) | {"kind": e.kind} | counts(e) | results.comparability(e)
        for e in results.experiments(*KINDS)
    ]


def accuracy_rows(results: Results) -> list[Row]:
    """Mean test accuracy over seeds (fraction) with its interval; cost of training in s and images.

    A seed that diverged is in the mean; one that failed has no accuracy and is counted.
    """
    return [
        _accuracy_row(e, results.data) | results.comparability(e)
        for e in results.experiments("accuracy")
    ]


def _accuracy_row(experiment: Experiment, data: Data) -> Row:
    row = identity(experiment, data) | counts(experiment)
    metrics = [record.metrics for record in experiment.ok]
    row["diverged"] = sum(bool(m.get("diverged")) for m in metrics)
    row |= _estimate("accuracy", mean_over_seeds([record.samples[0] for record in experiment.ok]))
    # A training that diverged has stopped early: it is none of all steps.
    whole = [m for m in metrics if not m.get("diverged")] or metrics
    for name in ("train_seconds", "train_images"):
        row[name] = mean_over_seeds([m[name] for m in whole if m.get(name) is not None]).value
    flipped = [m["test_accuracy_with_flips"] for m in metrics if "test_accuracy_with_flips" in m]
    of_all = len(flipped) == len(metrics)  # else it is no figure next to the mean of all seeds
    row["accuracy_with_flips"] = mean_over_seeds(flipped if of_all else []).value
    row |= provenance_of(experiment.ok)
    return row | published_columns("accuracy", experiment, relevant=data.is_cifar)


def mean_over_seeds(values: Sequence[float]) -> estimates.Estimate:
    """Mean with its t interval (`mean_of_seeds`); not a number where there is no value."""
    return mean_of_seeds(values) if values else estimates.UNKNOWN


def _estimate(name: str, estimate: estimates.Estimate) -> Row:
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}


def published_columns(kind: str, experiment: Experiment, *, relevant: bool) -> Row:
    """The published figure to show next to a row, and its source."""
    figure = published_figure(kind, experiment.case) if relevant else None
    return {
        "published": figure.value if figure else None,
        "published_source": figure.source if figure else None,
        "published_unlike": _unlike(figure, experiment) if figure else None,
    }


def _unlike(figure: Figure, experiment: Experiment) -> str | None:
    """What a reader of a published figure must know of the row next to it."""
    case = experiment.case
    if "@" in case.recipe:
        return None  # the table has a line for each shortened recipe
    if figure.recipe is None:
        return f"batch {case.batch_size} on {case.device}"
    enough = 1 - _AS_LONG
    if case.recipe == figure.recipe:  # the same epochs, perhaps of fewer images
        sizes = [r.dataset.get("train_images") or CIFAR_IMAGES for r in experiment.ok]
        few = min(sizes, default=CIFAR_IMAGES)
        whole = few >= enough * CIFAR_IMAGES
        return None if whole else f"shortened: {few:,} images an epoch, not {CIFAR_IMAGES:,}"
    theirs = recipe(figure.recipe).epochs * CIFAR_IMAGES
    ours = [r.metrics["train_images"] for r in experiment.ok if r.metrics.get("train_images")]
    if ours and max(ours) < enough * theirs:
        return f"shortened: {max(ours):,} training images instead of some {theirs:,.0f}"
    return f"another recipe, {case.recipe}"


def throughput_rows(results: Results) -> list[Row]:
    """Images/s of training and inference: median, interval, ratio to the reference framework."""
    kinds = [row.name for row in KINDS.values() if row.throughput]
    return [_throughput_row(e, results) for e in results.experiments(*kinds)]


def _throughput_row(experiment: Experiment, results: Results) -> Row:
    row = identity(experiment, results.data) | {"kind": experiment.kind} | counts(experiment)
    row["blocks"] = sum(len(record.samples) for record in experiment.ok)
    rate = results.rate(experiment)
    row["processes"] = len(speeds(experiment))
    row |= _estimate("images_per_second", rate)
    flops = [
        r.metrics["flops_per_image"] for r in experiment.ok if r.metrics.get("flops_per_image")
    ]
    each = flops[0] if flops else None
    row["flops_per_second"] = rate.value * each if each else None
    row |= utilisation(experiment.ok, rate, each)
    row |= energy(experiment.ok) | device_memory(experiment.ok) | disturbances(experiment.ok)
    first = [r.metrics.get("first_step_seconds") for r in experiment.ok]
    known = [seconds for seconds in first if seconds is not None]
    row["first_step_seconds"] = median(known) if known else None
    clock = results.clock(experiment)
    row["clock"] = clock.verdict if clock else None
    row["disturbed"] = most_disturbed(experiment)
    row |= _versus_reference(experiment, results)
    return row | published_columns(experiment.kind, experiment, relevant=True)


def latency_rows(results: Results) -> list[Row]:
    """Seconds of one call with one image: p50, p90, p99 over the calls of all seeds."""
    rows = []
    for experiment in results.experiments("latency"):
        calls = [seconds for record in experiment.ok for seconds in record.samples]
        p50, p90, p99 = estimates.percentiles(calls) if calls else (np.nan, np.nan, np.nan)
        row = identity(experiment, results.data) | counts(experiment)
        row |= {"calls": len(calls), "p50": p50, "p90": p90, "p99": p99}
        row["disturbed"] = most_disturbed(experiment)
        rows.append(row | _versus_reference(experiment, results))
    return rows


def most_disturbed(experiment: Experiment) -> float:
    """Share of disturbed blocks, of the seed that has most of them."""
    return max((disturbed_share(record.metrics) for record in experiment.ok), default=0.0)


def _versus_reference(experiment: Experiment, results: Results) -> Row:
    """Ratio of speed to the reference framework, where the two may be compared."""
    row = results.comparability(experiment) | {"doubt": None}
    reference = results.reference(experiment)
    if reference is None:
        return row | ratio_columns(None, "")
    if reference is experiment:
        return row | ratio_columns(estimates.Estimate(1.0, None, None), "reference")
    if row["not_compared"]:
        return row | ratio_columns(None, "not comparable")
    versus = results.ratio(experiment, reference)
    row |= caveats_of_both(experiment, reference) | {"doubt": versus.doubt or None}
    return row | ratio_columns(versus.ratio, speed_verdict(versus).word)


def ratio_columns(ratio: estimates.Estimate | None, verdict: str) -> Row:
    """A ratio with its interval and what it says, as columns."""
    value, low, high = ratio or (None, None, None)
    return {"ratio": value, "ratio_low": low, "ratio_high": high, "verdict": verdict}
