"""The suite's local response normalisation compared with ``torch.nn.LocalResponseNorm``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bench.networks import architecture
from bench.training.interfaces import LayerPair, Setup
from models_torch.layers.lrn import LocalResponseNorm


def create(setup: Setup) -> Iterator[LayerPair]:
    """A pair for each such row of the network, at its shape (B, C, H, W), in float32.

    Inputs are as a ReLU leaves them, in PyTorch's usual memory order. None on accelerators: there
    the suite takes PyTorch's own.
    """
    if setup.device_kind != "cpu":
        return
    generator = torch.Generator().manual_seed(setup.case.seed)
    for step in setup.architecture.steps():
        if not isinstance(step.layer, architecture.LocalResponseNorm):
            continue
        row = step.layer
        shape = (setup.case.batch_size, *step.before)
        constants = (row.size, row.alpha, row.beta, row.k)
        x = torch.randn(shape, generator=generator).relu_().mul_(200).requires_grad_()
        gradient = torch.randn(shape, generator=generator)
        ours = _pass(LocalResponseNorm(*constants), x, gradient)
        theirs = _pass(nn.LocalResponseNorm(*constants), x, gradient)
        yield LayerPair(
            row.name,
            shape,
            "torch.nn.LocalResponseNorm",
            ours,
            theirs,
            lambda ours=ours, theirs=theirs: _difference(ours(), theirs()),  # type: ignore[misc]
        )


def _pass(layer: nn.Module, x: Tensor, gradient: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """Forward and backward of a layer; eager work on the CPU is done when its call returns."""

    def run() -> tuple[Tensor, Tensor]:
        y = layer(x)
        (dx,) = torch.autograd.grad(y, x, gradient)
        return y.detach(), dx

    return run


def _difference(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
