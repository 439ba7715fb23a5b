"""Baselines: the tutorials' loops, the frameworks' own layers, and features that are recomputed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.experiments import Data, Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, identity, provenance_columns
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.core.records import Record
from bench.report.captions import ARROW, HOLLOW, With
from bench.report.charts.forest import Forest
from bench.report.columns import Column, ends, fraction, how, naming, number, text, who, whole
from bench.report.format import NOTHING, RATIO
from bench.report.leads import extremes
from bench.report.table import Chart, Table
from bench.stats import estimates

_ACCURACY = ("accuracy", "seconds", "images")


def tutorial_loop_rows(results: Results) -> list[Row]:
    """A row for each network whose tutorials' loop was timed between our blocks.

    ``ratio`` is our images/s over the loop's, block by block. Accuracies and seconds are of
    trainings of the same network over the same number of images, where there were any: means
    over seeds, ``loop_*`` the loop's. A training whose loop was not timed has no row.
    """
    trainings = [e for e in results.experiments("accuracy") if _with_loop(e)]
    rows = []
    for timed in results.experiments(TRAIN_THROUGHPUT):
        if _with_loop(timed):
            training = next((e for e in trainings if _same_network(e, timed)), None)
            both = provenance_columns([*timed.ok, *(training.ok if training else ())])
            told = {name: both[name] for name in ("run", "caveats", "speed_caveats")}
            rows.append(_speed(timed, results.data) | _accuracy(training) | told)
    return rows


def _with_loop(experiment: Experiment) -> list[Record]:
    names = _TIMED if experiment.kind == TRAIN_THROUGHPUT else _TRAINED
    found = ((record, record.metrics.get("tutorial_loop") or {}) for record in experiment.ok)
    return [r for r, loop in found if all(loop.get(name) is not None for name in names)]


_TIMED = ("seconds", "images_per_sample", "batch_size")
_TRAINED = ("test_accuracy", "train_seconds", "train_images")
"""What a loop says of its blocks, and of its training."""


def _same_network(one: Experiment, other: Experiment) -> bool:
    fields = (
        "variant",
        "framework",
        "track",
        "init",
        "weights",
        "frozen",
        "head",
        "input_size",
        "precision",
        "device",
        "devices",
        "execution",
    )
    return all(getattr(one.case, field) == getattr(other.case, field) for field in fields)


def _speed(experiment: Experiment, data: Data) -> Row:
    record = _with_loop(experiment)[0]
    loop = record.metrics["tutorial_loop"]
    assert record.images_per_sample, "throughput counts images"
    theirs = np.array(loop["seconds"]) / loop["images_per_sample"]
    # Older records have no pairs: its blocks alternate with the first samples.
    own = loop.get("own_seconds") or record.samples[: len(theirs)]
    ours = np.array(own) / record.images_per_sample
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
    ours = [record.metrics for record in _with_loop(experiment)]
    theirs = [metrics["tutorial_loop"] for metrics in ours]
    return {
        f"{whose}{name}": float(np.mean([metrics[key] for metrics in found]))
        for whose, found in (("", ours), ("loop_", theirs))
        for name, key in zip(_ACCURACY, _TRAINED, strict=True)
    }


def tutorial_loop_columns(rows: Sequence[Row]) -> list[Column]:
    """Speeds of both, then accuracies of both."""
    return [
        *who(),
        Column("ours / theirs", lambda row: RATIO.value(row["ratio"])),
        ends(RATIO, "ratio_low", "ratio_high"),
        number("our images/s", "images_per_second"),
        number("its images/s", "loop_images_per_second"),
        Column("their loop", lambda row: str(row["loop"]), right=False),
        whole("its batch", "loop_batch_size"),
        whole("pairs", "pairs"),
        fraction("our accuracy", "accuracy", usual=NOTHING),
        number("our training (s)", "seconds", usual=NOTHING),
        fraction("their accuracy", "loop_accuracy", usual=NOTHING),
        number("their training (s)", "loop_seconds", usual=NOTHING),
        whole("after images", "images", usual=NOTHING),
        *how(rows),
    ]


_HOW = (
    "Right of the line ours is faster; lines are 95 % intervals.",
    With((HOLLOW,), "A mark whose interval contains 1 is hollow."),
    With((ARROW,), "An arrow with a value is an end beyond the panel."),
)

_LOOPS = Forest(
    "tutorial_loops",
    "Images/s over the tutorials' loops",
    _HOW,
    "tutorial_loops",
    tutorial_loop_rows,
    lambda _: "our images/s over theirs",
    RATIO,
    detail=lambda row: str(row["loop"]),
)

TUTORIAL_LOOPS = Table(
    "tutorial_loops",
    "Compared with the tutorials' loops",
    (
        "The idiomatic track compared with the loop that the framework's tutorials show, on the "
        "same network: a block of theirs next to each of ours, in one process. The ratio is of "
        "images/s, above 1x faster than theirs, with a 95 % bootstrap interval over the pairs.",
        With(
            ("our accuracy", "their accuracy"),
            "Accuracies are of trainings over the same number of images (ours by its recipe, "
            "theirs as described); seconds are of training alone, on the same machine, one after "
            "the other.",
        ),
    ),
    tutorial_loop_rows,
    tutorial_loop_columns,
    charts=(Chart("tutorial_loops", _LOOPS.draw, (TRAIN_THROUGHPUT,)),),
    times=(TRAIN_THROUGHPUT, "accuracy"),
    lead=extremes("The suite's images/s over those of the tutorials' loop:", "ratio", RATIO.value),
    kinds=(TRAIN_THROUGHPUT, "accuracy"),
)


def layer_rows(results: Results) -> list[Row]:
    """A row for each layer that was timed twice: seconds of a call, forward and backward.

    ``ratio`` is their seconds over ours, pair by pair: above 1 ours is faster.
    """
    rows = []
    for experiment in results.experiments(TRAIN_THROUGHPUT):
        found = (record.metrics.get("layers") or [] for record in experiment.ok)
        for layer in next((layers for layers in found if layers), []):
            ratio = estimates.paired_ratio(layer["their_seconds"], layer["our_seconds"])
            rows.append(
                identity(experiment, results.data)
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


def layer_columns(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of a call of both sides."""
    return [
        *who(),
        naming("layer", "layer"),
        naming("input", "shape"),
        Column("theirs / ours", lambda row: RATIO.value(row["ratio"])),
        ends(RATIO, "ratio_low", "ratio_high"),
        text("compared with", "theirs"),
        number("ours (ms)", "our_seconds", factor=1000),
        number("theirs (ms)", "their_seconds", factor=1000),
        whole("pairs", "pairs"),
        Column("largest difference", lambda row: f"{row['largest_difference']:.1e}"),
        *how(rows),
    ]


_LAYERS = Forest(
    "layers",
    "Speed of our layers over the frameworks' own",
    _HOW,
    "layers",
    layer_rows,
    lambda _: "their seconds of a call over ours",
    RATIO,
    detail=lambda row: f"{row['layer']} {row['shape']}",
)

LAYERS = Table(
    "layers",
    "Our layers compared with the frameworks' own",
    "One call, forward and backward, in float32 on activations as a ReLU leaves them, alternating "
    "in one process. The ratio is of time, above 1x ours is faster, with a 95 % bootstrap "
    "interval over the pairs; the difference is of outputs and gradients, relative to the "
    "largest value.",
    layer_rows,
    layer_columns,
    charts=(Chart("layers", _LAYERS.draw, (TRAIN_THROUGHPUT,)),),
    times=(TRAIN_THROUGHPUT,),
    lead=extremes(
        "Seconds of a call of the framework's own layer over ours:", "ratio", RATIO.value
    ),
    kinds=(TRAIN_THROUGHPUT,),
)


def feature_rows(results: Results) -> list[Row]:
    """A row for each training on cached features that timed some steps without; means over seeds.

    ``ratio`` is the seconds of the whole training with every batch recomputed, at the pace of
    those steps, over its own; ``ratio_again`` the same where the features exist already.
    """
    rows = []
    for experiment in results.experiments("accuracy"):
        found = [r.metrics for r in experiment.ok if _has_features(r.metrics)]
        if found:
            row = identity(experiment, results.data)
            row |= _means([_of_one(metrics) for metrics in found])
            row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
            row["ratio"] = row["recomputed_seconds"] / row["seconds"]
            row["ratio_again"] = row["recomputed_seconds"] / row["head_seconds"]
            rows.append(row)
    return rows


def _has_features(metrics: Row) -> bool:
    """Whether a training says what its cache saved, and what it cost itself."""
    features = metrics.get("features") or {}
    said = [features.get(name) for name in ("recomputed", "trunk_seconds", "trunk_images")]
    own = [metrics.get(name) for name in ("train_seconds", "train_images", "test_accuracy")]
    return bool(said[0]) and None not in (*said, *own)


def _of_one(metrics: Row) -> Row:
    features, seconds = metrics["features"], metrics["train_seconds"]
    pace = features["recomputed"]["seconds"] / features["recomputed"]["images"]
    return {
        "images": metrics["train_images"],
        "trunk_images": features["trunk_images"],
        "accuracy": metrics["test_accuracy"],
        "seconds": seconds,
        "trunk_seconds": features["trunk_seconds"],
        "head_seconds": max(seconds - features["trunk_seconds"], 1e-9),
        "recomputed_seconds": pace * metrics["train_images"],
    }


def _means(rows: Sequence[Row]) -> Row:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def feature_columns(rows: Sequence[Row]) -> list[Column]:
    """What caching them saves."""
    return [
        *who(),
        Column("recomputed / cached", lambda row: RATIO.value(row["ratio"])),
        fraction("accuracy", "accuracy"),
        Column("features already cached", lambda row: RATIO.value(row["ratio_again"])),
        number("recomputed (s)", "recomputed_seconds"),
        number("training (s)", "seconds"),
        number("of which in the trunk (s)", "trunk_seconds"),
        whole("images trained", "images"),
        whole("through the trunk", "trunk_images"),
        *how(rows),
    ]


_FEATURES = Forest(
    "features",
    "Seconds of a training with recomputed features over cached ones",
    "How many times as long the same training takes when every batch goes through the trunk again.",
    "features",
    feature_rows,
    lambda _: "recomputed over cached",
    RATIO,
    ("ratio", "", ""),
)

FEATURES = Table(
    "features",
    "Features of a frozen trunk: cached and recomputed",
    "Trainings of a head on a frozen trunk. The trunk's features are computed once for each view "
    "of an image (mirrored is another view) and cached. *Recomputed (s)* is what the same training "
    "would take if every batch went through the trunk again, at the pace of some steps timed after "
    "it. *Features already cached* is the same ratio for a second training, which computes no "
    "features. *Training (s)* has trace and compile in it and *recomputed (s)* has not, so both "
    "ratios are lower bounds.",
    feature_rows,
    feature_columns,
    charts=(Chart("features", _FEATURES.draw, ("accuracy",)),),
    times=("accuracy",),
    lead=extremes(
        "A training with recomputed features takes",
        "ratio",
        RATIO.value,
        after=" as long as with cached ones",
    ),
    kinds=("accuracy",),
)
