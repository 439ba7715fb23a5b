"""The training loop of the transfer-learning article, as its readers copy it.

It is here to be timed beside ours, so it does what the article does, also where that is slow: every
picture becomes a Pillow image and is resized alone, in a DataLoader of two workers; batches are of
four; all weights are trained, eagerly in float32; and the loss is read after every step.

Source: Analytics India Magazine, "Implementing AlexNet Using PyTorch As A Transfer Learning Model
In Multi-Class Classification". What it does is taken from there, its words and code are not.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.data import Split
from bench.weight_names import TORCHVISION_NAMES

BATCH_SIZE = 4
WORKERS = 2
TRANSFORM = "Pillow: resize to 256, middle 224 cut out, normalised, a picture at a time"


class _Pictures(Dataset[tuple[Tensor, int]]):
    """A split as the article's data set gives it."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self._split.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(np.asarray(self._split.images[index]))
        return self._transform(image), int(self._split.labels[index])


class ArticleLoop:
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
        self._device = torch.device(device)
        self.network = _network(classes, weights).to(self._device)
        self._criterion = torch.nn.CrossEntropyLoss()
        self._optimizer = torch.optim.SGD(self.network.parameters(), lr=0.001, momentum=0.9)
        self.loader = DataLoader(
            _Pictures(split),
            batch_size=BATCH_SIZE,
            shuffle=True,
            num_workers=workers,
            generator=torch.Generator().manual_seed(seed),
        )
        self.facts = {"batch_size": BATCH_SIZE, "workers": workers, "transform": TRANSFORM}

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        """Take `steps` steps from the start of an epoch on, calling `after_step` after each.

        The losses of the steps, in order. The workers are new and gone again afterwards, so that
        they take no time from what is measured between two calls.
        """
        losses: list[float] = []
        batches = self._batches()
        for _ in range(steps):
            losses.append(self._step(*next(batches)))
            after_step()
        batches.close()
        return losses

    def _batches(self) -> Generator[Any, None, None]:
        while True:  # epoch after epoch
            yield from self.loader

    def _step(self, images: Tensor, labels: Tensor) -> float:
        images, labels = images.to(self._device), labels.to(self._device)
        self._optimizer.zero_grad()
        loss = self._criterion(self.network(images), labels)
        loss.backward()
        self._optimizer.step()
        return float(loss.item())  # waits for the device

    def sync(self) -> None:
        """Wait for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


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
    """What ``bench.frameworks`` names."""
    return ArticleLoop(split, classes, weights, seed=seed, device=device)
