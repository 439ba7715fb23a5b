"""Dropout with given masks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("alexbench")
class SharedMaskDropout(keras.layers.Layer):
    """Dropout whose mask is an input: [(B, F), (B, F) of 0 and 1] -> (B, F).

    Masks come in the core's order. Where the features are a flattened map, that is C·H·W and
    Keras's is H·W·C: ``map_shape`` is then its (C, H, W), and the mask is transposed.
    """

    def __init__(
        self, rate: float, map_shape: tuple[int, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate, self.map_shape = rate, map_shape

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Drop where the mask is 0 and scale the rest."""
        x, mask = inputs
        if self.map_shape is not None:
            maps = ops.reshape(mask, (-1, *self.map_shape))  # (B, C, H, W)
            mask = ops.reshape(ops.transpose(maps, (0, 2, 3, 1)), (-1, x.shape[-1]))
        return x * ops.cast(mask, x.dtype) * (1 / (1 - self.rate))

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        return {**super().get_config(), "rate": self.rate, "map_shape": self.map_shape}
