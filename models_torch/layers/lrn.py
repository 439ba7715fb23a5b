"""Local response normalisation for the CPU: exact, with a backward pass of its own.

``nn.LocalResponseNorm`` pools squares in three dimensions and saves five tensors of the size of its
input for autograd. On a CPU such tensors do not fit into the cache, and moving them is nearly all
of the time. Here the images are processed in groups whose buffers fit into the cache, and only the
input is saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class LocalResponseNorm(nn.Module):
    """x / (k + alpha / size * sum of x² over ``size`` neighbouring channels) ** beta.

    The same result as ``torch.nn.LocalResponseNorm`` with the same constants. Sums and powers are
    taken in float32 at least, also where autocast made x bfloat16.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if torch.compiler.is_compiling():
            return self._by_slices(x)
        if x.device.type != "cpu" or x.ndim != 4:
            # Launching kernels group by group would only cost time there. The square of a float16
            # above 255 is infinite.
            wide = x if x.dtype == torch.float64 else x.float()
            constants = (self.size, self.alpha, self.beta, self.k)
            return nn.functional.local_response_norm(wide, *constants).to(x.dtype)
        y: Tensor = _GroupByGroup.apply(x, (self.size, self.alpha, self.beta, self.k))  # type: ignore[no-untyped-call]
        return y

    def _by_slices(self, x: Tensor) -> Tensor:
        """The formula, which a compiler makes one kernel of; nothing is done group by group."""
        wide = x if x.dtype == torch.float64 else x.float()
        channels, before = x.shape[1], self.size // 2
        # Zeros before and after stand for the channels outside of the range.
        after = self.size - 1 - before
        squares = nn.functional.pad(wide * wide, (0, 0) * (x.ndim - 2) + (before, after))
        window = squares.narrow(1, 0, channels)
        for shift in range(1, self.size):
            window = window + squares.narrow(1, shift, channels)
        return (wide * (self.k + self.alpha / self.size * window) ** -self.beta).to(x.dtype)

    def extra_repr(self) -> str:
        """The constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


_GROUP = 300_000
"""Elements of a group: its buffers fit into the cache, and a call's overhead is small."""


class _Buffers:
    """Memory for a group of images, and the sums over neighbouring channels in it."""

    def __init__(self, group: Tensor, size: int) -> None:
        images, channels, height, width = group.shape
        self.size = size
        wide = group.dtype if group.dtype == torch.float64 else torch.float32
        # Zeros before and after stand for the channels outside of the range. The memory order is
        # that of the images, so that no operation has to transpose.
        self._padded = _like(group, (images, channels + 2 * size, height, width), wide).zero_()
        self.values = self._padded.narrow(1, size, channels)
        self.denominator = _like(group, (images, channels, height, width), wide)
        self.power = torch.empty_like(self.denominator)
        self.x = torch.empty_like(self.denominator)
        self.spare = torch.empty_like(self.denominator)
        self.channels = channels

    def window(self, first: int, out: Tensor) -> None:
        """Sum ``values`` over channels c + first … c + first + size - 1 into ``out``."""
        start = self.size + first
        out.copy_(self._padded.narrow(1, start, self.channels))
        for shift in range(1, self.size):
            out.add_(self._padded.narrow(1, start + shift, self.channels))


def _like(group: Tensor, shape: tuple[int, int, int, int], dtype: torch.dtype) -> Tensor:
    """An empty tensor whose memory order is that of ``group``: NCHW, or NHWC."""
    images, channels, height, width = shape
    if group.stride(1) == 1 and group.shape[1] > 1:
        return torch.empty((images, height, width, channels), dtype=dtype).permute(0, 3, 1, 2)
    return torch.empty(shape, dtype=dtype)


def _groups(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same group of images of each."""
    first = tensors[0]
    images = max(1, _GROUP // max(first[0].numel(), 1))
    yield from zip(*(tensor.split(images) for tensor in tensors), strict=True)


class _GroupByGroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, constants: tuple[int, float, float, float]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.constants = constants
        y = torch.empty_like(x)
        if not x.numel():
            return y
        buffers = None
        for group, out in _groups(x, y):
            buffers = _for(group, constants[0], buffers)
            _denominator(group, buffers, constants)
            torch.mul(buffers.x, buffers.power, out=buffers.denominator)
            out.copy_(buffers.denominator)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """dx = dy · d^-beta - 2·alpha·beta/size · x · (sum of dy · x · d^(-beta - 1)).

        The sum is over the channels whose windows contain this one: the window mirrored.
        """
        (x,), (gradient,) = ctx.saved_tensors, gradients
        size, alpha, beta, _ = ctx.constants
        dx = torch.empty_like(x)
        if not x.numel():
            return dx, None
        # In x's memory order and type: the incoming gradient may have others.
        alike = gradient.stride() == x.stride() and gradient.dtype == x.dtype
        dy = gradient if alike else torch.empty_like(x).copy_(gradient)
        buffers = None
        for group, given, out in _groups(x, dy, dx):
            buffers = _for(group, size, buffers)
            _denominator(group, buffers, ctx.constants)
            direct = buffers.power.mul_(given)  # dy · d^-beta
            torch.mul(direct, buffers.x, out=buffers.values)
            buffers.values.div_(buffers.denominator)
            buffers.window(size // 2 - size + 1, buffers.denominator)
            buffers.denominator.mul_(buffers.x)
            out.copy_(direct.add_(buffers.denominator, alpha=-2 * alpha * beta / size))
        return dx, None


def _for(group: Tensor, size: int, buffers: _Buffers | None) -> _Buffers:
    """The previous group's buffers, unless this one, the last, is smaller."""
    if buffers is not None and len(buffers.x) == len(group):
        return buffers
    return _Buffers(group, size)


def _denominator(
    group: Tensor, buffers: _Buffers, constants: tuple[int, float, float, float]
) -> None:
    """Leave x, d = k + alpha / size * window of x², and d ** -beta in the buffers."""
    size, alpha, beta, k = constants
    buffers.x.copy_(group)
    torch.mul(buffers.x, buffers.x, out=buffers.values)
    buffers.window(-(size // 2), buffers.denominator)
    buffers.denominator.mul_(alpha / size).add_(k)
    if beta == 0.75:
        # From two square roots: several times faster than a general power.
        torch.rsqrt(buffers.denominator, out=buffers.power)
        torch.sqrt(buffers.power, out=buffers.spare)
        buffers.power.mul_(buffers.spare)
    else:
        torch.pow(buffers.denominator, -beta, out=buffers.power)
