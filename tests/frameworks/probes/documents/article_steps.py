"""Two documents' trainings through a framework's trainer: two steps of the transfer article and its
table by class, and a step of the guide with the masks of PyTorch's dropout."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.data.dataset import Split
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Pretrained
from bench.networks.variants import variant
from bench.networks.weight_names import published_names
from bench.training.interfaces import StepInput
from bench.training.recipes import recipe
from bench.worker.evaluation import accuracy_of, evaluate
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
    counts = evaluate(trainer, _Data(), _Images())  # type: ignore[arg-type]
    trainer.train([step, step], 2, lambda: None)
    trainer.sync()
    weights = trainer.export_weights()
    renames = {"head1": "classifier.4", "head2": "classifier.6"}
    for ours in weights:
        layer, _, part = ours.rpartition(".")
        theirs = f"{renames[layer]}.{part}" if layer in renames else _published(ours)
        arrays[f"article/{theirs}"] = np.ravel(weights[ours])[:1000]
    losses, arrays["masked last"] = _step_of_the_guide(framework)
    return {
        "losses": trainer.losses(),
        "masked losses": losses,
        "by class": (100 * np.diag(counts) / counts.sum(axis=1)).tolist(),
        "predicted": counts.sum(axis=0).tolist(),
        "accuracy": 100 * accuracy_of(counts),
    }, arrays


class _Images:
    def test(self, part: slice) -> Any:
        return documents.evaluated_images()[part]


class _Data:
    """What an evaluation needs of a dataset."""

    classes = tuple(f"class {i}" for i in range(documents.CLASSES))
    test = Split(documents.evaluated_images(), documents.TEST_LABELS)


def _step_of_the_guide(framework: str) -> tuple[list[float], Any]:
    """Loss and last layer after one step of Adam; pixels of 0 to 1, as the guide has them."""
    row = recipe("tutorial-torch-scratch")
    rows = variant("torchvision").architecture(documents.CLASSES)
    given = setup(rows, row, steps=1, batch_size=4)
    given = dataclasses.replace(given, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    trainer = create(framework, given)
    trainer.load_weights(Pretrained.load(documents.folder() / "guide.safetensors").tensors)
    masks = dict(np.load(documents.folder() / "masks.npz"))
    step = StepInput(documents.step_images(), documents.STEP_LABELS, masks, row.learning_rate)
    trainer.train([step], 1, lambda: None)
    trainer.sync()
    return trainer.losses(), trainer.export_weights()["dense3.weight"]


def _published(name: str) -> str:
    (found,) = published_names([name], "torchvision", "source").values()
    return found
