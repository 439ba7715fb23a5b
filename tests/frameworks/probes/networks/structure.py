"""What each framework builds from the synthetic network's rows: parameters, shape after a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.networks.architecture import Architecture
from tests.frameworks.support.networks import TINY
from tests.frameworks.support.trainers import undrawn_weights


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return described(framework, {TINY.name: TINY}), {}


def described(framework: str, networks: Mapping[str, Architecture]) -> dict[str, Any]:
    """Parameters and shapes of networks by name."""
    describe = _in_torch if framework == "pytorch" else _in_keras
    return {name: describe(architecture) for name, architecture in networks.items()}


def _in_torch(architecture: Architecture) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    from models_torch.alexnet import build  # noqa: PLC0415

    shapes: dict[str, list[int]] = {}
    with torch.device("meta"):  # shapes without memory or arithmetic
        network = build(architecture).eval()
        for name, module in network.named_children():
            module.register_forward_hook(
                lambda _, __, out, name=name: shapes.update({name: list(out.shape[1:])})
            )
        network(torch.zeros(2, 3, architecture.input_size, architecture.input_size))
    return {
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "shapes": shapes,
    }


def _in_keras(architecture: Architecture) -> dict[str, Any]:
    from models_keras.alexnet import build  # noqa: PLC0415

    with undrawn_weights():
        model = build(architecture)
    shapes = {}
    for layer in model.layers:
        shape = layer.output.shape[1:]
        # (H, W, C) -> (C, H, W)
        shapes[layer.name] = [shape[2], *shape[:2]] if len(shape) == 3 else list(shape)
    return {
        "parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        "shapes": shapes,
    }
