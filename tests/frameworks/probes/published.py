"""torchvision's own AlexNet beside the row that says it is the same (PyTorch only)."""

from __future__ import annotations

from typing import Any

import torch
import torchvision

from bench.core.errors import UserError
from bench.networks.variants import variant
from models_torch.alexnet import build
from models_torch.pretrained import from_torchvision


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
        for closed in (True, False):
            ours = build(variant("torchvision").architecture(), closed=closed).eval()
            ours.load_state_dict(from_torchvision(theirs.state_dict()))
            facts[f"closed={closed}"] = torch.equal(ours(x), expected)
    facts["spread"] = float(expected.std())
    facts["refusals"] = _refusals(theirs.state_dict())
    return facts, {}


def _refusals(state: Any) -> dict[str, str]:
    without = {name: tensor for name, tensor in state.items() if name != "features.6.bias"}
    given = {"missing": without, "extra": {**state, "features.99.weight": torch.zeros(1)}}
    said = {}
    for name, wrong in given.items():
        try:
            from_torchvision(wrong)
        except UserError as error:
            said[name] = str(error)
    return said
