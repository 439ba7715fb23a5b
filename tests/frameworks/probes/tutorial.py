"""The torchvision tutorial as it stands there: its own transforms, network, softmax and top five.

Nothing of alexbench in it (PyTorch only). The weights are freshly drawn, and larger than
torchvision draws them, whose thousand probabilities are all the same to four digits.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.models import AlexNet_Weights, alexnet
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from tests.frameworks.support import photos

PRESETS = {
    "own": {"crop_size": 224},
    "padded": {"crop_size": 227, "resize_size": 100},
    "small": {"crop_size": 32, "resize_size": 33},
    "bicubic": {"crop_size": 224, "interpolation": InterpolationMode.BICUBIC},
}


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = Path(os.environ["PROBES"])
    paths = photos.write(folder)
    network = _fresh().eval()
    torch.save(network.state_dict(), folder / "weights.pth")
    given = AlexNet_Weights.IMAGENET1K_V1
    categories = given.meta["categories"]
    arrays, predictions, features = {}, [], []
    for path in paths:
        with Image.open(path) as image:
            for name, preset in PRESETS.items():
                arrays[f"{name}/{path.name}"] = ImageClassification(**preset)(image).numpy()
            x = given.transforms()(image).unsqueeze(0)
        with torch.inference_mode():
            best, classes = network(x).squeeze(0).softmax(0).topk(5)
            features.append(network.classifier[:6](network.avgpool(network.features(x)).flatten(1)))
        found = zip(classes.tolist(), best.tolist(), strict=True)
        predictions.append([(categories[c], c, p) for c, p in found])
    arrays["features"] = torch.cat(features).numpy()
    return {
        "paths": [str(path) for path in paths],
        "weights": str(folder / "weights.pth"),
        "predictions": predictions,
    }, arrays


def _fresh() -> torch.nn.Module:
    torch.manual_seed(0)
    network = alexnet(weights=None)
    for weight in network.parameters():
        if weight.ndim > 1:
            torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return network
