"""Which images a training step sees, how each is cropped and flipped: a function of a seed.

Every framework trains on these batches, so none of them shuffles or augments by itself. `gather`
runs inside the timed loop and therefore does everything with whole-batch array operations.
"""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from bench.data import SIDE, Split

_FIXED_ORDER_SEED = 10_000_000  # any fixed number: the one order of a plan without shuffling
_EPOCHS_KEPT = 2  # a batch seldom touches more; an epoch of 50,000 images takes 1.6 MB


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image.

    `padding`: black pixels added on each side, in uint8 before normalisation, of which a random
    32x32 crop is taken (0: no crop). `flip`: mirror half of the images left to right, after the
    crop.
    """

    padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding must be 0 or more. Received: {self.padding}")


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's images: `indices` (B,) int64 into the training split, `offsets` (B, 2) int64
    (dy, dx) in 0..2·padding, `flips` (B,) bool."""

    step: int
    indices: NDArray[np.int64]
    offsets: NDArray[np.int64]
    flips: NDArray[np.bool_]


_Epoch = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


class BatchPlan:
    """All batches of a seed, each reachable by its step.

    An epoch is a permutation of the set, drawn from (seed, epoch). The permutations follow one
    another in one stream that is cut into batches of equal size: the rest of an epoch flows into
    the first batch of the next, so every image is used exactly once per epoch and every batch has
    the same shape. A batch larger than the set spans several epochs. Offsets and flips are drawn
    per image and epoch, from a stream of their own, so that augmentation leaves the order alone.

    Without `shuffle` every epoch of every seed has one and the same order. That is a random one, as
    in the official CIFAR-10 files: pictures from folders stand class by class here, and in that
    order nothing could be learnt. Batches still flow over the end of an epoch.

    Raises ValueError for sizes below 1 and for a negative seed.
    """

    def __init__(
        self,
        *,
        images: int,
        batch_size: int,
        seed: int,
        augmentation: Augmentation = Augmentation(),  # frozen, so safe to share
        shuffle: bool = True,
    ) -> None:
        if images < 1 or batch_size < 1 or seed < 0:
            raise ValueError(
                "images and batch_size must be 1 or more and seed 0 or more. "
                f"Received: images={images}, batch_size={batch_size}, seed={seed}"
            )
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.shuffle = shuffle
        self._epochs: OrderedDict[int, _Epoch] = OrderedDict()

    def batch(self, step: int) -> Batch:
        """The batch of `step` (0 is the first). Raises ValueError for a negative step."""
        if step < 0:
            raise ValueError(f"steps count from 0. Received: {step}")
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        pieces: list[_Epoch] = []
        while start < stop:
            epoch, first = divmod(start, self.images)
            last = min(self.images, first + stop - start)
            order, offsets, flips = self._epoch(epoch)
            pieces.append((order[first:last], offsets[first:last], flips[first:last]))
            start += last - first
        if len(pieces) == 1:
            return Batch(step, *pieces[0])
        orders, crops, mirrors = zip(*pieces, strict=True)
        joined = (np.concatenate(orders), np.concatenate(crops), np.concatenate(mirrors))
        return Batch(step, *joined)

    def steps(self, epochs: float) -> int:
        """Whole batches in `epochs` passes over the set: floor(epochs · images / batch_size).

        `epochs` is taken as it is written, so 0.29 of 100 images is 29 and not 28.999….
        """
        return math.floor(Fraction(str(epochs)) * self.images / self.batch_size)

    def digest(self, steps: int) -> str:
        """sha256 (hex) over indices, offsets and flips of the first `steps` batches."""
        digest = hashlib.sha256()
        for step in range(steps):
            batch = self.batch(step)
            digest.update(np.ascontiguousarray(batch.indices, dtype="<i8").data)
            digest.update(np.ascontiguousarray(batch.offsets, dtype="<i8").data)
            digest.update(np.ascontiguousarray(batch.flips).data)
        return digest.hexdigest()

    def _epoch(self, epoch: int) -> _Epoch:
        if epoch not in self._epochs:
            drawn = self._draw(epoch)
            for column in drawn:  # batches are views of these
                column.flags.writeable = False
            self._epochs[epoch] = drawn
            while len(self._epochs) > _EPOCHS_KEPT:
                self._epochs.popitem(last=False)
        return self._epochs[epoch]

    def _draw(self, epoch: int) -> _Epoch:
        entropy = [self.seed, epoch] if self.shuffle else [_FIXED_ORDER_SEED]
        order = np.random.default_rng(entropy).permutation(self.images)
        offsets = np.zeros((self.images, 2), np.int64)
        flips = np.zeros(self.images, np.bool_)
        chance = np.random.default_rng([self.seed, epoch, 1])
        if self.augmentation.padding:
            offsets[:] = chance.integers(0, 2 * self.augmentation.padding + 1, offsets.shape)
        if self.augmentation.flip:
            flips[:] = chance.integers(0, 2, self.images, np.uint8)
        return order.astype(np.int64), offsets, flips


def gather(split: Split, batch: Batch, padding: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pixels (B, 32, 32, 3) uint8, contiguous, and labels (B,) int64 of a batch.

    `padding` is that of the plan's augmentation. The arrays are fresh: nothing shared is written.
    """
    images = np.asarray(split.images)[batch.indices]
    labels = np.asarray(split.labels)[batch.indices]
    if padding:
        images = _crop(images, batch.offsets, padding)
    if batch.flips.any():
        pixels = images.view("V3")[..., 0]  # (B, 32, 32): a pixel moves as one piece
        pixels[batch.flips] = pixels[batch.flips][:, :, ::-1]
    return images, labels


def _crop(images: NDArray[np.uint8], offsets: NDArray[np.int64], padding: int) -> NDArray[np.uint8]:
    count, places, width = len(images), 2 * padding + 1, SIDE + 2 * padding
    padded = np.zeros((count, width, width, 3), np.uint8)
    padded[:, padding:-padding, padding:-padding] = images
    # (B, dy, dx, 32, 96): every crop of every image, as a view; a row of pixels is one run of bytes
    per_image, per_row, per_pixel, _ = padded.strides
    crops = as_strided(
        padded,
        (count, places, places, SIDE, SIDE * 3),
        (per_image, per_row, per_pixel, per_row, 1),
        writeable=False,
    )
    chosen = crops[np.arange(count), offsets[:, 0], offsets[:, 1]]
    return chosen.reshape(count, SIDE, SIDE, 3)
