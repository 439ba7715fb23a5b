"""Plain ``compile`` and ``fit``, to be compared with the idiomatic track's.

What a Keras tutorial does: images as one float32 array, ``compile`` with Adam and no other setting,
``fit`` at Keras's default batch size, ``jit_compile="auto"``.

The network is the case's, of the idiomatic track's layers with Keras's own initial weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.training.interfaces import Images, Setup
from models_keras import alexnet

BATCH_SIZE = 32
"""Keras's default."""


class _AfterStep(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, after_step: Callable[[], None]) -> None:
        super().__init__()
        self._after_step = after_step
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """The running mean of the loss, as the progress bar reads it after every step."""
        self.losses.append(float((logs or {})["loss"]))
        self._after_step()


class TutorialLoop:
    """:class:`bench.worker.measurements.tutorial_loop.TutorialLoop` in Keras."""

    def __init__(self, setup: Setup, dataset: Dataset) -> None:
        keras.mixed_precision.set_dtype_policy("float32")
        self._mean = np.array(setup.mean, np.float32)
        self._std = np.array(setup.std, np.float32)
        self._side, self._size = setup.side, setup.architecture.input_size
        self._images = self._normalised(dataset.train.images)
        self._labels = np.asarray(dataset.train.labels)
        self._order = np.random.default_rng(setup.case.seed)
        self._model = self._built(setup)
        self._model.compile(
            optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        self.facts: dict[str, Any] = {
            "batch_size": BATCH_SIZE,
            "precision": "float32",
            "jit_compile": bool(self._model.jit_compile),
            "loop": "fit on arrays, Adam, every setting left alone",
        }

    def _built(self, setup: Setup) -> keras.Model:
        network = alexnet.build(setup.architecture, alexnet.STOCK)
        if self._size == self._side:
            return network
        images = keras.Input((self._side, self._side, 3))
        size = (self._size, self._size)
        # Not the layer ``Resizing``: on other backends than TensorFlow it asks for TensorFlow.
        enlarged = keras.layers.Lambda(lambda x: keras.ops.image.resize(x, size))(images)
        return keras.Model(images, network(enlarged))

    def _normalised(self, images: Images) -> NDArray[np.float32]:
        """(N, H, W, 3) float32."""
        scaled = np.asarray(images, np.float32) / np.float32(255)
        normalised: NDArray[np.float32] = (scaled - self._mean) / self._std
        return normalised

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        """As many epochs as ``steps`` take, and a part of one; the mean loss so far at each."""
        losses: list[float] = []
        while len(losses) < steps:
            images, labels = self._images, self._labels
            number = (steps - len(losses)) * BATCH_SIZE
            if number < len(labels):  # of all classes, which may lie one after the other
                part = self._order.permutation(len(labels))[:number]
                images, labels = images[part], labels[part]
            callback = _AfterStep(after_step)
            self._model.fit(
                images,
                labels,
                batch_size=BATCH_SIZE,
                verbose=0,
                callbacks=[callback],
            )
            losses += callback.losses
        return losses

    def sync(self) -> None:
        """The loss of every step has been read."""

    def predict(self, images: Images) -> NDArray[Any]:
        """Evaluation-mode logits of (N, H, W, 3) uint8."""
        logits: NDArray[Any] = self._model.predict(self._normalised(images), verbose=0)
        return logits


def create(setup: Setup, dataset: Dataset) -> TutorialLoop:
    """What ``bench.training.frameworks`` names."""
    return TutorialLoop(setup, dataset)
