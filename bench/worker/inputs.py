"""What training and evaluation are given: pictures, or what a frozen trunk made of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.batching import Batch, BatchPlan, gather
from bench.data.dataset import Dataset
from bench.training.interfaces import Trainer

Array = NDArray[Any]

_CHUNK = 250
"""Pictures that the trunk takes at once: one shape to compile, small enough at 227 pixels."""
_CHECKED = 2 * _CHUNK
_MEMORY_SHARE = 0.5
"""Of the machine's memory that kept features may take."""


class Inputs(Protocol):
    """Where batches come from."""

    def train(self, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
        """Inputs (B, …) and labels (B,) of a batch of the plan."""

    def test(self, part: slice) -> Array:
        """Inputs of a part of the test split."""

    def metrics(self) -> dict[str, Any]:
        """What a record says of them."""


class ImageInputs:
    """uint8 pictures, cropped and flipped as the plan says."""

    def __init__(self, dataset: Dataset, plan: BatchPlan) -> None:
        self._dataset, self._padding = dataset, plan.augmentation.padding

    def train(self, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
        """(B, 32, 32, 3) and (B,)."""
        return gather(self._dataset.train, batch, self._padding)

    def test(self, part: slice) -> Array:
        """(B, 32, 32, 3)."""
        return np.ascontiguousarray(self._dataset.test.images[part])

    def metrics(self) -> dict[str, Any]:
        """Nothing."""
        return {}


@dataclass
class FeatureInputs:
    """What a trunk that is never trained gives for every picture, computed once per view.

    A view is one crop and flip of a picture. Each is computed when a step first needs it, together
    with the next ones that the plan will ask for, so that the trunk always gets whole chunks.
    """

    trunk: Trainer
    """Gives features (B, F) float32 as its logits."""
    dataset: Dataset
    plan: BatchPlan
    steps: int
    """Steps of the whole training: how far it is worth looking ahead."""
    keep: bool = True
    """False computes every batch anew, as a loop without a cache would."""
    seconds: float = 0.0
    """Spent in the trunk for training pictures."""
    computed: int = 0
    """Training pictures that went through the trunk."""
    _rows: NDArray[np.int32] = field(init=False)
    """(views, pictures): where in the pool, -1 where it is not yet there."""
    _pool: NDArray[np.float32] = field(init=False)
    _filled: int = 0
    _test: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        augmentation = self.plan.augmentation
        if augmentation.rotation or augmentation.colour:
            self.keep = False  # no two views of a picture are alike, so none is worth keeping
        self._places = 2 * augmentation.padding + 1
        views = self._places**2 * (2 if augmentation.flip else 1)
        width = self._features(self.dataset.train.images[:1]).shape[1]
        most = min(views * self.plan.images, self.steps * self.plan.batch_size)
        if self.keep:
            _check_memory(most, width)
            self._rows = np.full((views, self.plan.images), -1, np.int32)
            # Pages of memory come into being when they are written.
            self._pool = np.empty((most, width), np.float32)

    def train(self, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
        """(B, F) and (B,)."""
        labels = np.asarray(self.dataset.train.labels)[batch.indices]
        if not self.keep:
            return self._through(batch), labels
        rows = self._rows[self._views(batch), batch.indices]
        if (rows < 0).any():
            self._fill(batch)
            rows = self._rows[self._views(batch), batch.indices]
        return self._pool[rows], labels

    def test(self, part: slice) -> Array:
        """(B, F); all of them are computed at the first call."""
        if self._test is None:
            images = self.dataset.test.images
            chunks = [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]
            self._test = np.concatenate([self._features(chunk) for chunk in chunks])
        return self._test[part]

    def metrics(self) -> dict[str, Any]:
        """What it took, and how far kept features are from fresh ones."""
        return {
            "features": {
                "cached": self.keep,
                "trunk_images": self.computed,
                "trunk_seconds": self.seconds,
                "largest_difference": self._difference(),
            }
        }

    def _difference(self) -> float | None:
        """Kept against recomputed, relative to the largest feature; None without kept ones.

        Recomputed in another order: a feature may not depend on its neighbours in a batch.
        """
        if not self.keep or not self._filled:
            return None
        views, indices = np.nonzero(self._rows >= 0)
        chosen = np.random.default_rng(self.plan.seed).permutation(len(views))[:_CHECKED]
        batch = self._batch(views[chosen], indices[chosen])
        kept = self._pool[self._rows[views[chosen], indices[chosen]]]
        fresh = np.concatenate([self._features(part) for part in self._pixels(batch)])
        return float(np.abs(kept - fresh).max() / max(float(np.abs(kept).max()), 1e-30))

    def _fill(self, batch: Batch) -> None:
        """Compute what this batch lacks, and as much of what follows as fills the chunk."""
        views, indices = self._lacking(batch)
        step, wanted = batch.step + 1, -(-len(views) // _CHUNK) * _CHUNK
        found = set(zip(views.tolist(), indices.tolist(), strict=True))
        while len(found) < wanted and step < self.steps:
            for pair in zip(*self._lacking(self.plan.batch(step)), strict=True):
                if len(found) < wanted:
                    found.add((int(pair[0]), int(pair[1])))
            step += 1
        pairs = np.array(sorted(found), np.int64)
        fresh = self._through(self._batch(pairs[:, 0], pairs[:, 1]))
        first, self._filled = self._filled, self._filled + len(pairs)
        self._pool[first : self._filled] = fresh
        self._rows[pairs[:, 0], pairs[:, 1]] = np.arange(first, self._filled)

    def _lacking(self, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        views = self._views(batch)
        absent = self._rows[views, batch.indices] < 0
        return views[absent], batch.indices[absent]

    def _views(self, batch: Batch) -> NDArray[np.int64]:
        place = batch.offsets[:, 0] * self._places + batch.offsets[:, 1]
        return place + self._places**2 * batch.flips

    def _batch(self, views: NDArray[np.int64], indices: NDArray[np.int64]) -> Batch:
        flips, places = np.divmod(views, self._places**2)
        offsets = np.stack(np.divmod(places, self._places), axis=1)
        return Batch(0, indices, offsets, flips.astype(np.bool_))

    def _pixels(self, batch: Batch) -> list[NDArray[np.uint8]]:
        images, _ = gather(self.dataset.train, batch, self.plan.augmentation.padding)
        return [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]

    def _through(self, batch: Batch) -> NDArray[np.float32]:
        started = perf_counter()
        if self.keep:
            found = np.concatenate([self._features(part) for part in self._pixels(batch)])
        else:  # batches are all of one size already
            images, _ = gather(self.dataset.train, batch, self.plan.augmentation.padding)
            found = self.trunk.predict(images)
        self.seconds += perf_counter() - started
        self.computed += len(found)
        return found

    def _features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Filled up to a whole chunk: a compiled trunk sees one shape only."""
        padded = np.resize(images, (_CHUNK, *images.shape[1:]))
        return self.trunk.predict(padded)[: len(images)]


def _check_memory(rows: int, width: int) -> None:
    wanted = 4 * rows * width
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > _MEMORY_SHARE * there:
        raise UserError(
            f"features of a frozen trunk: {rows:,} views of {width:,} numbers take "
            f"{wanted / 2**30:.0f} GiB, this machine has {there / 2**30:.0f}; take a recipe "
            "without crops, fewer epochs or a smaller input size"
        )
