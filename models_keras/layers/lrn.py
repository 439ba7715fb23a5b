"""Local response normalisation, which Keras 3 lacks: the stock form and our own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from models_keras.backend import current
from models_keras.constants import Constants


class _Response(keras.layers.Layer):  # type: ignore[misc]
    """The constants of the layer."""

    def __init__(self, size: int, alpha: float, beta: float, k: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def get_config(self) -> dict[str, Any]:
        """For saving."""
        constants = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **constants}


@keras.saving.register_keras_serializable("alexbench")
class StockLocalResponseNorm(_Response):
    """x / (k + alpha / size * sum of x² over ``size`` neighbouring channels) ** beta.

    (B, H, W, C) -> (B, H, W, C), as a user writes it: the backend's own operation where it has one,
    else the formula in ``keras.ops``.
    """

    def call(self, x: Any) -> Any:
        """Same shape as ``x``."""
        own = current().own_lrn(x, self.size, self.alpha, self.beta, self.k)
        if own is not None:
            return own
        channels, below = x.shape[-1], self.size // 2
        padding = [(0, 0), (0, 0), (0, 0), (below, self.size - 1 - below)]
        squares = ops.pad(ops.square(x), padding)
        window = sum(squares[..., i : i + channels] for i in range(self.size))
        return x / ops.power(self.k + self.alpha / self.size * window, self.beta)


@keras.saving.register_keras_serializable("alexbench")
class LocalResponseNorm(_Response):
    """x / (k + alpha / size * sum of x² over ``size`` neighbouring channels) ** beta.

    Krizhevsky et al. 2012, section 3.3, with alpha divided by ``size`` as in Caffe and PyTorch.
    (B, H, W, C) -> (B, H, W, C). The sum over neighbours is a product with a banded (C, C) matrix
    of ones: exact, one call on every backend, and faster than shifted slices.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Lay down the band for this number of channels."""
        channels = np.arange(input_shape[-1] or 0)
        # Channel j counts for channel i when i - size//2 <= j <= i + (size-1)//2: for an even size
        # the window leans to the lower side, as in torch.nn.LocalResponseNorm.
        distance = channels[:, None] - channels[None, :]  # j - i
        window = (distance >= -(self.size // 2)) & (distance <= (self.size - 1) // 2)
        # Computed in float64: float32 constants would be too coarse for a parity check in float64.
        band = window * (self.alpha / self.size)
        self._band = Constants(band if self.compute_dtype == "float64" else band.astype("float32"))

    def call(self, x: Any) -> Any:
        """Same shape as ``x``."""
        (band,) = self._band.like(x)
        denominator = self.k + ops.matmul(ops.square(x), band)
        if self.beta == 0.75:
            # d ** -0.75 from two square roots: several times faster than a general power.
            root = ops.rsqrt(denominator)
            return x * (root * ops.sqrt(root))
        if self.beta == 0.5:
            return x * ops.rsqrt(denominator)
        return x * ops.power(denominator, -self.beta)
