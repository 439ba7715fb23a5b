"""Top-1 accuracy over all test images, the same for every training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.worker.inputs import Inputs

BATCH = 500  # divides 10,000: one shape to compile, and small enough at 227 pixels


class Predictor(Protocol):
    """The part of a trainer that an evaluation needs."""

    def predict(self, images: Any) -> NDArray[Any]:
        """Evaluation-mode logits of prepared inputs, (N, classes), on the host."""


def evaluate(predictor: Predictor, dataset: Dataset, inputs: Inputs) -> NDArray[np.int64]:
    """Confusion counts over all test images, (classes, classes); rows are the true class."""
    return _confusion(dataset, lambda part: predictor.predict(inputs.test(part)))


def evaluate_with_flips(
    predictor: Predictor, dataset: Dataset, inputs: Inputs
) -> NDArray[np.int64]:
    """The same with the mean of the logits of each image and of its mirror image."""

    def logits(part: slice) -> NDArray[Any]:
        images = inputs.test(part)
        mirrored = predictor.predict(np.ascontiguousarray(images[:, :, ::-1]))
        total: NDArray[Any] = predictor.predict(images) + mirrored
        return total

    return _confusion(dataset, logits)


def _confusion(dataset: Dataset, logits_of: Callable[[slice], NDArray[Any]]) -> NDArray[np.int64]:
    classes = len(dataset.classes)
    counts = np.zeros((classes, classes), np.int64)
    split = dataset.test
    for start in range(0, len(split.labels), BATCH):
        part = slice(start, start + BATCH)
        np.add.at(counts, (split.labels[part], logits_of(part).argmax(axis=1)), 1)
    return counts


def accuracy_of(confusion: NDArray[np.int64]) -> float:
    """Top-1 accuracy, 0 to 1: the share of the counts on the diagonal."""
    return float(np.trace(confusion) / confusion.sum())
