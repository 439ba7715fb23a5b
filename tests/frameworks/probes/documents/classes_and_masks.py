"""Two more lines of the documents through a framework's trainer: the transfer article's accuracies
by class, and a step of the guide with the masks that PyTorch's dropout has drawn."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.data.dataset import Split
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Pretrained
from bench.networks.variants import variant
from bench.training.interfaces import StepInput
from bench.training.recipes import recipe
from bench.worker.evaluation import accuracy_of, evaluate
from tests.frameworks.probes import documents
from tests.frameworks.support.networks import setup
from tests.frameworks.support.trainers import create


class _Images:
    def test(self, part: slice) -> Any:
        return documents.evaluated_images()[part]


class _Data:
    """What an evaluation needs of a dataset."""

    classes = tuple(f"class {i}" for i in range(documents.CLASSES))
    test = Split(documents.evaluated_images(), documents.TEST_LABELS)


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    losses, last = _step_of_the_guide(framework)
    counts = _by_class(framework)
    return {
        "losses": losses,
        "by class": (100 * np.diag(counts) / counts.sum(axis=1)).tolist(),
        "predicted": counts.sum(axis=0).tolist(),
        "accuracy": 100 * accuracy_of(counts),
    }, {"last": last}


def _by_class(framework: str) -> Any:
    row = recipe("tutorial-transfer")
    rows = variant("torchvision").architecture(documents.CLASSES, head="narrow")
    mean, std = TORCHVISION.in_unit
    given = setup(rows.without_dropout(), row, steps=2, batch_size=4)
    trainer = create(framework, dataclasses.replace(given, mean=mean, std=std))
    trainer.load_weights(Pretrained.load(documents.folder() / "narrow.safetensors").tensors)
    return evaluate(trainer, _Data(), _Images())  # type: ignore[arg-type]


def _step_of_the_guide(framework: str) -> tuple[list[float], Any]:
    """Loss and last layer after one step of Adam; pixels of 0 to 1, as the guide has them."""
    row = recipe("tutorial-torch-scratch")
    given = setup(variant("torchvision").architecture(documents.CLASSES), row, batch_size=4)
    given = dataclasses.replace(given, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    trainer = create(framework, given)
    trainer.load_weights(Pretrained.load(documents.folder() / "guide.safetensors").tensors)
    masks = dict(np.load(documents.folder() / "masks.npz"))
    step = StepInput(documents.step_images(), documents.STEP_LABELS, masks, row.learning_rate)
    trainer.train([step], 1, lambda: None)
    trainer.sync()
    return trainer.losses(), trainer.export_weights()["dense3.weight"]
