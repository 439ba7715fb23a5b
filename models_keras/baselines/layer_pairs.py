"""The suite's local response normalisation beside TensorFlow's own operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from bench.networks import architecture
from bench.training.interfaces import LayerPair, Setup
from models_keras.layers.lrn import LocalResponseNorm


def create(setup: Setup) -> Iterator[LayerPair]:
    """A pair for each such row of the network, at its shape (B, H, W, C), in float32.

    Inputs are as a ReLU leaves them; both sides are traced into a graph.
    """
    generator = np.random.default_rng(setup.case.seed)
    for step in setup.architecture.steps():
        if not isinstance(step.layer, architecture.LocalResponseNorm):
            continue
        row = step.layer
        channels, height, width = step.before
        shape = (setup.case.batch_size, height, width, channels)
        x, gradient = (tf.constant(generator.standard_normal(shape, np.float32)) for _ in range(2))
        x = 200 * tf.nn.relu(x)
        layer = LocalResponseNorm(row.size, row.alpha, row.beta, row.k, dtype="float32")
        ours = _pass(layer, x, gradient)
        theirs = _pass(_own(row), x, gradient)
        yield LayerPair(
            row.name,
            shape,
            "tf.nn.local_response_normalization",
            ours,
            theirs,
            lambda ours=ours, theirs=theirs: _difference(ours(), theirs()),  # type: ignore[misc]
        )


def _own(row: architecture.LocalResponseNorm) -> Callable[[Any], Any]:
    # TensorFlow counts neighbours on one side, and does not divide alpha by their number.
    radius, alpha = row.size // 2, row.alpha / row.size
    return lambda x: tf.nn.local_response_normalization(x, radius, row.k, alpha, row.beta)


def _pass(layer: Callable[[Any], Any], x: Any, gradient: Any) -> Callable[[], tuple[Any, Any]]:
    """Forward and backward of a layer; both are waited for."""

    @tf.function
    def both(x: Any, gradient: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, x, gradient)

    def run() -> tuple[Any, Any]:
        y, dx = both(x, gradient)
        return y.numpy(), dx.numpy()  # on the CPU a view: it waits and copies nothing

    return run


def _difference(ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
