"""The pieces of ``probes.ablation`` in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, SequentialSampler

from bench.training.recipes.base import Recipe
from models_torch.optimizer import optimizer_for


def optimizer_steps(recipe: Recipe, shared: frozenset[str], start: Any, gradients: Any) -> Any:
    """(steps, n) weights."""
    weight = nn.Parameter(torch.tensor(start))
    optimizer = optimizer_for([(1.0, weight)], recipe, fused="fused-update" in shared)
    found = []
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        found.append(weight.detach().numpy().copy())
    return np.stack(found)


def own_defaults() -> dict[str, Any]:
    """What PyTorch does when nothing is set."""
    norm, response = nn.BatchNorm1d(1).train(), nn.LocalResponseNorm(5)
    norm(torch.tensor([[0.0], [2.0]]))  # variance 1 over n, 2 over n - 1
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    loader = DataLoader([0, 1])
    assert norm.momentum is not None
    dense = nn.Linear(10_000, 64)
    return {
        "bn-eps": norm.eps,
        "bn-momentum": 1 - norm.momentum,
        "bn-variance": (float(norm.running_var) - 0.9) / norm.momentum,
        "lrn": [response.alpha, response.beta, response.k],
        "shuffle": not isinstance(loader.sampler, SequentialSampler),
        "layout": "NCHW" if nn.Conv2d(3, 4, 3).weight.is_contiguous() else "NHWC",
        "precision": str(dense.weight.dtype).removeprefix("torch."),
        "adam-eps": adam.defaults["eps"],
        "weight-decay": "decoupled" if adam.defaults["decoupled_weight_decay"] else "L2",
        "fused-update": bool(adam.defaults["fused"] or adam.defaults["foreach"]),
        "initialisation": [float(dense.weight.abs().max()), float(dense.bias.abs().max())],
    }
