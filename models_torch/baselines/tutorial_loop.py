"""The training loop of PyTorch's tutorials, to be compared with the idiomatic track's.

It does what they do, also where that is slow: every image becomes a Pillow image and goes through
torchvision's transforms alone, in a DataLoader of two workers; the network is eager, float32 and
channels first; the optimiser is Adam at 1e-3 with PyTorch's defaults; the loss is read after every
step.

The network is the case's, of layers of ``torch.nn`` with PyTorch's own initial weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchvision import transforms

from bench.data import dataset as data
from bench.training.interfaces import Images, Setup
from models_torch import alexnet
from models_torch.baselines.eager_loop import WORKERS, EagerLoop, OneByOne, loader_of
from models_torch.devices import device_of

BATCH_SIZE = 64


class TutorialLoop(EagerLoop):
    """:class:`bench.worker.measurements.tutorial_loop.TutorialLoop` in PyTorch."""

    def __init__(self, setup: Setup, dataset: data.Dataset) -> None:
        device = device_of(setup.device_kind)
        self._side, self._size = setup.side, setup.architecture.input_size
        self._mean, self._std = setup.mean, setup.std
        network = alexnet.build(setup.architecture, alexnet.STOCK).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        images = OneByOne(dataset.train, self._transform())
        loader = loader_of(images, BATCH_SIZE, setup.case.seed)
        super().__init__(network, optimizer, loader, device)
        self.facts: dict[str, Any] = {
            "batch_size": BATCH_SIZE,
            "workers": WORKERS,
            "precision": "float32",
            "loop": "DataLoader, Pillow transforms one image at a time, eager, Adam 1e-3",
        }

    def _transform(self) -> transforms.Compose:
        """Crop and flip as the tutorials on CIFAR-10 do, and resize to the network's input size."""
        steps = [transforms.RandomCrop(self._side, padding=4), transforms.RandomHorizontalFlip()]
        if self._size != self._side:
            steps.append(transforms.Resize(self._size))
        normalise = transforms.Normalize(self._mean, self._std)
        return transforms.Compose([*steps, transforms.ToTensor(), normalise])

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        """As every loop, in training mode."""
        self.network.train()
        return super().train(steps, after_step)

    def predict(self, images: Images) -> NDArray[Any]:
        """Evaluation-mode logits of (N, H, W, 3) uint8, normalised and enlarged as a batch."""
        mean, std = (
            torch.tensor(values, device=self._device).view(1, 3, 1, 1)
            for values in (self._mean, self._std)
        )
        with torch.inference_mode():
            x = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
            x = (x.float() / 255 - mean) / std
            if self._size != self._side:
                size = (self._size, self._size)
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            logits: NDArray[Any] = self.network.eval()(x).cpu().numpy()
        return logits


def create(setup: Setup, dataset: data.Dataset) -> TutorialLoop:
    """What ``bench.training.frameworks`` names."""
    return TutorialLoop(setup, dataset)
