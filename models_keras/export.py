"""Keras models that need nothing of this package: what people load with Keras alone.

Every layer is one of Keras's own. Local response normalisation, which Keras lacks, is written as
square, a fixed 1×1 convolution that sums over the neighbouring channels, power and product.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.networks import architecture as spec
from bench.networks import layouts
from bench.networks.init import Weights
from models_keras.alexnet import undrawn


def plain_model(architecture: spec.Architecture, weights: Weights) -> keras.Model:
    """The network with these weights: (B, S, S, 3) -> (B, classes) logits.

    Pictures are RGB after the preprocessing that belongs to the weights.
    """
    size = architecture.input_size
    x = picture = keras.Input((size, size, architecture.channels), name="pictures")
    for step in architecture.steps():
        if isinstance(step.layer, spec.LocalResponseNorm):
            x = _normalised(x, step.layer, step.before[0])
        else:
            for layer in undrawn(step):
                x = layer(x)
                _assign(layer, weights, layouts.flattened(architecture))
    return keras.Model(picture, x, name=architecture.name.replace("-", "_"))


def _normalised(x: Any, row: spec.LocalResponseNorm, channels: int) -> Any:
    """(B, H, W, C) -> (B, H, W, C): x · (k + alpha / size · sum of x² over neighbours) ** -beta."""
    window = layers.Conv2D(
        channels, 1, kernel_initializer="zeros", name=row.name, trainable=False, dtype="float32"
    )
    denominator = window(ops.square(x))
    at = np.arange(channels)
    distance = at[:, None] - at[None, :]  # of the channel that is read from the one that is made
    near = (distance >= -(row.size // 2)) & (distance <= (row.size - 1) // 2)
    window.kernel.assign((near * (row.alpha / row.size)).astype(np.float32)[None, None])
    window.bias.assign(np.full(channels, row.k, np.float32))
    return ops.multiply(x, ops.power(denominator, -row.beta))


# What a weight of the core is called in a Keras layer.
_PARTS = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}


def _assign(layer: keras.layers.Layer, weights: Weights, order: dict[str, spec.Shape]) -> None:
    for part, names in _PARTS.items():
        core = f"{layer.name}.{part}"
        if core not in weights:
            continue
        variable = next(v for v in layer.variables if v.name in names)
        variable.assign(layouts.to_keras(core, weights[core], order))
