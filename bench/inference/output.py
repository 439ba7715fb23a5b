"""The output for images, classes with probabilities or features: as JSON, CSV rows and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.inference import InferenceNetwork
from bench.training.interfaces import Outputs

_TOP = 5


class Output(Protocol):
    """One kind of output, made from what the network computes for a batch."""

    def header(self) -> list[str]:
        """Names of the CSV columns after ``image``."""

    def table(self, row: NDArray[np.float32]) -> Iterator[list[Any]]:
        """The CSV rows of one image."""

    def to_json(self, image: str, row: NDArray[np.float32]) -> dict[str, Any]:
        """The JSON object of one image."""

    def arrays(self, rows: Outputs) -> dict[str, NDArray[Any]]:
        """The arrays of an npz file for a batch, images along the first axis."""

    def constants(self) -> dict[str, NDArray[Any]]:
        """Arrays of an npz file that do not depend on the images."""


@dataclass(frozen=True)
class Prediction:
    """A class of an image, with its probability."""

    label: str
    index: int
    probability: float


class Predictions:
    """The ``top`` classes with the highest probabilities, in that order; None: five, or all."""

    def __init__(self, network: InferenceNetwork, top: int | None = None) -> None:
        """Raises UserError where the network has fewer classes than ``top``, or one logit."""
        if network.width == 1:
            raise UserError(
                f"weights {network.facts.name}: one logit, whose softmax is 1 for every image; "
                "use embed, or give the network two classes: Linear(…, 2), with the rows 0 and w"
            )
        if top is not None and top > network.width:
            raise UserError(f"--top {top}: the network has {network.width} classes")
        self._network = network
        self._top = min(_TOP, network.width) if top is None else top

    def of(self, row: NDArray[np.float32]) -> list[Prediction]:
        """The classes of one image from its logits, (classes,)."""
        classes, probabilities = self._best(row[None])
        return [
            Prediction(self._network.label(int(index)), int(index), float(probability))
            for index, probability in zip(classes[0], probabilities[0], strict=True)
        ]

    def _best(self, logits: Outputs) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Classes and probabilities, (B, top) both."""
        probabilities = softmax(logits)
        # Stable, so that equal probabilities have the same order in every framework.
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._top]
        return order.astype(np.int64), np.take_along_axis(probabilities, order, axis=1)

    def header(self) -> list[str]:
        """See :class:`Output`."""
        return ["rank", "class", "label", "probability"]

    def table(self, row: NDArray[np.float32]) -> Iterator[list[Any]]:
        """See :class:`Output`."""
        for rank, found in enumerate(self.of(row), start=1):
            yield [rank, found.index, found.label, found.probability]

    def to_json(self, image: str, row: NDArray[np.float32]) -> dict[str, Any]:
        """See :class:`Output`."""
        return {
            "image": image,
            "predictions": [
                {"label": found.label, "class": found.index, "probability": found.probability}
                for found in self.of(row)
            ],
        }

    def arrays(self, rows: Outputs) -> dict[str, NDArray[Any]]:
        """``classes`` and ``probabilities``, (N, top)."""
        classes, probabilities = self._best(rows)
        return {"classes": classes, "probabilities": probabilities}

    def constants(self) -> dict[str, NDArray[Any]]:
        """``categories``: the label of every class, (classes,)."""
        return {
            "categories": np.array([self._network.label(i) for i in range(self._network.width)])
        }


class Embeddings:
    """The features, float32."""

    def __init__(self, network: InferenceNetwork) -> None:
        self._width = network.width

    def header(self) -> list[str]:
        """See :class:`Output`."""
        return [f"f{index}" for index in range(self._width)]

    def table(self, row: NDArray[np.float32]) -> Iterator[list[Any]]:
        """One row; every number in the fewest digits that give the same float32."""
        yield [str(value) for value in row]

    def to_json(self, image: str, row: NDArray[np.float32]) -> dict[str, Any]:
        """See :class:`Output`."""
        return {"image": image, "embedding": [float(str(value)) for value in row]}

    def arrays(self, rows: Outputs) -> dict[str, NDArray[Any]]:
        """``embeddings``, (N, features)."""
        return {"embeddings": rows.astype(np.float32, copy=False)}

    def constants(self) -> dict[str, NDArray[Any]]:
        """None."""
        return {}


def softmax(logits: Outputs) -> NDArray[np.float64]:
    """(B, classes) -> (B, classes), each row sums to 1; computed in float64."""
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
