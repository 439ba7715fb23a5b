"""The pieces of ``probes.layers`` in Keras, on the backend of this process."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bench.training.recipes import RECIPES
from bench.training.recipes.base import Recipe
from models_keras.backend import current
from models_keras.layers.dropout import SharedMaskDropout
from models_keras.layers.lrn import LocalResponseNorm, StockLocalResponseNorm
from models_keras.optimizer import RecipeSchedule, cross_entropy, update_for
from models_keras.preprocess import Prepare
from tests.frameworks.support import pieces
from tests.frameworks.support.networks import MEAN, STD, random_images

BACKEND = keras.backend.backend()


def lrn(case: pieces.Lrn) -> dict[str, Any]:
    x, weight = (a.transpose(0, 2, 3, 1) for a in pieces.lrn_input(case))  # NHWC
    layer = LocalResponseNorm(case.size, case.alpha, case.beta, case.k)
    given = ops.convert_to_tensor(x), ops.convert_to_tensor(weight)
    stock = StockLocalResponseNorm(case.size, case.alpha, case.beta, case.k)
    found: dict[str, Any] = {}
    for name, kind in (("", layer), ("stock_", stock)):
        sides = current().forward_and_backward(kind)(*given)
        y, gradient = (np.array(ops.convert_to_numpy(side)) for side in sides)
        found[f"{name}y"] = y.transpose(0, 3, 1, 2)
        found[f"{name}gradient"] = gradient.transpose(0, 3, 1, 2)
    if BACKEND == "tensorflow" and case.size % 2:
        import tensorflow as tf  # noqa: PLC0415

        radius, alpha = (case.size - 1) // 2, case.alpha / case.size
        own = tf.nn.local_response_normalization(x, radius, case.k, alpha, case.beta)
        found["tensorflow"] = own.numpy().transpose(0, 3, 1, 2)
    return found


def dropout(rate: float, x: Any, mask: Any) -> Any:
    return ops.convert_to_numpy(SharedMaskDropout(rate)((x, mask)))


def prepare(size: int) -> Any:
    return ops.convert_to_numpy(Prepare(size, MEAN, STD)(random_images(2)))


def updates(recipe: Recipe) -> Any:
    start, gradients = pieces.update_input()
    update = update_for(recipe)
    weight = ops.convert_to_tensor(start)
    slots = [ops.zeros_like(weight) for _ in range(update.slots)]
    for i, (gradient, rate) in enumerate(zip(gradients, pieces.RATES, strict=True)):
        step, speed = (ops.convert_to_tensor(v, "float32") for v in (i + 1.0, rate))
        given = ops.convert_to_tensor(gradient)
        weight, slots = update(weight, given, slots, step, speed)
    return ops.convert_to_numpy(weight)


def loss(labels: Any, logits: Any, smoothing: float) -> Any:
    given = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    return ops.convert_to_numpy(cross_entropy(*given, smoothing))


def others() -> dict[str, Any]:
    """The schedules of all recipes, at every step of a short and at some of a long training."""
    found = {}
    for recipe in RECIPES.values():
        for steps in (1, 7, 40, 6250):
            schedule = RecipeSchedule(recipe, steps)
            rates = [schedule(step) for step in range(0, steps, 1 + steps // 100)]
            found[f"schedule/{recipe.name}/{steps}"] = np.array(
                [float(ops.convert_to_numpy(rate)) for rate in rates]
            )
    return found
