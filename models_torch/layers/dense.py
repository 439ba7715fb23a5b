"""Dense layers and dropout for training on a CPU.

The arithmetic is ``nn.Linear``'s and ``nn.Dropout``'s; what differs is who does it, and how.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_ONEDNN = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()
    else None
)
"""What PyTorch's compiler puts in the place of a float32 ``nn.Linear``, which by itself goes to the
BLAS that PyTorch was built with. That is MKL, and on processors that are not Intel's oneDNN takes
half to four fifths of its time. Not public: without it, ``nn.Linear`` stays what it is."""


class _Dense(torch.autograd.Function):
    """x @ w.T + b in ``dtype``, with gradients of the weights in the weights' own type.

    Under autocast, autograd's own gradient of a weight comes out transposed, and the pass that
    makes it float32 and turns it round runs against the grain of memory. This one asks for the
    product the right way round.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, I), (O, I), (O,) -> (B, O) of ``dtype``."""
        ctx.types = x.dtype, weight.dtype
        x, weight = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, weight and bias."""
        (gradient,) = given
        x, weight = ctx.saved_tensors
        of_input, of_weight = ctx.types
        wanted = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()).to(of_input) if wanted[0] else None,
            _product(gradient.t(), x.t()).to(of_weight) if wanted[1] else None,
            gradient.sum(0, dtype=of_weight) if wanted[2] else None,
            None,
        )


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a @ b.T + bias."""
    if a.dtype == torch.float32 and _ONEDNN is not None:
        product: Tensor = _ONEDNN(a, b, bias, "none", [], "")
        return product
    return F.linear(a, b, bias)


class Linear(nn.Linear):
    """``nn.Linear`` by :class:`_Dense` where that is faster: in training, in float32 and under
    autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, I) -> (B, O)."""
        half = torch.is_autocast_enabled("cpu")
        faster = half or (x.dtype == torch.float32 and _ONEDNN is not None)
        possible = x.device.type == "cpu" and self.bias is not None
        if not (faster and possible and torch.is_grad_enabled()):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if half else x.dtype
        y: Tensor = _Dense.apply(x, self.weight, self.bias, dtype)  # type: ignore[no-untyped-call]
        return y


class Dropout(nn.Dropout):
    """``nn.Dropout`` whose mask is a comparison of uniform numbers.

    ``nn.Dropout`` draws Bernoulli numbers one after another, four times as slowly.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type."""
        if not self.training or self.p == 1:
            return super().forward(x)
        kept = torch.rand(x.shape, device=x.device) >= self.p
        return x * (kept.to(x.dtype) * (1 / (1 - self.p)))
