"""The transfer article's recipe through a framework's trainer: two steps on four images."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Pretrained
from bench.networks.variants import variant
from bench.networks.weight_names import published_names
from bench.training.interfaces import StepInput
from bench.training.recipes import recipe
from tests.frameworks.probes import documents
from tests.frameworks.support.networks import setup
from tests.frameworks.support.trainers import create


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    row = recipe("tutorial-transfer")
    rows = variant("torchvision").architecture(documents.CLASSES, head="narrow")
    mean, std = TORCHVISION.in_unit
    given = setup(rows.without_dropout(), row, steps=2, batch_size=4)
    given = dataclasses.replace(given, mean=mean, std=std)
    trainer = create(framework, given)
    start = Pretrained.load(documents.folder() / "narrow.safetensors").tensors
    trainer.load_weights(start)
    step = StepInput(documents.step_images(), documents.STEP_LABELS, {}, documents.RATE)
    arrays = {"input": trainer.activations(step.images)["input"]}
    trainer.train([step, step], 2, lambda: None)
    trainer.sync()
    weights = trainer.export_weights()
    renames = {"head1": "classifier.4", "head2": "classifier.6"}
    for ours in weights:
        layer, _, part = ours.rpartition(".")
        theirs = f"{renames[layer]}.{part}" if layer in renames else _published(ours)
        arrays[f"article/{theirs}"] = np.ravel(weights[ours])[:1000]
    return {"losses": trainer.losses()}, arrays


def _published(name: str) -> str:
    (found,) = published_names([name], "torchvision", "source").values()
    return found
