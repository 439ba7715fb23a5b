"""The optimiser of a recipe: PyTorch's arithmetic defines the closed track's."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from bench.training.recipes.base import Recipe


def optimizer_for(
    parameters: Iterable[tuple[float, torch.nn.Parameter]],
    recipe: Recipe,
    *,
    fused: bool = True,
    scaled: bool = False,
) -> torch.optim.Optimizer:
    """SGD or Adam with L2 weight decay in the gradient.

    Every parameter comes with its fraction of the learning rate; see :func:`set_rate`.

    Fused: one pass over the weights instead of one per operation, which on a CPU takes a sixth of
    the time for the 25 to 61 million weights of these networks. Without ``fused``, PyTorch's
    default: on a CPU a loop over weights and operations.

    ``scaled``: a scaler of the loss may leave the first step out. The fused kernel then writes
    nothing into the momentum that it made for it, which has any value: here it begins at 0.
    """
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for fraction, parameter in parameters:
        groups.setdefault(fraction, []).append(parameter)
    rows = [{"params": found, "fraction": fraction} for fraction, found in groups.items()]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(
            rows,
            lr=recipe.learning_rate,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
            fused=fused or None,
        )
    sgd = torch.optim.SGD(
        rows,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        fused=fused or None,
    )
    if scaled and recipe.momentum:
        for parameter in (p for found in groups.values() for p in found):
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, for every parameter its fraction of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["fraction"]
