"""The suite's local response normalisation compared with the backend's own operation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from bench.networks import architecture
from bench.training.interfaces import LayerPair, Setup
from models_keras.backend import current
from models_keras.layers.lrn import LocalResponseNorm, StockLocalResponseNorm


def create(setup: Setup) -> Iterator[LayerPair]:
    """A pair for each such row of the network, at its shape (B, H, W, C), in float32.

    Inputs are as a ReLU leaves them; both sides are compiled as the backend does. None on
    accelerators: our form is for the CPU.
    """
    if setup.device_kind != "cpu":
        return
    generator = np.random.default_rng(setup.case.seed)
    for step in setup.architecture.steps():
        if not isinstance(step.layer, architecture.LocalResponseNorm):
            continue
        row = step.layer
        channels, height, width = step.before
        shape = (setup.case.batch_size, height, width, channels)
        x, gradient = (
            ops.convert_to_tensor(generator.standard_normal(shape, np.float32)) for _ in range(2)
        )
        x = 200 * ops.relu(x)
        ours, theirs = (
            partial(
                current().forward_and_backward(
                    kind(row.size, row.alpha, row.beta, row.k, dtype="float32")
                ),
                x,
                gradient,
            )
            for kind in (LocalResponseNorm, StockLocalResponseNorm)
        )
        yield LayerPair(
            row.name,
            shape,
            "tf.nn.local_response_normalization",
            ours,
            theirs,
            lambda ours=ours, theirs=theirs: _difference(ours(), theirs()),  # type: ignore[misc]
        )


def _difference(ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
