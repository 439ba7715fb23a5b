"""The pairs of classes that networks confuse most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, counts, identity
from bench.report.columns import Column, fraction, how, seeds_of, text, who, whole
from bench.report.table import Table

PAIRS = 5
"""Rows of each training."""


def confusion_rows(results: Results) -> list[Row]:
    """For each training the classes that were mistaken for each other most often.

    ``images`` are those of both directions, seeds added up; ``one_as_other`` and ``other_as_one``
    are shares of the test images of the class that comes first in each.
    """
    return [
        identity(experiment, results.data) | counts(experiment) | pair
        for experiment in results.experiments("accuracy")
        for pair in most_confused(experiment)
    ]


def most_confused(experiment: Experiment, number: int = PAIRS) -> list[Row]:
    """The pairs with the most errors, in both directions together; none where nothing is wrong."""
    found = [r.metrics for r in experiment.ok if r.metrics.get("confusion")]
    if not found:
        return []
    matrix = np.sum([np.asarray(m["confusion"], dtype=np.int64) for m in found], axis=0)
    names = found[0].get("classes") or [f"class {i}" for i in range(len(matrix))]
    totals = np.maximum(matrix.sum(axis=1), 1)
    both = np.triu(matrix + matrix.T, k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:number]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [
        {
            "rank": rank,
            "one": names[a],
            "other": names[b],
            "images": int(both[a, b]),
            "one_as_other": float(matrix[a, b] / totals[a]),
            "other_as_one": float(matrix[b, a] / totals[b]),
        }
        for rank, (a, b) in enumerate(pairs, start=1)
        if both[a, b]
    ]


def columns(rows: Sequence[Row]) -> list[Column]:
    """The pair, how many images, and the share in each direction."""
    return [
        *who(rows),
        Column("seeds", seeds_of),
        whole("rank", "rank"),
        text("class A", "one"),
        text("class B", "other"),
        whole("images", "images"),
        fraction("A taken for B", "one_as_other"),
        fraction("B taken for A", "other_as_one"),
        *how(),
    ]


TABLE = Table(
    "confusions",
    "Classes that are confused most",
    f"The {PAIRS} pairs of classes with the most errors among the test images, in both directions "
    "together (seeds added up), and the share of each class's test images that was taken for the "
    "other.",
    confusion_rows,
    columns,
)
