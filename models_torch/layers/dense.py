"""Dense layers for training on a CPU: the arithmetic of ``nn.Linear`` by other kernels."""

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
"""oneDNN's linear operation, which PyTorch's compiler substitutes for a float32 ``nn.Linear``.
Eager ``nn.Linear`` calls the BLAS that PyTorch was built with, MKL; on processors that are not
Intel's, oneDNN takes half to four fifths of its time. Not public: where it is missing,
``nn.Linear`` is used unchanged."""


class _Dense(torch.autograd.Function):
    """x @ w.T + b in ``dtype``, with gradients of the weights in the weights' own type.

    Under autocast, autograd's own gradient of a weight comes out transposed, and the pass that
    converts it to float32 and transposes it reads memory with a large stride. This function
    computes the product in the weight's own layout.
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
