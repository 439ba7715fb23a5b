"""A convolution as a matrix product of patches, where the compiler's own is slow.

XLA on the CPU hands a convolution to a fast kernel unless its window is larger than the picture: a
5×5 one on a 4×4 map is then fifteen times slower than the same product of patches, and
the last layers of a CIFAR network are just that (``docs/performance.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bench import spec

SLOW_ON_SMALL_MAPS = ("jax",)
"""Backends that hand their convolutions to XLA, on the CPU."""


class PatchConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """``Conv2D`` of one group at stride 1, with the same weights: (B, H, W, C) -> (B, H, W, F)."""

    def call(self, inputs: Any) -> Any:
        """The k·k shifted pictures side by side, times the kernel as a matrix."""
        (height, width), (rows, columns) = inputs.shape[1:3], self.kernel_size
        padding = [((size - 1) // 2, size // 2) for size in (rows, columns)]
        padded = ops.pad(inputs, [(0, 0), *padding, (0, 0)])
        shifted = [
            padded[:, row : row + height, column : column + width]
            for row in range(rows)
            for column in range(columns)
        ]
        patches = ops.concatenate(shifted, axis=-1)  # (B, H, W, k·k·C)
        kernel = ops.reshape(self.kernel, (-1, self.filters))
        return ops.matmul(patches, kernel) + self.bias


def convolution(row: spec.Conv, shape: spec.Shape, *, tuned: bool) -> Callable[..., Any]:
    """The class for a row on an input of ``shape`` (C, H, W): Keras's own, unless ``tuned`` and
    the backend would be slow at it."""
    same = row.stride == 1 and row.groups == 1 and row.padding == (row.kernel // 2,) * 2
    larger = row.kernel > min(shape[1:])
    slow = keras.backend.backend() in SLOW_ON_SMALL_MAPS
    return PatchConv2D if tuned and slow and larger and same else keras.layers.Conv2D
