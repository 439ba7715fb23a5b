"""What the harness costs: rows of its own loop beside a bare one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import stats
from bench.grouping import Data, Experiment, experiments
from bench.records import Record
from bench.rows import Row, counts, identity

TOGETHER = "all of them"
"""In the place of a network: every pair of a framework, whatever the network."""

_Pairs = tuple[list[float], list[float]]
"""Seconds of bare blocks, and of the harness's beside them."""


def overhead_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """The harness beside a bare hand-written loop, measured in turns.

    ``share`` is bare time over harness time of each pair: 0.99 means that the harness reaches 99 %
    of the bare loop's throughput. Pairs of one network spread more than the harness costs, so that
    a framework with several has a row of all its pairs as well.
    """
    rows: list[Row] = []
    together: dict[tuple[str, ...], list[tuple[Row, _Pairs]]] = {}
    for experiment in experiments(records, ("train_throughput", "inference")):
        row, pairs = _row(experiment, data)
        if pairs[0]:
            rows.append(row | _share(pairs))
            group = (row["kind"], row["track"], row["framework"], row["parity"])
            together.setdefault(group, []).append((row, pairs))
    return rows + [_together(found) for found in together.values() if len(found) > 1]


def _row(experiment: Experiment, data: Data) -> tuple[Row, _Pairs]:
    measured = [r.metrics["overhead"] for r in experiment.ok if r.metrics.get("overhead")]
    bare = [seconds for pair in measured for seconds in pair["bare"]]
    harness = [seconds for pair in measured for seconds in pair["harness"]]
    row = identity(experiment, data) | {"kind": experiment.kind} | counts(experiment)
    if measured:
        images = measured[0]["images_per_sample"]
        row["harness_images_per_second"] = float(np.median(stats.rates(harness, images)))
        row["bare_images_per_second"] = float(np.median(stats.rates(bare, images)))
    return row, (bare, harness)


def _together(found: Sequence[tuple[Row, _Pairs]]) -> Row:
    bare, harness = ([s for _, pairs in found for s in pairs[i]] for i in (0, 1))
    unlike = {"variant": TOGETHER, "batch_size": None, "input_size": None}
    speeds = {"harness_images_per_second": None, "bare_images_per_second": None}
    return found[0][0] | unlike | speeds | _share((bare, harness))


def _share(pairs: _Pairs) -> Row:
    share, low, high = stats.paired_ratio(*pairs)
    return {"pairs": len(pairs[0]), "share": share, "low": low, "high": high}
