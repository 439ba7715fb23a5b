"""The parts that tutorials share: images transformed one at a time, a DataLoader, an eager loop.

Not how the suite trains: these loops are compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.data.dataset import Split
from models_torch.devices import synchronise

WORKERS = 2


class OneByOne(Dataset[tuple[Tensor, int]]):
    """A split whose images become Pillow images and are transformed one at a time."""

    def __init__(self, split: Split, transform: Callable[[Any], Tensor]) -> None:
        self._split, self._transform = split, transform

    def __len__(self) -> int:
        return len(self._split.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(np.asarray(self._split.images[index]))
        return self._transform(image), int(self._split.labels[index])


def loader_of(
    images: OneByOne, batch_size: int, seed: int, workers: int = WORKERS
) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled, in processes of its own."""
    return DataLoader(
        images,
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        # BatchNorm has no moments of a single image, and PyTorch raises an error.
        drop_last=len(images) > batch_size and len(images) % batch_size == 1,
        generator=torch.Generator().manual_seed(seed),
    )


class EagerLoop:
    """Forward, loss, backward, update, and reading the loss, step after step."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loader: DataLoader[tuple[Tensor, int]],
        device: torch.device,
    ) -> None:
        self.network, self.loader = network, loader
        self._optimizer, self._device = optimizer, device
        self._criterion = nn.CrossEntropyLoss()

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        """Take ``steps`` steps from the start of an epoch on, calling ``after_step`` after each.

        Returns the losses of the steps, in order. The loader's workers live only during the call,
        so that they take no CPU time from other measurements between two calls.
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
        synchronise(self._device)
