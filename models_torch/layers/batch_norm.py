"""Batch normalisation with the running variance that every framework can compute."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BiasedBatchNorm(nn.Module):
    """Batch normalisation whose running variance divides by n, as Keras's does.

    PyTorch's own divides by n - 1: 3 % more at 32 values, so that evaluation logits could not
    agree. Works on (B, C) and (B, C, H, W).
    """

    def __init__(self, channels: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps = eps
        self.update = 1 - momentum

    def forward(self, x: Tensor) -> Tensor:
        """Same shape; updates the running moments in training mode."""
        if not self.training:
            return self._normalise(x, self.running_var)
        # F.batch_norm adds update * var * n / (n - 1) to a copy, since autograd saves its inputs;
        # the factor is removed when the copy is written to the buffer.
        n = x.numel() // x.shape[1]
        moved = self.running_var.clone()
        y = self._normalise(x, moved)
        remaining = self.running_var * (1 - self.update)
        self.running_var.copy_(remaining + (moved - remaining) * ((n - 1) / n))
        return y

    def _normalise(self, x: Tensor, variance: Tensor) -> Tensor:
        moments = (self.running_mean, variance)
        scale = (self.weight, self.bias)
        return F.batch_norm(x, *moments, *scale, self.training, self.update, self.eps)
