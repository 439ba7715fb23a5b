"""The pieces of ``probes.ablation`` in Keras, on the backend of this process."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.training.recipes.base import Recipe
from models_keras.defaults import optimizer_for


def optimizer_steps(recipe: Recipe, shared: frozenset[str], start: Any, gradients: Any) -> Any:
    """(steps, n) weights."""
    weight = keras.Variable(start)
    optimizer = optimizer_for(recipe, recipe.learning_rate, shared)
    found = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [weight])
        found.append(np.array(ops.convert_to_numpy(weight)))
    return np.stack(found)


def own_defaults() -> dict[str, Any]:
    """What Keras does when nothing is set."""
    norm = layers.BatchNormalization()
    norm(np.array([[0.0], [2.0]], np.float32), training=True)  # variance 1 over n, 2 over n - 1
    adam = keras.optimizers.Adam()
    dense = layers.Dense(64)
    dense.build((None, 10_000))
    variance = float(ops.convert_to_numpy(norm.moving_variance)[0])
    shuffle = inspect.signature(keras.Model.fit).parameters["shuffle"].default
    return {
        "bn-eps": norm.epsilon,
        "bn-momentum": norm.momentum,
        "bn-variance": (variance - norm.momentum) / (1 - norm.momentum),
        "lrn": _tensorflows_lrn(),
        "shuffle": shuffle,
        "layout": {"channels_last": "NHWC"}[layers.Conv2D(4, 3).data_format],
        "precision": dense.kernel.dtype,
        "adam-eps": adam.epsilon,
        "weight-decay": "decoupled",  # compared with its formula, step by step
        "fused-update": False,
        "initialisation": [
            float(np.abs(ops.convert_to_numpy(weight)).max()) for weight in dense.weights
        ],
    }


def _tensorflows_lrn() -> Any:
    """[radius, alpha, beta, bias]; None on the other backends, which have no such operation."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf  # noqa: PLC0415

    parameters = inspect.signature(tf.nn.local_response_normalization).parameters
    return [parameters[name].default for name in ("depth_radius", "alpha", "beta", "bias")]
