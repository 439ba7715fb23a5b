"""Synthetic accuracy records of pretrained networks; `synthetic` has the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.core.records import Record
from bench.networks.preprocessing import BVLC, TORCHVISION, Preprocessing
from tests.support.synthetic_records.synthetic import SETTINGS, make_record

DIGEST = "0123456789abcdef" * 4
TRUNK = ["conv1", "conv2", "conv3", "conv4", "conv5"]


def weights(
    name: str = "torchvision",
    initialised: tuple[str, ...] = ("dense2", "dense3"),
    preprocessing: Preprocessing = TORCHVISION,
    **changes: Any,
) -> dict[str, Any]:
    """What a worker writes into ``settings["weights"]``."""
    return {
        "name": name,
        "sha256": DIGEST,
        "variant": "torchvision",
        "layers": [*TRUNK, "dense1"],
        "initialised": list(initialised),
        "preprocessing": preprocessing.to_json(),
        "notes": "",
        **changes,
    }


def make_transfer(framework: str = "pytorch", **changes: Any) -> Record:
    """The transfer article's training, whole; `changes` as in `make_record`."""
    case = {
        "variant": "torchvision",
        "track": "idiomatic",
        "init": "pretrained",
        "weights": f"torchvision@{DIGEST[:8]}",
        "head": "narrow",
        "recipe": "tutorial-transfer",
        "input_size": 224,
        "batch_size": 4,
        "settings": {**SETTINGS, "weights": weights()},
    }
    return make_record(framework=framework, kind="accuracy", **{**case, **changes})


def bvlc(**changes: Any) -> dict[str, Any]:
    """The same of weights that were published in BGR, with words of their own."""
    source = weights("bvlc", ("head",), BVLC, layers=TRUNK, notes="for non-commercial use")
    source["preprocessing"]["channel_order"] = "BGR"
    return {**source, **changes}


def make_article(seconds: tuple[float, ...] = (8.0, 8.2, 7.9), **changes: Any) -> Record:
    """Our throughput on the article's network, with its own loop's blocks of 40 steps."""
    case = {
        "variant": "torchvision",
        "track": "idiomatic",
        "head": "narrow",
        "recipe": "tutorial-transfer-speed",
        "input_size": 224,
        "batch_size": 4,
    }
    record = make_record(kind="train_throughput", **{**case, **changes})
    loop = {
        "seconds": list(seconds),
        "steps_per_sample": 40,
        "images_per_sample": 160,
        "losses": [2.31, 1.5, 0.9][: len(seconds)],
        "batch_size": 4,
        "workers": 2,
        "transform": "as the article",
    }
    return replace(record, metrics={**record.metrics, "article_loop": loop})


def make_article_run() -> list[Record]:
    """The loop, and a training to compare with it."""
    return [make_article(), make_transfer()]


def make_beside_run(track: str = "idiomatic") -> list[Record]:
    """The idiomatic track with a tutorial's loop, a layer with its framework's, and a head on
    cached features with one on recomputed features."""
    loop = {"seconds": [2.0, 2.1], "images_per_sample": 128, "batch_size": 64, "loop": "plain"}
    layer = {
        "layer": "conv1_lrn",
        "shape": [64, 96, 55, 55],
        "theirs": "torch.nn.LocalResponseNorm",
        "our_seconds": [0.1, 0.1],
        "their_seconds": [0.4, 0.5],
        "largest_difference": 1e-7,
    }
    timed = make_record(kind="train_throughput", track=track)
    baselines = {"tutorial_loop": loop, "layers": [layer]}
    head = make_transfer(frozen=True, track=track)
    features = {
        "cached": True,
        "trunk_images": 1000,
        "trunk_seconds": 4.0,
        "largest_difference": 0.0,
        "recomputed": {"seconds": 2.0, "images": 500},
    }
    training = {"features": features, "train_images": 10_000, "train_seconds": 5.0}
    return [
        replace(timed, metrics=timed.metrics | baselines),
        replace(head, metrics=head.metrics | training),
    ]
