"""Which of the ablation's stages are in force in a PyTorch network, read back from its modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bench.training.defaults import in_all
from models_torch.layers.batch_norm import BiasedBatchNorm
from models_torch.layers.lrn import LocalResponseNorm

_Modules = list[nn.Module]


def in_force(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """By stage of ``bench.training.defaults.STAGES``; a stage that the network has no layer for is
    left out.

    Where PyTorch cannot be asked (the place of Adam's eps, the form of its decay) the class
    decides: ``torch.optim.Adam`` adds ``weight_decay * w`` to the gradient.
    """
    norms = _of(network, nn.BatchNorm1d, nn.BatchNorm2d, BiasedBatchNorm)
    responses = _of(network, LocalResponseNorm)
    weight = next(p for p in network.parameters() if p.ndim == 4)
    chosen = optimizer.defaults
    return {
        **in_all("bn-eps", norms, lambda m: m.eps),
        **in_all("bn-momentum", norms, _old_weight),
        **in_all(
            "bn-variance", norms, lambda m: "n" if isinstance(m, BiasedBatchNorm) else "n - 1"
        ),
        "weight-decay": "decoupled" if chosen["decoupled_weight_decay"] else "L2",
        **in_all("lrn", responses, lambda m: [m.size, m.alpha, m.beta, m.k]),
        "precision": str(weight.dtype).removeprefix("torch."),
        "adam-eps": [chosen["eps"], "after"],
        "fused-update": bool(chosen["fused"]),
    }


def _of(network: nn.Module, *kinds: type[nn.Module]) -> _Modules:
    return [module for module in network.modules() if isinstance(module, kinds)]


def _old_weight(module: Any) -> float:
    """Weight of the old running value, without the digits that 1 - 0.1 loses."""
    new = module.update if isinstance(module, BiasedBatchNorm) else module.momentum
    return round(1 - new, 9)
