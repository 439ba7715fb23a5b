"""A head trained on cached features of a frozen trunk, on recomputed ones, and the trunk."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.case import Case
from bench.core.limits import Limits
from bench.data import dataset as data
from bench.data.dataset import Dataset, Split
from bench.networks.init import initial_weights
from bench.networks.preprocessing import BVLC
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import variant
from bench.training.recipes import recipe
from bench.worker.inputs import FeatureInputs
from bench.worker.measurements.accuracy import accuracy
from bench.worker.opening import open_session
from bench.worker.session import Session
from tests.frameworks.support.networks import FREE, setup
from tests.frameworks.support.trainers import create

TRUNK = ("conv1", "conv2", "conv3", "conv4", "conv5")
TRACKS = ("closed", *FREE)
RECIPE = "transfer-frozen@0.3"
IMAGES, BATCH = 100, 32


def dataset() -> Dataset:
    """More images than one batch and no multiple of it; all views are fewer than a chunk of the
    trunk's."""
    rng = np.random.default_rng(5)
    splits = [
        Split(rng.integers(0, 256, (n, 32, 32, 3), np.uint8), np.arange(n) % 10)
        for n in (IMAGES, 40)
    ]
    return data.describe_pixels("noise", tuple("abcdefghij"), *splits)


def case(framework: str, track: str) -> Case:
    return Case(
        "cifar-lrn",
        framework,
        track,
        init="pretrained",
        weights="synthetic@0",
        head="pool-narrow",
        frozen=True,
        recipe=RECIPE,
        batch_size=BATCH,
    )


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """By track: what both ways of training record, and one image's features twice."""
    facts, arrays = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        command = prepare(Path(folder))
        for track in TRACKS:
            made = case(framework, track)
            for keep in (True, False):
                limits = Limits(keep_features=keep, evaluations=1)
                bench = open_session(
                    {**command, "case": made.to_json(), "limits": dataclasses.asdict(limits)},
                    lambda done, note: None,
                )
                result = accuracy(bench)
                name = f"{track}/{'cached' if keep else 'recomputed'}"
                facts[name] = {**result.metrics, "start": bench.initial_weights}
                for weight, array in bench.trainer.export_weights().items():
                    arrays[f"{name}/{weight}"] = array
            arrays[f"{track}/features"] = features(bench)
        arrays["whole"] = whole(framework)
    return facts, arrays


def prepare(folder: Path) -> dict[str, Any]:
    """Data and weights on the disk, and the command that opens them."""
    data.save(dataset(), folder / "data")
    rows = variant("cifar-lrn").architecture(10)
    drawn = initial_weights(rows, 77)
    tensors = {k: w for k, w in drawn.items() if k.rpartition(".")[0] in TRUNK}
    source = Pretrained(Facts("synthetic", "0" * 64, "cifar-lrn", TRUNK, BVLC), tensors)
    source.save(folder / "weights.safetensors")
    return {
        "data": str(folder / "data"),
        "weights": str(folder / "weights.safetensors"),
        "cpus": sorted(os.sched_getaffinity(0))[:1],
    }


def features(bench: Session) -> Any:
    """Of the first test images."""
    assert isinstance(bench.inputs, FeatureInputs)
    return bench.inputs.test(slice(0, 3))


def whole(framework: str) -> Any:
    """The same images through the whole network."""
    rows = variant("cifar-lrn").architecture(10, head="pool-narrow")
    made = setup(rows)
    mean, std = BVLC.in_unit
    trainer = create(framework, dataclasses.replace(made, mean=mean, std=std))
    drawn = initial_weights(variant("cifar-lrn").architecture(10), 77)
    taken = {k: w for k, w in drawn.items() if k.rpartition(".")[0] in TRUNK}
    trainer.load_weights(initial_weights(rows, 0) | taken)
    return trainer.activations(dataset().test.images[:3])["flatten"]


def steps() -> int:
    """Of the whole training."""
    return int(recipe(RECIPE).epochs * IMAGES / BATCH)
