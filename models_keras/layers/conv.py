"""Convolutions written another way where a backend's own are slow on the CPU.

XLA on the CPU hands a convolution to a fast kernel unless its window is larger than the picture: a
5×5 one on a 4×4 map is then fifteen times slower than the same product of patches, and
the last layers of a CIFAR network are just that. Convolutions in groups are slow as well, and a
convolution for each group is not. And where every window reaches over all of the map, a 3×3 one on
2×2 say, a convolution multiplies mostly padding; it is a dense layer from all places to all places
(``docs/performance.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bench.networks import architecture

SLOW_ON_SMALL_MAPS = ("jax",)
"""Backends that hand their convolutions to XLA, on the CPU."""

SLOW_IN_GROUPS = ("tensorflow", "jax")
"""Backends whose convolution in groups is slower than one convolution for each group."""


FASTER_AS_DENSE = ("jax", "torch")
"""Backends whose matrix products outrun their convolutions where every window sees all; on
TensorFlow these take as long as each other."""


class SplitConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """``Conv2D`` in groups, one convolution for each, with the same weights."""

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C) -> (B, H', W', F)."""
        pictures = ops.split(inputs, self.groups, axis=-1)
        kernels = ops.split(self.kernel, self.groups, axis=-1)
        maps = [
            ops.conv(part, kernel, strides=list(self.strides), padding=self.padding)
            for part, kernel in zip(pictures, kernels, strict=True)
        ]
        return ops.concatenate(maps, axis=-1) + self.bias


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

    In evaluation it is the convolution: to lay out the kernel takes longer than a few pictures.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(B, H, W, C) -> (B, H, W, F)."""
        return _as_dense(self, inputs) if training else super().call(inputs)


class DensePatchConv2D(PatchConv2D):
    """The same, but a product of patches in evaluation."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(B, H, W, C) -> (B, H, W, F)."""
        return _as_dense(self, inputs) if training else super().call(inputs)


def convolution(
    row: architecture.Conv, shape: architecture.Shape, *, tuned: bool
) -> Callable[..., Any]:
    """The class for a row on an input of ``shape`` (C, H, W): Keras's own, unless ``tuned`` and
    the backend would be slow at it."""
    backend = keras.backend.backend()
    if not tuned:
        return keras.layers.Conv2D
    if row.groups > 1 and backend in SLOW_IN_GROUPS:
        return SplitConv2D
    slow = backend in SLOW_ON_SMALL_MAPS
    if row.sees_all(shape) and backend in FASTER_AS_DENSE:
        return DensePatchConv2D if slow else DenseConv2D
    same = row.stride == 1 and row.groups == 1 and row.padding == (row.kernel // 2,) * 2
    larger = row.kernel > min(shape[1:])
    return PatchConv2D if same and larger and slow else keras.layers.Conv2D
