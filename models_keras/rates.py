"""A learning rate of its own for some of the weights, which Keras's optimisers do not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from bench.core.errors import UserError


def slow(optimizer: keras.optimizers.Optimizer, rates: Mapping[str, float]) -> None:
    """Train every variable at its fraction of the rate, by the variable's path.

    The gradient is multiplied: with SGD, plain or with momentum, that is the same as multiplying
    the rate. (Keras's weight decay is not in the gradient, and stays at the whole rate.) Raises
    UserError for an optimiser that divides by the gradient's size, which would take it out again.
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
