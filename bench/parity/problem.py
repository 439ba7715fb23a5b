"""The test problem of the parity check: a network on small images, its weights, its batches.

Everything is drawn from seeds, so that each framework gets the same in a process of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.batching import Augmentation, Batch, BatchPlan, gather
from bench.data.dataset import SIDE, Split
from bench.networks.architecture import Architecture, BatchNorm, Dense, Flatten
from bench.networks.init import DropoutMasks, Weights, initial_weights
from bench.training.interfaces import StepInput
from bench.training.recipes.base import Recipe

SEED = 20
STEPS = 10
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
CLASSES = 10
_LARGEST_BATCH = 8

# Large enough that a wrong form shows in one step, small enough that ten steps stay finite. The
# rate changes from step to step: only then do the forms of Nesterov's momentum differ.
SGD = Recipe("parity-sgd", "", momentum=0.9, nesterov=True, weight_decay=0.01, label_smoothing=0.1)
# eps of the gradients' size: with 1e-8 Adam's first step is the gradient's sign, and rounding
# decides it wherever the true gradient is nearly 0.
ADAM = Recipe("parity-adam", "", optimizer="adam", eps=1e-3, weight_decay=0.01)
RATES = (0.001, 0.002, 0.0005)
AUGMENTATION = Augmentation(padding=4, flip=True)


def problem_architecture(architecture: Architecture) -> Architecture:
    """The same layers on the smallest images that leave the dense layers a 2×2 map.

    A 1×1 map would hide a wrong order of flattening, and anything larger only costs time. Where
    the network's own images leave less than 2×2, they stay as they are.
    """
    goal = min(2, _last_map(architecture) or 2)
    for size in range(1, architecture.input_size):
        smaller = dataclasses.replace(architecture, input_size=size)
        if _last_map(smaller) >= goal:
            return smaller
    return architecture


def _last_map(architecture: Architecture) -> int:
    """Side of the map that is flattened; 0 where nothing is left of it."""
    try:
        for step in architecture.steps():
            if isinstance(step.layer, Flatten):
                return step.before[-1]
    except UserError:  # the image is too small for a layer
        return 0
    return 0


def layer_rates(architecture: Architecture) -> dict[str, float]:
    """The first layer at half the learning rate: a framework with one rate for all layers fails."""
    first = next(s.layer.name for s in architecture.steps() if s.layer.weights(s.before))
    return {first: 0.5}


def problem_weights(architecture: Architecture) -> Weights:
    """The seeded initial weights with every bias, scale and moment moved off its start.

    At 0 and 1 a layer that left them out would not be noticed.
    """
    rng = np.random.default_rng(SEED)
    weights = initial_weights(architecture, SEED)
    for weight in weights.values():
        if weight.ndim == 1:
            weight += rng.uniform(-0.2, 0.2, weight.shape).astype(np.float32)
    return weights


@dataclasses.dataclass(frozen=True)
class Batches:
    """The steps of the test problem; ``images`` and ``labels`` are the set they are taken from."""

    architecture: Architecture
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def batch_size(self) -> int:
        """BatchNorm over single features needs several images, or all its gradients are 0."""
        normalised = any(isinstance(layer, BatchNorm) for layer in self.architecture.layers)
        return _LARGEST_BATCH if normalised else 4

    @classmethod
    def of(cls, architecture: Architecture) -> Batches:
        """Noise: no two neighbouring pixels are alike, so every shift shows."""
        rng = np.random.default_rng([SEED, 1])
        count = 3 * _LARGEST_BATCH + 1  # the batches flow over the end of an epoch
        images = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        return cls(architecture, images, rng.integers(0, architecture.classes, count))

    def at(self, step: int) -> StepInput:
        """The input that the harness gives a trainer at a step."""
        split = Split(self.images, self.labels)
        images, labels = gather(split, self._batch(step), AUGMENTATION.padding)
        masks = DropoutMasks(self.architecture, SEED).at(step, self.batch_size)
        return StepInput(images, labels, masks, self._pace * RATES[step % len(RATES)])

    @property
    def _pace(self) -> float:
        """A tenth of the rates where dense layers that have no BatchNorm get a normalised map.

        Such a map has values around 1 in all of its channels. At the whole rates the loss leaps
        from 8 to 60 (`imagenet-bn5`), and ten steps raise rounding 100,000-fold, not tenfold.
        """
        weighted = [
            step.layer for step in self.architecture.steps() if step.layer.weights(step.before)
        ]
        first = next((i for i, row in enumerate(weighted) if isinstance(row, Dense)), 0)
        bare = not any(isinstance(row, BatchNorm) for row in weighted[first:])
        return 0.1 if first and bare and isinstance(weighted[first - 1], BatchNorm) else 1.0

    def by_definition(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images and labels of a step, cropped and flipped one at a time."""
        batch, padding = self._batch(step), AUGMENTATION.padding
        found = []
        for index, (dy, dx), flip in zip(batch.indices, batch.offsets, batch.flips, strict=True):
            padded = np.pad(self.images[index], ((padding, padding), (padding, padding), (0, 0)))
            crop = padded[dy : dy + SIDE, dx : dx + SIDE]
            found.append(crop[:, ::-1] if flip else crop)
        return np.stack(found), self.labels[batch.indices]

    def _batch(self, step: int) -> Batch:
        plan = BatchPlan(
            images=len(self.images),
            batch_size=self.batch_size,
            seed=SEED,
            augmentation=AUGMENTATION,
        )
        return plan.batch(step)


def batch_digest(batches: Iterable[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """sha256 over the bytes of images and labels, batch by batch."""
    digest = hashlib.sha256()
    for images, labels in batches:
        digest.update(np.ascontiguousarray(images).data)
        digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
