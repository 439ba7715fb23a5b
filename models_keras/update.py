"""The closed track's optimisers, written out with ``keras.ops``.

Keras's own differ from PyTorch's in arithmetic, not only in defaults: its ``weight_decay`` is
decoupled, its Nesterov form parts when the rate changes, and its Adam adds eps elsewhere. These
are pure functions of (weight, gradient, slots), so each backend applies them in its own way.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from keras import ops

from bench.training.recipes.base import Recipe


class Update(Protocol):
    """One optimiser."""

    slots: int
    """How many tensors of the weight's shape it keeps; all start at 0."""

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
