"""Some steps of the idiomatic track's SGD and of Keras's own, over the same gradients."""

from __future__ import annotations

from itertools import product
from typing import Any

import keras
import numpy as np

from bench.recipes import Recipe
from models_keras.optimizer import RecipeSchedule, optimizer_for
from probes.networks import TINY, setup

SHAPES = ((3, 3, 4, 8), (8,), (40, 7))
STEPS = 6
RISING_AND_FALLING = 5
"""Steps of the schedule: the last of ``STEPS`` is behind its end, where the rate is 0."""
ARMS = tuple(product((0.0, 0.9), (False, True), (0.0, 0.01)))
"""Momentum, Nesterov, weight decay."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {"with_momentum": [], "without": []}
    arrays: dict[str, Any] = {}
    for momentum, nesterov, decay in ARMS:
        recipe = Recipe(
            "probe", "", learning_rate=0.3, momentum=momentum, nesterov=nesterov,
            weight_decay=decay, schedule="cosine", warmup=0.4,
        )  # fmt: skip
        given = setup(TINY, recipe, steps=RISING_AND_FALLING, track="idiomatic")
        rate = RecipeSchedule(recipe, RISING_AND_FALLING)
        ours = optimizer_for(given)
        theirs = keras.optimizers.SGD(
            rate, momentum, nesterov and momentum > 0, weight_decay=decay or None
        )
        facts["with_momentum" if momentum else "without"].append(type(ours).__name__)
        for who, optimizer in (("ours", ours), ("theirs", theirs)):
            for index, value in enumerate(_trained(optimizer)):
                arrays[f"{who}/{momentum}/{nesterov}/{decay}/{index}"] = value
    facts["rates"] = [float(rate(step)) for step in range(STEPS)]
    return facts, arrays


def _trained(optimizer: Any) -> list[Any]:
    """Weights and velocities after the steps."""
    rng = np.random.default_rng(0)
    weights = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
    for _ in range(STEPS):
        drawn = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in drawn], weights)
    slots = optimizer.momentums if optimizer.momentum else []
    return [keras.ops.convert_to_numpy(variable) for variable in (*weights, *slots)]
