"""Rows of the idiomatic track beside the loop that the framework's tutorials show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.rows import Row, identity
from bench.core.records import Record
from bench.stats import estimates

_ACCURACY = ("accuracy", "seconds", "images")


def tutorial_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row for each network whose tutorials' loop was timed between our blocks.

    ``ratio`` is our images/s over the loop's, block by block. Accuracies and seconds are of
    trainings of the same network over the same number of pictures, where there were any: means
    over seeds, ``loop_*`` the loop's. A training whose loop was not timed stands in no row.
    """
    trainings = [e for e in experiments(records, ("accuracy",)) if _told(e)]
    rows = []
    for timed in experiments(records, ("train_throughput",)):
        if _told(timed):
            training = next((e for e in trainings if _same_network(e, timed)), None)
            rows.append(_speed(timed, data) | _accuracy(training))
    return rows


def _told(experiment: Experiment) -> list[Record]:
    return [record for record in experiment.ok if record.metrics.get("tutorial_loop")]


def _same_network(one: Experiment, other: Experiment) -> bool:
    fields = ("variant", "framework", "track", "head", "input_size", "precision", "device")
    return all(getattr(one.case, field) == getattr(other.case, field) for field in fields)


def _speed(experiment: Experiment, data: Data) -> Row:
    record = _told(experiment)[0]
    loop = record.metrics["tutorial_loop"]
    assert record.images_per_sample, "throughput counts pictures"
    theirs = np.array(loop["seconds"]) / loop["images_per_sample"]
    # Its blocks stand beside those of the first process, which are the first samples.
    ours = np.array(record.samples[: len(theirs)]) / record.images_per_sample
    ratio = estimates.paired_ratio(theirs.tolist(), ours.tolist())
    return identity(experiment, data) | {
        "parity": experiment.parity,
        "parity_problem": experiment.problem,
        "images_per_second": float(np.median(1 / ours)),
        "loop_images_per_second": float(np.median(1 / theirs)),
        "loop_batch_size": loop["batch_size"],
        "loop": loop.get("loop"),
        "pairs": len(theirs),
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
    }


def _accuracy(experiment: Experiment | None) -> Row:
    if experiment is None:
        return dict.fromkeys([*_ACCURACY, *(f"loop_{name}" for name in _ACCURACY)])
    ours = [record.metrics for record in _told(experiment)]
    theirs = [metrics["tutorial_loop"] for metrics in ours]
    return {
        f"{whose}{name}": float(np.mean([metrics[key] for metrics in told]))
        for whose, told in (("", ours), ("loop_", theirs))
        for name, key in zip(
            _ACCURACY, ("test_accuracy", "train_seconds", "train_images"), strict=True
        )
    }
