"""A recipe's optimiser outside the closed track: Keras's arithmetic, its weight decay decoupled.

Where Keras goes over all weights once for every operation, the same arithmetic in fewer passes.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import keras
from keras import ops

from bench.training.defaults import switched
from bench.training.interfaces import Setup
from bench.training.recipes.base import Recipe
from bench.training.tracks import track
from models_keras import defaults

FEW_PASSES = ("tensorflow", "torch")
"""Backends that have a module ``sgd_…``: where an update of Keras's goes over the weights again and
again. XLA makes one pass of it by itself."""


class RecipeSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """:meth:`bench.training.recipes.base.Recipe.rate` in ``keras.ops``."""

    def __init__(self, recipe: Recipe, steps: int) -> None:
        self._recipe, self._steps = recipe, steps

    def __call__(self, step: Any) -> Any:
        """Learning rate of ``step`` (from 0)."""
        recipe, step = self._recipe, ops.cast(step, "float32")
        if recipe.schedule == "constant":
            return ops.full((), recipe.learning_rate, "float32")
        rising = recipe.warmup * self._steps
        up = (step + 1) / (math.floor(rising) + 1)
        progress = ops.clip((step - rising) / max(self._steps - rising, 1), 0, 1)
        down = 0.5 * (1 + ops.cos(math.pi * progress))
        return recipe.learning_rate * ops.where(step < rising, up, down)

    def get_config(self) -> dict[str, Any]:
        """The recipe's settings."""
        return {"recipe": self._recipe.to_json(), "steps": self._steps}


def optimizer_for(setup: Setup) -> keras.optimizers.Optimizer:
    """SGD or Adam with Keras's arithmetic; in the waterfall, Adam with the shared stages."""
    recipe = setup.recipe
    rate = RecipeSchedule(recipe, setup.steps)
    if track(setup.case.track).stages:
        return defaults.optimizer_for(recipe, rate, switched(setup.case))
    decay = recipe.weight_decay or None
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, epsilon=recipe.eps, weight_decay=decay)
    nesterov = recipe.nesterov and recipe.momentum > 0
    return _sgd(recipe.momentum)(rate, recipe.momentum, nesterov, weight_decay=decay)


def _sgd(momentum: float) -> Any:
    """Keras's class, or the one of the same arithmetic."""
    backend = keras.backend.backend()
    if not momentum or backend not in FEW_PASSES:
        return keras.optimizers.SGD
    return importlib.import_module(f"models_keras.sgd_{backend}").FewPassesSGD
