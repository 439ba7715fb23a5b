"""Dense layers and dropout for training on a CPU in bfloat16 autocast.

The arithmetic is ``nn.Linear``'s and ``nn.Dropout``'s; what differs is how the work is laid out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _HalfLinear(torch.autograd.Function):
    """x @ w.T + b in bfloat16, with float32 gradients of the weights.

    Autograd's own gradient of a weight comes out transposed, and the pass that makes it float32
    and turns it round runs against the grain of memory: for 4096 by 4096 weights it takes longer
    than the three matrix products together. This one asks for the product the right way round.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, I), (O, I), (O,) -> (B, O) bfloat16."""
        x, half = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x, half)
        return F.linear(x, half, bias.to(torch.bfloat16))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of input, weight and bias; those of the weights are float32."""
        (gradient,) = given
        x, half = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            gradient @ half if wanted[0] else None,
            (gradient.t() @ x).float() if wanted[1] else None,
            gradient.sum(0, dtype=torch.float32) if wanted[2] else None,
        )


class Linear(nn.Linear):
    """``nn.Linear`` with :class:`_HalfLinear` where autocast would work in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, I) -> (B, O)."""
        if torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
            y: Tensor = _HalfLinear.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return y
        return super().forward(x)


class Dropout(nn.Dropout):
    """``nn.Dropout`` whose mask is a comparison of uniform numbers.

    ``nn.Dropout`` draws Bernoulli numbers one after another, four times as slowly.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type."""
        if not self.training:
            return x
        kept = torch.rand(x.shape) >= self.p
        return x * (kept.to(x.dtype) * (1 / (1 - self.p)))
