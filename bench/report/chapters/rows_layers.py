"""Rows of the suite's own layers beside the frameworks'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.experiments import Data, experiments
from bench.analysis.rows import Row, identity
from bench.core.records import Record
from bench.stats import estimates


def layer_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row for each layer that was timed twice: seconds of a call, forward and backward.

    ``ratio`` is their seconds over ours, pair by pair: above 1 ours is faster.
    """
    rows = []
    for experiment in experiments(records, ("train_throughput",)):
        found = (record.metrics.get("layers") or [] for record in experiment.ok)
        for layer in next((told for told in found if told), []):
            ratio = estimates.paired_ratio(layer["their_seconds"], layer["our_seconds"])
            rows.append(
                identity(experiment, data)
                | {
                    "parity": experiment.parity,
                    "parity_problem": experiment.problem,
                    "layer": layer["layer"],
                    "shape": "x".join(map(str, layer["shape"])),
                    "theirs": layer["theirs"],
                    "our_seconds": float(np.median(layer["our_seconds"])),
                    "their_seconds": float(np.median(layer["their_seconds"])),
                    "pairs": len(layer["our_seconds"]),
                    "ratio": ratio.value,
                    "ratio_low": ratio.low,
                    "ratio_high": ratio.high,
                    "largest_difference": layer["largest_difference"],
                }
            )
    return rows
