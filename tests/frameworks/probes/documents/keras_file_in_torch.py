"""A Keras model's file as a PyTorch model: the document's weights in the other framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models_torch import AlexNet
from tests.frameworks.probes import documents


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (place,) = sorted(documents.folder().glob("keras-tensorflow.keras"))
    model = AlexNet("cifar-bn", weights=place).eval()
    images = np.random.default_rng(7).random((4, 32, 32, 3), np.float32).transpose(0, 3, 1, 2)
    with torch.no_grad():
        shares = model(torch.from_numpy(np.ascontiguousarray(images))).softmax(dim=1)
    return {"eps": model.get_layer("conv1_bn").eps}, {"shares": shares.numpy()}
