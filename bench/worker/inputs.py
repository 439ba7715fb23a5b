"""Inputs of training and evaluation: images, or the features of a frozen trunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.resources import usable_memory
from bench.data.batching import Batch, BatchPlan, crops_of, gather
from bench.data.dataset import Dataset
from bench.training.interfaces import Trainer

Array = NDArray[Any]

_CHUNK = 250
"""Images per batch of the trunk: one shape to compile, small enough at 227 pixels."""
_CHECKED = 2 * _CHUNK
"""Cached features that are recomputed, to record how far they are from fresh ones."""
_MEMORY_SHARE = 0.5
"""Of the usable memory that cached features may take."""


class Inputs(Protocol):
    """The source of a session's batches."""

    def train(self, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
        """Inputs (B, …) and labels (B,) of a batch of the plan."""

    def test(self, part: slice) -> Array:
        """Inputs of a part of the test split, (N, …)."""

    def metrics(self) -> dict[str, Any]:
        """Metrics for the record."""


class ImageInputs:
    """uint8 images, cropped and flipped by the batch plan."""

    def __init__(self, dataset: Dataset, plan: BatchPlan) -> None:
        self._dataset, self._padding = dataset, plan.augmentation.padding

    def train(self, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
        """Images (B, H, W, 3) uint8 and labels (B,) int64."""
        return gather(self._dataset.train, batch, self._padding)

    def test(self, part: slice) -> Array:
        """Images (B, H, W, 3) uint8."""
        return np.ascontiguousarray(self._dataset.test.images[part])

    def metrics(self) -> dict[str, Any]:
        """None."""
        return {}


class HeldInputs(ImageInputs):
    """Images that a :class:`bench.training.interfaces.HoldingTrainer` holds on its device: a step
    gets labels, and where its crops are."""

    def __init__(self, dataset: Dataset, plan: BatchPlan) -> None:
        super().__init__(dataset, plan)
        self._labels = np.asarray(dataset.train.labels)
        self._none = np.empty((0, *dataset.train.images.shape[1:]), np.uint8)

    @classmethod
    def held_by(cls, trainer: Trainer, dataset: Dataset, plan: BatchPlan) -> HeldInputs | None:
        """Have a trainer hold the training images; None where it cannot, or where the recipe does
        more than crop and mirror, which is done on the host."""
        wanted, hold = plan.augmentation, getattr(trainer, "hold_images", None)
        if hold is None or not wanted.only_crops_and_flips:
            return None
        images, labels = np.asarray(dataset.train.images), np.asarray(dataset.train.labels)
        return cls(dataset, plan) if hold(images, labels, wanted.padding) else None

    def train(self, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
        """No images, (0, H, W, 3) uint8, and labels (B,) int64."""
        return self._none, self._labels[batch.indices]

    def crops(self, batch: Batch) -> NDArray[np.int32]:
        """(B, 4)."""
        return crops_of(batch)


@dataclass
class FeatureInputs:
    """Features of a frozen trunk, computed once per view of an image.

    A view is one crop and flip. It is computed when a step first needs it, together with the next
    views of the batch plan, so that the trunk always gets whole chunks.

    Attributes:
        trunk: Its logits are the features, (B, F) float32.
        dataset: The images.
        plan: The batches of the training.
        steps: Steps of the whole training, the limit of looking ahead.
        keep: Whether features are cached; False recomputes them for every batch.
        seconds: Spent in the trunk for training images.
        computed: Training images that went through the trunk.
    """

    trunk: Trainer
    dataset: Dataset
    plan: BatchPlan
    steps: int
    keep: bool = True
    seconds: float = 0.0
    computed: int = 0
    _rows: NDArray[np.int32] = field(init=False)
    """(views, images): row of the pool, -1 where the features are not there yet."""
    _pool: NDArray[np.float32] = field(init=False)
    _filled: int = 0
    _test: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        augmentation = self.plan.augmentation
        if not augmentation.only_crops_and_flips:
            self.keep = False  # no view occurs twice, so none is worth caching
        self._places = 2 * augmentation.padding + 1
        views = self._places**2 * (2 if augmentation.flip else 1)
        width = self._features(self.dataset.train.images[:1]).shape[1]
        most = min(views * self.plan.images, self.steps * self.plan.batch_size)
        if self.keep:
            _check_memory(most, width)
            self._rows = np.full((views, self.plan.images), -1, np.int32)
            # The system allocates a page of memory when it is first written.
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
        """(N, F); the features of all test images are computed at the first call."""
        if self._test is None:
            images = self.dataset.test.images
            chunks = [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]
            self._test = np.concatenate([self._features(chunk) for chunk in chunks])
        return self._test[part]

    def metrics(self) -> dict[str, Any]:
        """Cost of the trunk, and the difference between cached and recomputed features."""
        return {
            "features": {
                "cached": self.keep,
                "trunk_images": self.computed,
                "trunk_seconds": self.seconds,
                "largest_difference": self._difference(),
            }
        }

    def _difference(self) -> float | None:
        """Between cached and recomputed, relative to the largest feature; None without a cache.

        Recomputed in another order: a feature must not depend on the rest of its batch.
        """
        if not self.keep or not self._filled:
            return None
        views, indices = np.nonzero(self._rows >= 0)
        chosen = np.random.default_rng(self.plan.seed).permutation(len(views))[:_CHECKED]
        batch = self._batch(views[chosen], indices[chosen])
        cached = self._pool[self._rows[views[chosen], indices[chosen]]]
        fresh = np.concatenate([self._features(part) for part in self._pixels(batch)])
        return float(np.abs(cached - fresh).max() / max(float(np.abs(cached).max()), 1e-30))

    def _fill(self, batch: Batch) -> None:
        """Compute the missing views of a batch, and of later batches until the chunk is full."""
        views, indices = self._missing(batch)
        step, wanted = batch.step + 1, -(-len(views) // _CHUNK) * _CHUNK
        found = set(zip(views.tolist(), indices.tolist(), strict=True))
        while len(found) < wanted and step < self.steps:
            for pair in zip(*self._missing(self.plan.batch(step)), strict=True):
                if len(found) < wanted:
                    found.add((int(pair[0]), int(pair[1])))
            step += 1
        pairs = np.array(sorted(found), np.int64)
        fresh = self._through(self._batch(pairs[:, 0], pairs[:, 1]))
        first, self._filled = self._filled, self._filled + len(pairs)
        self._pool[first : self._filled] = fresh
        self._rows[pairs[:, 0], pairs[:, 1]] = np.arange(first, self._filled)

    def _missing(self, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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
        else:  # batches have one size already
            images, _ = gather(self.dataset.train, batch, self.plan.augmentation.padding)
            found = self.trunk.predict(images)
        self.seconds += perf_counter() - started
        self.computed += len(found)
        return found

    def _features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, F) of up to a chunk of images, padded to a whole one: one shape to compile."""
        padded = np.resize(images, (_CHUNK, *images.shape[1:]))
        return self.trunk.predict(padded)[: len(images)]


def _check_memory(rows: int, width: int) -> None:
    needed = 4 * rows * width
    memory = usable_memory()
    if needed > _MEMORY_SHARE * memory:
        raise UserError(
            f"features of a frozen trunk: {rows:,} views of {width:,} numbers take "
            f"{needed / 2**30:.0f} GiB, and {memory / 2**30:.0f} may be used here; use a recipe "
            "without crops, fewer epochs or a smaller input size"
        )
