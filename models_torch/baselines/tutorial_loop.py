"""The training loop of PyTorch's tutorials, to be timed beside the idiomatic track's.

It does what they do, also where that is slow: every picture becomes a Pillow image and goes through
torchvision's transforms alone, in a DataLoader of two workers; the network is eager, float32 and
channels first; PyTorch's own Adam at 1e-3 takes its usual path; the loss is read after every step.

The network is the case's, from PyTorch's own initial weights; where it has LRN, the layer is
``nn.LocalResponseNorm``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torchvision import transforms

from bench.data import dataset as data
from bench.training.interfaces import Images, Setup
from models_torch import alexnet
from models_torch.baselines.eager_loop import WORKERS, EagerLoop, OneByOne, loader_of
from models_torch.layers.lrn import LocalResponseNorm

BATCH_SIZE = 64


class TutorialLoop(EagerLoop):
    """:class:`bench.worker.measurements.tutorial_loop.TutorialLoop` in PyTorch."""

    def __init__(self, setup: Setup, dataset: data.Dataset) -> None:
        device = torch.device(setup.case.device)
        self._size = setup.architecture.input_size
        self._mean, self._std = setup.mean, setup.std
        network = _with_own_lrn(alexnet.build(setup.architecture, closed=False)).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        pictures = OneByOne(dataset.train, self._transform())
        loader = loader_of(pictures, BATCH_SIZE, setup.case.seed)
        super().__init__(network, optimizer, loader, device)
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
        """As every loop, in training mode."""
        self.network.train()
        return super().train(steps, after_step)

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
    """What ``bench.training.frameworks`` names."""
    return TutorialLoop(setup, dataset)
