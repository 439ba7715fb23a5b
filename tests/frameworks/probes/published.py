"""torchvision's own AlexNet compared with the row that claims to be the same (PyTorch only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torchvision

from bench.networks.variants import variant
from bench.networks.weight_names import TORCHVISION_NAMES
from models_torch.alexnet import SHARED, STOCK, build


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(weights=None).eval()
    x = torch.randn(2, 3, 224, 224)
    facts: dict[str, Any] = {
        "parameters": sum(p.numel() for p in theirs.parameters()),
        "torchvision_modules": [type(m).__name__ for m in theirs.modules()],
    }
    with torch.inference_mode():
        expected = theirs(x)
        for name, layers in (("shared", SHARED), ("stock", STOCK)):
            ours = build(variant("torchvision").architecture(), layers).eval()
            ours.load_state_dict(_renamed(theirs.state_dict()))
            facts[name] = torch.equal(ours(x), expected)
    facts["spread"] = float(expected.std())
    return facts, {}


def _renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """torchvision's state in the names of the core; the layouts are the same."""
    return {
        f"{ours}.{part}": state[f"{theirs}.{part}"]
        for theirs, ours in TORCHVISION_NAMES.items()
        for part in ("weight", "bias")
    }
