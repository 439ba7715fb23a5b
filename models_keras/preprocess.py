"""From stored images to a network's input, inside the step.

(B, 32, 32, 3) uint8 -> (B, S, S, 3) float, normalised by channel and resized.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from bench.networks.resize import cropped, interpolation_matrix
from bench.training.interfaces import Setup
from models_keras.constants import Constants


def input_for(setup: Setup) -> Any:
    """What a training's model takes: stored images, or features of a frozen trunk."""
    if setup.architecture.features is not None:
        return keras.Input(setup.architecture.input_shape, dtype="float32")
    return keras.Input((setup.side, setup.side, 3), dtype="uint8")


def prepare_for(setup: Setup, dtype: str = "float32") -> keras.layers.Layer:
    """The layer before a network: features of a frozen trunk pass unchanged."""
    if setup.architecture.features is not None:
        return keras.layers.Identity(dtype=dtype)
    size, enlarged = setup.architecture.input_size, setup.recipe.resize
    layer = Prepare(size, setup.mean, setup.std, enlarged, dtype=dtype)
    layer.build((None, setup.side, setup.side, 3))  # before a compiler traces it
    return layer


def stock_prepare_for(setup: Setup) -> Callable[[Any], Any]:
    """The same in a few operations of ``keras.ops``, ``image.resize`` among them, in float32.

    Not by the layers ``Normalization`` and ``Resizing``: on other backends than TensorFlow they
    still import TensorFlow where it is installed.
    """
    size = setup.architecture.input_size
    enlarged = setup.recipe.resize or size
    middle = cropped(enlarged, size)
    mean, std = (np.array(values, np.float32) for values in (setup.mean, setup.std))

    def prepare(images: Any) -> Any:
        if setup.architecture.features is not None:
            return images
        x = (ops.cast(images, "float32") / 255.0 - mean) / std
        if x.shape[1:3] != (enlarged, enlarged):
            x = ops.image.resize(x, (enlarged, enlarged))
        return x if enlarged == size else x[:, middle, middle]

    return prepare


@keras.saving.register_keras_serializable("alexbench")
class Prepare(keras.layers.Layer):
    """(B, 32, 32, 3) uint8 -> (B, S, S, 3), normalised by channel and resized bilinearly.

    Half-pixel centres and no antialiasing, as in every framework here; where ``enlarged`` is more
    than ``size`` pixels, the middle is cut out. In float32 even under a
    mixed policy, since bfloat16 has fewer bits than a pixel; in float64 for a parity check.

    Written as two matrix products, one for the rows and one for the columns: ``ops.image.resize``
    always gives float32 on TensorFlow, rounds pixel coordinates, and is slower on the CPU.
    """

    def __init__(
        self,
        size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        enlarged: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.size, self.mean, self.std = size, mean, std
        self.enlarged = enlarged or size

    def build(self, shape: tuple[Any, int, int, int]) -> None:
        """Compute the constants once: on torch a call is not traced and would recompute them."""
        _, height, width, channels = shape
        # By whole rows of pixels: three channels are too few for a vector unit.
        normalising = (np.tile(values, width) for values in (self.mean, self.std))
        # (S, H), and (W·C, S·C): every channel of a row of pixels in one product
        middle = cropped(self.enlarged, self.size)
        resizing = (
            interpolation_matrix(height, self.enlarged)[middle],
            np.kron(interpolation_matrix(width, self.enlarged)[middle].T, np.eye(channels)),
        )
        typed = (array.astype(self.compute_dtype) for array in (*normalising, *resizing))
        self._constants = Constants(*typed)

    def call(self, images: Any) -> Any:
        """Normalise, then resize."""
        height, width, channels = images.shape[1:]
        resized = (height, width) != (self.size, self.size) or self.enlarged != self.size
        x = ops.reshape(images, (-1, height, width * channels))
        x = ops.cast(x, self.compute_dtype)
        mean, std, rows, columns = self._constants.like(x)
        x = (x / 255.0 - mean) / std
        if resized:
            x = ops.matmul(rows, ops.matmul(x, columns))  # (B, H, S·C), then (B, S, S·C)
        return ops.reshape(x, (-1, self.size, self.size, channels))

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        own = {"size": self.size, "mean": self.mean, "std": self.std, "enlarged": self.enlarged}
        return {**super().get_config(), **own}
