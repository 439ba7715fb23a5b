"""The layers in float64 numpy, forward and backward, straight from their definitions.

This is the reference of the parity certificate, independent of every framework. It shares
nothing with the implementations that are compared with it but the rows of
:mod:`bench.networks.architecture`, and it is written to be read; only the update of the weights
(:mod:`bench.parity.reference_training`) has to be fast.

Every layer is a function of its input that returns its output and a function from the gradient of
the output to (gradient of the input, gradients of the weights by their short names). Images are
(B, C, H, W), features (B, F), all float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.networks import architecture

Array = NDArray[np.float64]
WeightGradients = dict[str, Array]
"""Gradients of a layer's weights by their short names."""
Backward = Callable[[Array], tuple[Array, WeightGradients]]


@dataclass
class Context:
    """The state that a layer needs in addition to its input."""

    weights: Mapping[str, Array]
    """Of this layer, by short name: ``weight``, ``bias``, ``running_mean``, ``running_var``."""
    training: bool = False
    mask: NDArray[np.bool_] | None = None
    """Of a dropout layer in training, (B, *features)."""
    moments: dict[str, Array] = field(default_factory=dict)
    """New running moments of a BatchNorm in training: filled by the layer."""


@singledispatch
def apply(layer: architecture.Layer, x: Array, context: Context) -> tuple[Array, Backward]:
    """Output and backward function of one layer."""
    raise NotImplementedError(f"no reference for {type(layer).__name__}")


@apply.register
def _conv(layer: architecture.Conv, x: Array, context: Context) -> tuple[Array, Backward]:
    weight, stride, groups = context.weights["weight"], layer.stride, layer.groups
    before, after = layer.padding
    padded = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
    windows = sliding_window_view(padded, (layer.kernel, layer.kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]  # (B, C, OH, OW, K, K)
    count, _, height, width = windows.shape[:4]
    # One matrix per group: (B·OH·OW, C/groups·K·K) times (filters/groups, C/groups·K·K).
    columns = [
        np.ascontiguousarray(part.transpose(0, 2, 3, 1, 4, 5)).reshape(count * height * width, -1)
        for part in np.split(windows, groups, axis=1)
    ]
    kernels = [part.reshape(len(part), -1) for part in np.split(weight, groups)]
    y = np.concatenate([c @ k.T for c, k in zip(columns, kernels, strict=True)], axis=1)
    y = (y + context.weights["bias"]).reshape(count, height, width, -1).transpose(0, 3, 1, 2)

    def backward(dy: Array) -> tuple[Array, WeightGradients]:
        flat = dy.transpose(0, 2, 3, 1).reshape(count * height * width, -1)
        parts = np.split(flat, groups, axis=1)
        d_kernels = [d.T @ c for d, c in zip(parts, columns, strict=True)]
        d_padded = np.zeros_like(padded)
        d_columns = [d @ k for d, k in zip(parts, kernels, strict=True)]
        per_group = padded.shape[1] // groups
        for group, columns_of in enumerate(d_columns):
            spread = columns_of.reshape(count, height, width, per_group, layer.kernel, layer.kernel)
            channels = slice(group * per_group, (group + 1) * per_group)
            for i in range(layer.kernel):
                for j in range(layer.kernel):
                    rows = slice(i, i + stride * (height - 1) + 1, stride)
                    cells = slice(j, j + stride * (width - 1) + 1, stride)
                    d_padded[:, channels, rows, cells] += spread[..., i, j].transpose(0, 3, 1, 2)
        d_x = d_padded[:, :, before : before + x.shape[2], before : before + x.shape[3]]
        return d_x, {
            "weight": np.concatenate(d_kernels).reshape(weight.shape),
            "bias": flat.sum(axis=0),
        }

    return y, backward


@apply.register
def _batch_norm(
    layer: architecture.BatchNorm, x: Array, context: Context
) -> tuple[Array, Backward]:
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    n = x.size // x.shape[1]
    mean, variance = context.weights["running_mean"], context.weights["running_var"]
    if context.training:
        old_mean, old_variance = mean, variance
        mean, variance = x.mean(axis=axes), x.var(axis=axes)
        correction = n / (n - 1) if layer.unbiased else 1.0
        old, new = layer.momentum, 1 - layer.momentum
        context.moments["running_mean"] = old * old_mean + new * mean
        context.moments["running_var"] = old * old_variance + new * variance * correction
    inverse = (1 / np.sqrt(variance + layer.eps)).reshape(shape)
    normal = (x - mean.reshape(shape)) * inverse
    scale = context.weights["weight"].reshape(shape)
    y = normal * scale + context.weights["bias"].reshape(shape)

    def backward(dy: Array) -> tuple[Array, WeightGradients]:
        # Ioffe & Szegedy 2015, section 3, with the gradients through mean and variance gathered.
        d_normal = dy * scale
        mean_d = d_normal.mean(axis=axes, keepdims=True)
        mean_dn = (d_normal * normal).mean(axis=axes, keepdims=True)
        d_x = (d_normal - mean_d - normal * mean_dn) * inverse
        return d_x, {"weight": (dy * normal).sum(axis=axes), "bias": dy.sum(axis=axes)}

    return y, backward


@apply.register
def _lrn(
    layer: architecture.LocalResponseNorm, x: Array, context: Context
) -> tuple[Array, Backward]:
    lower, upper = layer.size // 2, (layer.size - 1) // 2
    denominator = layer.k + layer.alpha / layer.size * _window_sum(np.square(x), lower, upper)
    y = x * denominator**-layer.beta

    def backward(dy: Array) -> tuple[Array, WeightGradients]:
        # Channel i is in the sums of the channels whose windows reach it: the window mirrored.
        inner = _window_sum(dy * y / denominator, upper, lower)
        d_x = dy * denominator**-layer.beta
        return d_x - 2 * layer.alpha * layer.beta / layer.size * x * inner, {}

    return y, backward


def _window_sum(x: Array, lower: int, upper: int) -> Array:
    """Sum over the channels from ``lower`` below to ``upper`` above each."""
    padded = np.pad(x, ((0, 0), (lower, upper), *((0, 0) for _ in x.shape[2:])))
    channels = x.shape[1]
    total = np.zeros_like(x)
    for shift in range(lower + upper + 1):
        total += padded[:, shift : shift + channels]
    return total


@apply.register
def _relu(layer: architecture.ReLU, x: Array, context: Context) -> tuple[Array, Backward]:
    positive = x > 0
    return x * positive, lambda dy: (dy * positive, {})


@apply.register
def _max_pool(layer: architecture.MaxPool, x: Array, context: Context) -> tuple[Array, Backward]:
    size, stride = layer.size, layer.stride
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    flat = windows.reshape(*windows.shape[:4], size * size)
    where = flat.argmax(axis=-1)  # the first of equal maxima, in the order of rows
    y = np.take_along_axis(flat, where[..., None], axis=-1)[..., 0]

    def backward(dy: Array) -> tuple[Array, WeightGradients]:
        d_x = np.zeros_like(x)
        b, c, i, j = np.indices(where.shape)
        np.add.at(d_x, (b, c, i * stride + where // size, j * stride + where % size), dy)
        return d_x, {}

    return y, backward


@apply.register
def _flatten(layer: architecture.Flatten, x: Array, context: Context) -> tuple[Array, Backward]:
    return x.reshape(len(x), -1), lambda dy: (dy.reshape(x.shape), {})


@apply.register
def _dropout(layer: architecture.Dropout, x: Array, context: Context) -> tuple[Array, Backward]:
    if not context.training or context.mask is None:
        return x, lambda dy: (dy, {})
    factor = context.mask / (1 - layer.rate)
    return x * factor, lambda dy: (dy * factor, {})


@apply.register
def _dense(layer: architecture.Dense, x: Array, context: Context) -> tuple[Array, Backward]:
    weight = context.weights["weight"]
    y = x @ weight.T + context.weights["bias"]
    return y, lambda dy: (dy @ weight, {"weight": dy.T @ x, "bias": dy.sum(axis=0)})
