"""The optimisers of a recipe, and the closed track's loss.

Outside the closed track they are Keras's own. In the closed track they are written out with
``keras.ops``, in PyTorch's arithmetic. Keras's own differs from it in more than defaults: its
``weight_decay`` is decoupled, its Nesterov form differs when the rate changes, and its Adam adds
eps elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import keras
from keras import ops

from bench.core.errors import UserError
from bench.training.interfaces import Setup
from bench.training.recipes.base import Recipe


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


def optimizer_for(setup: Setup, sgd: Any = keras.optimizers.SGD) -> keras.optimizers.Optimizer:
    """SGD or Adam with Keras's arithmetic and its decoupled weight decay.

    ``sgd`` is the class for SGD with momentum: Keras's own, or one of the same arithmetic.
    """
    recipe = setup.recipe
    rate = RecipeSchedule(recipe, setup.steps)
    decay = recipe.weight_decay or None
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, epsilon=recipe.eps, weight_decay=decay)
    nesterov = recipe.nesterov and recipe.momentum > 0
    kind = sgd if recipe.momentum else keras.optimizers.SGD
    return kind(rate, recipe.momentum, nesterov, weight_decay=decay)


def slow(optimizer: keras.optimizers.Optimizer, rates: Mapping[str, float]) -> None:
    """Train every variable at its fraction of the rate, by the variable's path: Keras's optimisers
    have one rate for all.

    The gradient is multiplied: with SGD, plain or with momentum, that is the same as multiplying
    the rate. (Keras's weight decay is not in the gradient, and stays at the whole rate.)

    Raises:
        UserError: The optimiser divides by the gradient's size, which would cancel the factor.
    """
    if not isinstance(optimizer, keras.optimizers.SGD):
        raise UserError(
            f"{type(optimizer).__name__}: layers with a rate of their own need SGD in Keras; take "
            "a recipe with SGD, or one with trunk_rate 1"
        )
    apply = optimizer.apply

    def scaled(grads: list[Any], trainable_variables: Any = None) -> Any:
        variables = trainable_variables or optimizer._trainable_variables
        factors = [rates.get(variable.path, 1.0) for variable in variables]
        return apply(
            [g if g is None or f == 1 else g * f for g, f in zip(grads, factors, strict=True)],
            trainable_variables,
        )

    optimizer.apply = scaled


# The closed track's: pure functions of (weight, gradient, slots), so that each backend applies them
# in its own way.


class Update(Protocol):
    """One optimiser."""

    slots: int
    """How many tensors of the weight's shape are its state; all start at 0."""

    def __call__(
        self, weight: Any, gradient: Any, slots: list[Any], step: Any, rate: Any
    ) -> tuple[Any, list[Any]]:
        """New weight and slots; ``step`` counts from 1, both scalars are float32."""


class Sgd:
    """v = m·v + g;  w -= rate · (g + m·v with Nesterov, else v); weight decay is L2 in g."""

    slots = 1

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __call__(
        self, weight: Any, gradient: Any, slots: list[Any], step: Any, rate: Any
    ) -> tuple[Any, list[Any]]:
        """One step."""
        recipe = self._recipe
        if recipe.weight_decay:
            gradient = gradient + recipe.weight_decay * weight
        velocity = recipe.momentum * slots[0] + gradient
        nesterov = recipe.nesterov and recipe.momentum > 0
        direction = gradient + recipe.momentum * velocity if nesterov else velocity
        return weight - rate * direction, [velocity]


class Adam:
    """Kingma & Ba 2015, algorithm 1: bias-corrected moments, eps outside the square root."""

    slots = 2
    betas = (0.9, 0.999)

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __call__(
        self, weight: Any, gradient: Any, slots: list[Any], step: Any, rate: Any
    ) -> tuple[Any, list[Any]]:
        """One step."""
        recipe, (b1, b2) = self._recipe, self.betas
        if recipe.weight_decay:
            gradient = gradient + recipe.weight_decay * weight
        first = b1 * slots[0] + (1 - b1) * gradient
        second = b2 * slots[1] + (1 - b2) * ops.square(gradient)
        # 1 - b ** step; written so, float32 would keep only five digits of 1 - 0.999.
        c1, c2 = (-ops.expm1(step * math.log(b)) for b in (b1, b2))
        return weight - rate * (first / c1) / (ops.sqrt(second / c2) + recipe.eps), [first, second]


def update_for(recipe: Recipe) -> Update:
    """The closed track's optimiser of a recipe."""
    return Adam(recipe) if recipe.optimizer == "adam" else Sgd(recipe)


def cross_entropy(labels: Any, logits: Any, smoothing: float) -> Any:
    """Mean over the batch of the cross-entropy of (B,) labels and (B, classes) logits."""
    logarithms = ops.log_softmax(logits, axis=-1)
    classes = logits.shape[-1]
    targets = ops.one_hot(labels, classes, dtype=logits.dtype)
    targets = targets * (1 - smoothing) + smoothing / classes
    return -ops.mean(ops.sum(targets * logarithms, axis=-1))
