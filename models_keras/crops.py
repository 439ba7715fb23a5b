"""Training images that stay on the device, and the crops of a step cut from them there."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bench.training.interfaces import Images

_INDICES = 1 << 31
"""Pixels are counted in int32, the widest type that JAX has unless float64 is on."""


def bordered(images: Images, padding: int) -> NDArray[np.uint8] | None:
    """(N, 32, 32, 3) with a black border of ``padding``; None for more pixels than can be
    counted."""
    own = images.shape[1]
    side = own + 2 * padding
    if len(images) * side * side >= _INDICES:
        return None
    found = np.zeros((len(images), side, side, 3), np.uint8)
    inside = slice(padding, padding + own)
    found[:, inside, inside] = images
    return found


def cut(held: Any, crops: Any, size: int) -> Any:
    """The crops of a step.

    Args:
        held: (N, S, S, 3), images with their border: uint8, or what the backend holds them in.
        crops: (B, 4) int32: index, top, left, and 1 where the crop is mirrored.
        size: Height and width of a crop.

    Returns:
        (B, size, size, 3) uint8.
    """
    index, top, left, flip = (crops[:, column, None] for column in range(4))  # (B, 1) each
    across = ops.arange(size, dtype="int32")
    columns = left + ops.where(flip > 0, size - 1 - across, across)  # (B, size)
    _, side, width, channels = held.shape
    rows = index * side + top + across
    places = rows[:, :, None] * width + columns[:, None, :]  # (B, size, size)
    return ops.cast(ops.take(ops.reshape(held, (-1, channels)), places, axis=0), "uint8")


@keras.saving.register_keras_serializable("alexbench")
class HeldImages(keras.layers.Layer):  # type: ignore[misc]
    """(B, 4) int32 crops -> (B, size, size, 3) uint8.

    The images are a variable of the layer: a constant would become a part of the compiled code.
    Its type is the backend's (``models_keras.backend.Backend.held_dtype``).
    """

    def __init__(
        self, shape: tuple[int, ...], size: int, held_dtype: str = "uint8", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.held_shape, self.size, self.held_dtype = tuple(shape), size, held_dtype

    def build(self, _: Any) -> None:
        """Make room for the images."""
        self.held = self.add_weight(
            shape=self.held_shape,
            dtype=self.held_dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
            name="held",
        )

    def call(self, crops: Any) -> Any:
        """Cut them out."""
        return cut(ops.convert_to_tensor(self.held), crops, self.size)

    def compute_output_spec(self, crops: Any) -> Any:
        """uint8, whatever the policy."""
        return keras.KerasTensor((crops.shape[0], self.size, self.size, 3), dtype="uint8")

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        config = {"shape": self.held_shape, "size": self.size, "held_dtype": self.held_dtype}
        return {**super().get_config(), **config}
