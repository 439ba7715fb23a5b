"""The training loop of PyTorch's tutorials, to be timed beside the idiomatic track's.

It does what they do, also where that is slow: every picture becomes a Pillow image and goes through
torchvision's transforms alone, in a DataLoader of two workers; the network is eager, float32 and
channels first; PyTorch's own Adam at 1e-3 takes its usual path; the loss is read after every step.

The network is the case's, from PyTorch's own initial weights; where it has LRN, the layer is
``nn.LocalResponseNorm``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench import data
from bench.trainer import Images, Setup
from models_torch import alexnet
from models_torch.lrn import LocalResponseNorm

BATCH_SIZE = 64
WORKERS = 2


class _Pictures(Dataset[tuple[Tensor, int]]):
    """A split, a picture at a time."""

    def __init__(self, split: data.Split, transform: Callable[[Any], Tensor]) -> None:
        self._split, self._transform = split, transform

    def __len__(self) -> int:
        return len(self._split.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(np.asarray(self._split.images[index]))
        return self._transform(image), int(self._split.labels[index])


class TutorialLoop:
    """:class:`bench.measure_tutorial.TutorialLoop` in PyTorch."""

    def __init__(self, setup: Setup, dataset: data.Dataset) -> None:
        self._device = torch.device(setup.case.device)
        self._size = setup.architecture.input_size
        self._mean, self._std = setup.mean, setup.std
        network = _with_own_lrn(alexnet.build(setup.architecture, closed=False))
        self.network = network.to(self._device)
        self._criterion = nn.CrossEntropyLoss()
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.loader = DataLoader(
            _Pictures(dataset.train, self._transform()),
            batch_size=BATCH_SIZE,
            shuffle=True,
            num_workers=WORKERS,
            generator=torch.Generator().manual_seed(setup.case.seed),
        )
        self.facts: dict[str, Any] = {
            "batch_size": BATCH_SIZE,
            "workers": WORKERS,
            "precision": "float32",
            "loop": "DataLoader, Pillow transforms a picture at a time, eager, Adam 1e-3",
        }

    def _transform(self) -> transforms.Compose:
        """Crop and flip as the tutorials on CIFAR-10 do, and enlarged where the network wants."""
        steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        if self._size != 32:
            steps.append(transforms.Resize(self._size))
        normalise = transforms.Normalize(self._mean, self._std)
        return transforms.Compose([*steps, transforms.ToTensor(), normalise])

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        """Take ``steps`` steps from the start of an epoch on; their losses."""
        self.network.train()
        losses: list[float] = []
        batches = self._batches()
        for _ in range(steps):
            losses.append(self._step(*next(batches)))
            after_step()
        batches.close()  # ends the workers: they take no time from what is measured in between
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
        return float(loss.item())

    def sync(self) -> None:
        """Wait for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def predict(self, images: Images) -> NDArray[Any]:
        """Evaluation-mode logits of (N, 32, 32, 3) uint8, normalised and enlarged as a batch."""
        mean, std = (
            torch.tensor(values, device=self._device).view(1, 3, 1, 1)
            for values in (self._mean, self._std)
        )
        with torch.inference_mode():
            x = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
            x = (x.float() / 255 - mean) / std
            if self._size != 32:
                size = (self._size, self._size)
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            logits: NDArray[Any] = self.network.eval()(x).cpu().numpy()
        return logits


def _with_own_lrn(network: nn.Sequential) -> nn.Sequential:
    """``nn.LocalResponseNorm`` in the place of the suite's layer."""
    for name, module in network.named_children():
        if isinstance(module, LocalResponseNorm):
            own = nn.LocalResponseNorm(module.size, module.alpha, module.beta, module.k)
            setattr(network, name, own)
    return network


def create(setup: Setup, dataset: data.Dataset) -> TutorialLoop:
    """What ``bench.frameworks`` names."""
    return TutorialLoop(setup, dataset)
