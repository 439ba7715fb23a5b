"""The layers that Keras 3 lacks, written with ``keras.ops`` so that they run on every backend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bench.networks.resize import interpolation_matrix
from bench.training.interfaces import Setup


@keras.saving.register_keras_serializable("alexbench")
class LocalResponseNorm(keras.layers.Layer):
    """x / (k + alpha / size * sum of x² over ``size`` neighbouring channels) ** beta.

    Krizhevsky et al. 2012, section 3.3, with alpha divided by ``size`` as in Caffe and PyTorch.
    (B, H, W, C) -> (B, H, W, C). The sum over neighbours is a product with a banded (C, C) matrix
    of ones: exact, one call on every backend, and faster than shifted slices.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Lay down the band for this number of channels."""
        channels = np.arange(input_shape[-1] or 0)
        # Channel j counts for channel i when i - size//2 <= j <= i + (size-1)//2: for an even size
        # the window leans to the lower side, as in torch.nn.LocalResponseNorm.
        distance = channels[:, None] - channels[None, :]  # j - i
        window = (distance >= -(self.size // 2)) & (distance <= (self.size - 1) // 2)
        # Computed in float64: in float32 the constants would be too coarse for a proof in float64.
        band = window * (self.alpha / self.size)
        self.band = band if self.compute_dtype == "float64" else band.astype("float32")

    def call(self, x: Any) -> Any:
        """Same shape as ``x``."""
        band = ops.convert_to_tensor(self.band, dtype=x.dtype)
        denominator = self.k + ops.matmul(ops.square(x), band)
        if self.beta == 0.75:
            # d ** -0.75 from two square roots: several times faster than a general power.
            root = ops.rsqrt(denominator)
            return x * (root * ops.sqrt(root))
        if self.beta == 0.5:
            return x * ops.rsqrt(denominator)
        return x * ops.power(denominator, -self.beta)

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        constants = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **constants}


@keras.saving.register_keras_serializable("alexbench")
class SharedMaskDropout(keras.layers.Layer):
    """Dropout whose mask is an input: [(B, F), (B, F) of 0 and 1] -> (B, F).

    Masks come in the core's order. Where the features are a flattened picture, that is C·H·W and
    Keras's is H·W·C: ``picture`` is then its (C, H, W), and the mask is brought into Keras's order.
    """

    def __init__(self, rate: float, picture: tuple[int, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.picture = rate, picture

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Drop where the mask is 0 and scale the rest."""
        x, mask = inputs
        if self.picture is not None:
            pictures = ops.reshape(mask, (-1, *self.picture))  # (B, C, H, W)
            mask = ops.reshape(ops.transpose(pictures, (0, 2, 3, 1)), (-1, x.shape[-1]))
        return x * ops.cast(mask, x.dtype) * (1 / (1 - self.rate))

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        return {**super().get_config(), "rate": self.rate, "picture": self.picture}


@keras.saving.register_keras_serializable("alexbench")
class Prepare(keras.layers.Layer):
    """(B, 32, 32, 3) uint8 -> (B, S, S, 3), normalised by channel and resized bilinearly.

    Half-pixel centres and no antialiasing, as in every framework here. In float32 even under a
    mixed policy, since bfloat16 has fewer bits than a picture; in float64 for a proof.

    Written as two matrix products, one for the rows and one for the columns: ``ops.image.resize``
    always gives float32 on TensorFlow, rounds the places of the pixels, and is slower on the CPU.
    """

    def __init__(
        self,
        size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.size, self.mean, self.std = size, mean, std

    def build(self, shape: tuple[Any, int, int, int]) -> None:
        """Constants, once: on torch a call is not traced, and would make them anew."""
        _, height, width, channels = shape
        # By whole rows of pixels: three channels are too few for a vector unit.
        normalising = (np.tile(values, width) for values in (self.mean, self.std))
        # (S, H), and (W·C, S·C): every channel of a row of pixels in one product
        resizing = (
            interpolation_matrix(height, self.size),
            np.kron(interpolation_matrix(width, self.size).T, np.eye(channels)),
        )
        self._constants = tuple(
            constant.astype(self.compute_dtype) for constant in (*normalising, *resizing)
        )

    def call(self, images: Any) -> Any:
        """Normalise, then resize."""
        height, width, channels = images.shape[1:]
        resized = (height, width) != (self.size, self.size)
        needed = self._constants if resized else self._constants[:2]
        mean, std, *resizing = (
            ops.convert_to_tensor(constant, dtype=self.compute_dtype) for constant in needed
        )
        x = ops.reshape(images, (-1, height, width * channels))
        x = (ops.cast(x, self.compute_dtype) / 255.0 - mean) / std
        if resized:
            rows, columns = resizing
            x = ops.matmul(rows, ops.matmul(x, columns))  # (B, H, S·C), then (B, S, S·C)
        return ops.reshape(x, (-1, self.size, self.size, channels))

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        return {**super().get_config(), "size": self.size, "mean": self.mean, "std": self.std}


def prepare_for(setup: Setup, dtype: str = "float32") -> keras.layers.Layer:
    """What stands in front of a network: features of a frozen trunk are taken as they are."""
    if setup.architecture.features is not None:
        return keras.layers.Identity(dtype=dtype)
    return Prepare(setup.architecture.input_size, setup.mean, setup.std, dtype=dtype)
