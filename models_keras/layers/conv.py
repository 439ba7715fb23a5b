"""Convolutions rewritten where a backend's own are slow on the CPU.

XLA on the CPU uses a fast kernel for a convolution unless its window is larger than the map: 5×5 on
4×4 is then fifteen times slower than the same product of patches, and the last layers of a CIFAR
network are such. Convolutions in groups are slow as well, and one convolution for each group is
not. Where every window reaches over all of the map, such as 3×3 on 2×2, a convolution multiplies
mostly padding; it equals a dense layer from all positions to all positions
(``docs/performance.md``). Which of these hold for a backend is its ``CONVOLUTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bench.networks import architecture
from models_keras.backend import current


class SplitConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """``Conv2D`` in groups, one convolution for each, with the same weights."""

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C) -> (B, H', W', F)."""
        parts = ops.split(inputs, self.groups, axis=-1)
        kernels = ops.split(self.kernel, self.groups, axis=-1)
        maps = [
            ops.conv(part, kernel, strides=list(self.strides), padding=self.padding)
            for part, kernel in zip(parts, kernels, strict=True)
        ]
        return ops.concatenate(maps, axis=-1) + self.bias


class PatchConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """``Conv2D`` of one group at stride 1, with the same weights: (B, H, W, C) -> (B, H, W, F)."""

    def call(self, inputs: Any) -> Any:
        """The k·k shifted maps, concatenated, times the kernel as a matrix."""
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


def _as_dense(layer: Any, inputs: Any) -> Any:
    """(B, H, W, I) -> (B, H, W, O), by one product: the kernel's taps each at several places."""
    _, height, width, channels = inputs.shape
    places, reach = height * width, (layer.kernel_size[0] - 1) // 2
    columns = []
    for y in range(height):
        for x in range(width):
            down, right = reach - y, reach - x
            taps = layer.kernel[down : down + height, right : right + width]
            columns.append(ops.reshape(taps, (places * channels, layer.filters)))
    rows = ops.reshape(inputs, (-1, places * channels))
    maps = ops.matmul(rows, ops.concatenate(columns, axis=1))
    return ops.reshape(maps, (-1, height, width, layer.filters)) + layer.bias


class DenseConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """``Conv2D`` of a row that sees all of its map, with the same weights, in training.

    In evaluation it is the convolution: laying out the kernel takes longer than a few images.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(B, H, W, C) -> (B, H, W, F)."""
        return _as_dense(self, inputs) if training else super().call(inputs)


class DensePatchConv2D(DenseConv2D, PatchConv2D):
    """The same, but a product of patches in evaluation."""


def convolution(row: architecture.Conv, shape: architecture.Shape) -> Callable[..., Any]:
    """The class for a row on an input of ``shape`` (C, H, W): Keras's own, unless the backend is
    slow at it."""
    traits = current().CONVOLUTIONS
    if row.groups > 1 and traits.slow_in_groups:
        return SplitConv2D
    slow = traits.slow_on_small_maps
    if row.sees_all(shape) and traits.faster_as_dense:
        return DensePatchConv2D if slow else DenseConv2D
    same = row.stride == 1 and row.groups == 1 and row.padding == (row.kernel // 2,) * 2
    larger = row.kernel > min(shape[1:])
    return PatchConv2D if same and larger and slow else keras.layers.Conv2D
