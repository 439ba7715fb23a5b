"""A network to evaluate with whose large weights are bfloat16 already.

Under a mixed policy Keras converts every weight in every call, which takes longer than a picture
does. What the copy computes is the same: the conversion is only done once.
"""

from __future__ import annotations

from typing import Any

import keras

_LARGE = (keras.layers.Conv2D, keras.layers.Dense)
"""Layers that compute in bfloat16 from the weights on; BatchNorm computes in float32."""


class RoundedCopy:
    """A network under ``mixed_bfloat16``, and its copy."""

    def __init__(self, network: keras.Model) -> None:
        self._original = network
        self._stale = True
        self.network = keras.models.clone_model(network, clone_function=_rounded)

    def outdate(self) -> None:
        """Say that the original's weights have changed."""
        self._stale = True

    def refresh(self) -> None:
        """Take the original's weights, if they have changed."""
        if not self._stale:
            return
        pairs = zip(self.network.variables, self._original.variables, strict=True)
        for variable, original in pairs:
            variable.assign(_converted(original.value, variable.dtype))
        self._stale = False


def _converted(value: Any, dtype: str) -> Any:
    """In memory of its own: JAX gives away what the original holds when it trains on."""
    same = keras.backend.standardize_dtype(value.dtype) == dtype
    return keras.ops.copy(value) if same else keras.ops.cast(value, dtype)


def _rounded(layer: keras.layers.Layer) -> keras.layers.Layer:
    config: dict[str, Any] = layer.get_config()
    if isinstance(layer, _LARGE):
        # Zeros, since drawing millions of weights that are written over at once takes seconds.
        config |= {"dtype": "bfloat16", "kernel_initializer": "zeros"}
    return type(layer).from_config(config)
