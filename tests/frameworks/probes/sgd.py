"""Some steps of the tuned track's SGD and of Keras's own, over the same gradients."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import keras
import numpy as np

from bench.training.recipes.base import Recipe
from models_keras.backend import current
from models_keras.optimizer import RecipeSchedule, optimizer_for, slow
from tests.frameworks.support.networks import TINY, setup

SHAPES = ((3, 3, 4, 8), (8,), (400, 301))
STEPS = 6
RISING_AND_FALLING = 5
"""Steps of the schedule: the last of ``STEPS`` is after its end, where the rate is 0."""
ARMS = tuple(product((False, True), (0.0, 0.01)))
"""Nesterov, weight decay."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {"plain": type(_ours(_recipe(0.0, True, 0.0))).__name__}
    arrays: dict[str, Any] = {}
    for nesterov, decay in ARMS:
        recipe = _recipe(0.9, nesterov, decay)
        ours = {"ours": _ours(recipe)}
        if keras.backend.backend() == "tensorflow":
            ours["compiled"] = _ours(recipe)
        facts.setdefault("with_momentum", []).append(type(ours["ours"]).__name__)
        facts.setdefault("decay", []).append(ours["ours"].weight_decay)
        rate = RecipeSchedule(recipe, RISING_AND_FALLING)
        theirs = keras.optimizers.SGD(rate, 0.9, nesterov, weight_decay=decay or None)
        for who, optimizer in {**ours, "theirs": theirs}.items():
            for index, value in enumerate(_trained(optimizer, compiled=who == "compiled")):
                arrays[f"{who}/{nesterov}/{decay}/{index}"] = value
        facts["rates"] = [float(rate(step)) for step in range(STEPS)]
    facts["moved"] = _moved_without_a_gradient()
    return facts, arrays


def _moved_without_a_gradient() -> list[bool]:
    """Which of two weights moved, the first slowed and reached by no loss."""
    weights = [keras.Variable(np.ones(3, "float32"), name=name) for name in ("first", "second")]
    optimizer = _ours(_recipe(0.9, True, 0.0))
    optimizer.build(weights)
    slow(optimizer, {weight.path: 0.5 for weight in weights})
    with warnings.catch_warnings():  # Keras's own, of the weight without a gradient
        warnings.simplefilter("ignore")
        optimizer.apply([None, keras.ops.ones(3)], weights)
    return [bool(np.any(keras.ops.convert_to_numpy(weight) != 1)) for weight in weights]


def _recipe(momentum: float, nesterov: bool, decay: float) -> Recipe:
    return Recipe(
        "probe", "", learning_rate=0.3, momentum=momentum, nesterov=nesterov,
        weight_decay=decay, schedule="cosine", warmup=0.4,
    )  # fmt: skip


def _ours(recipe: Recipe) -> Any:
    return optimizer_for(setup(TINY, recipe, steps=RISING_AND_FALLING), current().SGD)


def _trained(optimizer: Any, compiled: bool) -> list[Any]:
    """Weights and velocities after the steps."""
    rng = np.random.default_rng(0)
    weights = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
    optimizer.build(weights)
    apply = _compiled(optimizer.apply) if compiled else optimizer.apply
    for _ in range(STEPS):
        drawn = [rng.normal(size=shape[::-1]).astype("float32") for shape in SHAPES]
        # Views of the other order in memory, where a backend has such.
        given = [keras.ops.transpose(keras.ops.convert_to_tensor(part)) for part in drawn]
        apply(given, weights)
    return [keras.ops.convert_to_numpy(v) for v in (*weights, *optimizer.momentums)]


def _compiled(apply: Callable[..., None]) -> Callable[..., None]:
    """By XLA, as ``fit`` does it on an accelerator."""
    tf = importlib.import_module("tensorflow")
    compiled = tf.function(lambda gradients, weights: apply(gradients, weights), jit_compile=True)

    def call(gradients: list[Any], weights: list[Any]) -> None:
        compiled(gradients, [weight.value for weight in weights])

    return call
