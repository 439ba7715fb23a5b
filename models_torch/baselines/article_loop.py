"""The training loop of the transfer-learning article, as its readers copy it.

It is compared with the suite's own loop, so it does what the article does, also where that is slow:
every image becomes a Pillow image and is resized alone, in a DataLoader of two workers; the batch
size is 4; all weights are trained, eagerly in float32; and the loss is read after every step.

Source: Analytics India Magazine, "Implementing AlexNet Using PyTorch As A Transfer Learning Model
In Multi-Class Classification". What it does is taken from there, its words and code are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torchvision import transforms

from bench.data.dataset import Split
from bench.networks.weight_names import TORCHVISION_NAMES
from models_torch.baselines.eager_loop import WORKERS, EagerLoop, OneByOne, loader_of
from models_torch.devices import device_of

BATCH_SIZE = 4
TRANSFORM = "Pillow: resize to 256, middle 224 cut out, normalised, one image at a time"


_TRANSFORM = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


class ArticleLoop(EagerLoop):
    """torchvision's AlexNet with the article's head, and its loop around it.

    `weights` in the names of the core start the layers that the article takes from torchvision; the
    two dense layers that it replaces start as PyTorch starts them.
    """

    def __init__(
        self,
        split: Split,
        classes: int,
        weights: Mapping[str, NDArray[Any]],
        *,
        seed: int = 0,
        device: str = "cpu",
        workers: int = WORKERS,
    ) -> None:
        place = device_of(device.partition(":")[0])
        network = _network(classes, weights).to(place)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
        loader = loader_of(OneByOne(split, _TRANSFORM), BATCH_SIZE, seed, workers)
        super().__init__(network, optimizer, loader, place)
        self.facts = {"batch_size": BATCH_SIZE, "workers": workers, "transform": TRANSFORM}


def _network(classes: int, weights: Mapping[str, NDArray[Any]]) -> torch.nn.Module:
    """With dense layers 4096 → 1024 → classes in the place of torchvision's last two."""
    network = torchvision.models.alexnet(weights=None)
    network.classifier[4] = torch.nn.Linear(4096, 1024)
    network.classifier[6] = torch.nn.Linear(1024, classes)
    state = network.state_dict()
    for theirs, ours in TORCHVISION_NAMES.items():
        if theirs not in ("classifier.4", "classifier.6"):
            for part in ("weight", "bias"):
                state[f"{theirs}.{part}"].copy_(
                    torch.from_numpy(np.array(weights[f"{ours}.{part}"]))
                )
    # The article switches dropout off before it trains, and never on again.
    return network.eval()


def create(
    split: Split, classes: int, weights: Mapping[str, NDArray[Any]], *, seed: int, device: str
) -> ArticleLoop:
    """What ``bench.training.frameworks`` names."""
    return ArticleLoop(split, classes, weights, seed=seed, device=device)
