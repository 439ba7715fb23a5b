"""The pieces of ``probes.layers`` in Keras, on the backend of this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from bench.training.recipes import RECIPES
from bench.training.recipes.base import Recipe
from models_keras.layers.lrn import LocalResponseNorm, Prepare, SharedMaskDropout
from models_keras.optimizer import RecipeSchedule
from models_keras.update import cross_entropy, update_for
from tests.frameworks.probes import pieces
from tests.frameworks.probes.networks import MEAN, STD, pictures

BACKEND = keras.backend.backend()


def lrn(case: pieces.Lrn) -> dict[str, Any]:
    x, weight = (a.transpose(0, 2, 3, 1) for a in pieces.lrn_input(case))  # NHWC
    layer = LocalResponseNorm(case.size, case.alpha, case.beta, case.k)
    y = ops.convert_to_numpy(layer(x))
    weight = ops.convert_to_tensor(weight)
    gradient = _gradient(lambda x: ops.sum(layer(x) * weight), x)
    found = {"y": y.transpose(0, 3, 1, 2), "gradient": gradient.transpose(0, 3, 1, 2)}
    if BACKEND == "tensorflow" and case.size % 2:
        import tensorflow as tf  # noqa: PLC0415

        radius, alpha = (case.size - 1) // 2, case.alpha / case.size
        own = tf.nn.local_response_normalization(x, radius, case.k, alpha, case.beta)
        found["tensorflow"] = own.numpy().transpose(0, 3, 1, 2)
    return found


def _gradient(function: Callable[[Any], Any], x: Any) -> Any:
    return {"tensorflow": _gradient_tensorflow, "jax": _gradient_jax, "torch": _gradient_torch}[
        BACKEND
    ](function, x)


def _gradient_tensorflow(function: Callable[[Any], Any], x: Any) -> Any:
    import tensorflow as tf  # noqa: PLC0415

    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = function(given)
    return tape.gradient(value, given).numpy()


def _gradient_jax(function: Callable[[Any], Any], x: Any) -> Any:
    import jax  # noqa: PLC0415

    return np.asarray(jax.grad(function)(x))


def _gradient_torch(function: Callable[[Any], Any], x: Any) -> Any:
    import torch  # noqa: PLC0415

    given = torch.tensor(x, requires_grad=True)
    function(given).backward()
    assert given.grad is not None
    return given.grad.numpy()


def dropout(rate: float, x: Any, mask: Any) -> Any:
    return ops.convert_to_numpy(SharedMaskDropout(rate)((x, mask)))


def prepare(size: int) -> Any:
    return ops.convert_to_numpy(Prepare(size, MEAN, STD)(pictures(2)))


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
