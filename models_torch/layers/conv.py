"""Convolutions on maps so small that every window reaches over all of the map.

A 3×3 window on a 2×2 map, padded by 1, sees the same four places from everywhere; most of what the
convolution multiplies is padding. It is a dense layer from all places to all places, whose weights
are the kernel's taps, each at several places: for 3×3 on 2×2, 16 blocks in place of 4 · 9. On a CPU
that matrix product takes a quarter (bfloat16) to three fifths of the convolution's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class SmallMapConv2d(nn.Conv2d):
    """``nn.Conv2d`` for rows of which :meth:`bench.networks.architecture.Conv.sees_all` is true, in
    training.

    In evaluation it is the convolution: spreading the kernel takes longer than a few images.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H, W)."""
        possible = x.device.type == "cpu" and self.bias is not None
        if not (possible and self.training and torch.is_grad_enabled()):
            return super().forward(x)
        half = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if half else x.dtype
        y: Tensor = _SmallMapConv.apply(x, self.weight, self.bias, dtype)  # type: ignore[no-untyped-call]
        return y


class _SmallMapConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, I, H, W), (O, I, K, K), (O,) -> (B, O, H, W) of ``dtype``, channels last."""
        batch, inputs, height, width = x.shape
        places, outputs = height * width, len(kernel)
        weights = torch.empty((height, width, outputs, height, width, inputs), dtype=dtype)
        for at, taps in _places(height, width, kernel.shape[2]):
            weights[at].copy_(kernel[taps].permute(0, 2, 3, 1))
        matrix = weights.view(places * outputs, places * inputs)
        rows = _rows(x.to(dtype))
        ctx.save_for_backward(rows, matrix)
        ctx.kernel = kernel
        # Not a view of what is computed: a ReLU in place may not follow one.
        shape = (batch, outputs, height, width)
        y = torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
        flat = y.permute(0, 2, 3, 1).view(batch, places * outputs)
        torch.mm(rows, matrix.t(), out=flat)
        flat.view(-1, outputs).add_(bias.to(dtype))
        return y

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, kernel and bias; those of the weights have the weights' type."""
        (gradient,) = given
        rows, matrix = ctx.saved_tensors
        outputs, inputs, *_ = ctx.kernel.shape
        batch, _, height, width = gradient.shape
        dy = _rows(gradient)
        wanted = ctx.needs_input_grad
        dx = dkernel = dbias = None
        if wanted[0]:
            dx = (dy @ matrix).view(batch, height, width, inputs).permute(0, 3, 1, 2)
        if wanted[1]:
            products = (dy.t() @ rows).view(height, width, outputs, height, width, inputs)
            dkernel = torch.zeros_like(ctx.kernel)
            for at, taps in _places(height, width, ctx.kernel.shape[2]):
                dkernel[taps].add_(products[at].permute(0, 3, 1, 2))
        if wanted[2]:
            dbias = dy.view(-1, outputs).sum(0, dtype=ctx.kernel.dtype)
        return dx, dkernel, dbias, None


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W·C), which for channels-last memory moves nothing."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1)


def _places(height: int, width: int, size: int) -> Iterator[tuple[Any, Any]]:
    """Every place of the result, and the taps of the kernel that meet the map from there."""
    reach = (size - 1) // 2
    for y in range(height):
        for x in range(width):
            down, right = reach - y, reach - x
            taps = (..., slice(down, down + height), slice(right, right + width))
            yield (y, x), taps
