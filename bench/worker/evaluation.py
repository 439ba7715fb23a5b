"""How right a network is: over every test picture, whoever trained it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.worker.inputs import Inputs

BATCH = 500  # divides 10,000: one shape to compile, and small enough at 227 pixels


class Predictor(Protocol):
    """All that an evaluation asks for."""

    def predict(self, images: Any) -> NDArray[Any]:
        """Evaluation-mode logits of prepared inputs, (N, classes), on the host."""


def evaluate(predictor: Predictor, dataset: Dataset, inputs: Inputs) -> NDArray[np.int64]:
    """Confusion counts over every test picture, (classes, classes), rows the true class."""
    classes = len(dataset.classes)
    counts = np.zeros((classes, classes), np.int64)
    split = dataset.test
    for start in range(0, len(split.labels), BATCH):
        part = slice(start, start + BATCH)
        logits = predictor.predict(inputs.test(part))
        np.add.at(counts, (split.labels[part], logits.argmax(axis=1)), 1)
    return counts


def accuracy_of(confusion: NDArray[np.int64]) -> float:
    """Share of the pictures on the diagonal."""
    return float(np.trace(confusion) / confusion.sum())
