"""Rows of trainings on a frozen trunk: features kept beside features computed anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.experiments import Data, experiments
from bench.analysis.rows import Row, identity
from bench.core.records import Record


def feature_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row for each training that kept features and timed some steps without; means over seeds.

    ``ratio`` is the seconds of the whole training with every batch computed anew, at the pace of
    those steps, over its own; ``ratio_again`` the same where the features exist already.
    """
    rows = []
    for experiment in experiments(records, ("accuracy",)):
        told = [
            r.metrics for r in experiment.ok if (r.metrics.get("features") or {}).get("recomputed")
        ]
        if told:
            row = identity(experiment, data) | _means([_one(metrics) for metrics in told])
            row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
            row["ratio"] = row["anew_seconds"] / row["seconds"]
            row["ratio_again"] = row["anew_seconds"] / row["head_seconds"]
            rows.append(row)
    return rows


def _one(metrics: Row) -> Row:
    features, seconds = metrics["features"], metrics["train_seconds"]
    anew = features["recomputed"]
    return {
        "images": metrics["train_images"],
        "trunk_images": features["trunk_images"],
        "accuracy": metrics["test_accuracy"],
        "seconds": seconds,
        "trunk_seconds": features["trunk_seconds"],
        "head_seconds": max(seconds - features["trunk_seconds"], 1e-9),
        "anew_seconds": anew["seconds"] / anew["images"] * metrics["train_images"],
    }


def _means(rows: Sequence[Row]) -> Row:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
