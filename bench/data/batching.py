"""The batch plan: the images of each training step and their augmentation, from a seed.

Every framework trains on these batches, so none of them shuffles or augments by itself. `gather`
runs inside the timed loop and therefore does everything with whole-batch array operations.
"""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import augmentation as pixels
from bench.data.dataset import Split

_FIXED_ORDER_SEED = 10_000_000  # any fixed number: the one order of a plan without shuffling
_EPOCHS_CACHED = 2  # a batch seldom touches more; an epoch of 50,000 images takes 1.6 MB


def whole_batches(epochs: float, images: int, batch_size: int) -> int:
    """Whole batches in `epochs` passes over the images: floor(epochs · images / batch_size).

    `epochs` is taken as it is written, so 0.29 of 100 images is 29 and not 28.999….
    """
    return math.floor(Fraction(str(epochs)) * images / batch_size)


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of a training image, in this order, in uint8 before normalisation.

    `padding`: black pixels added on each side, of which a random 32x32 crop is taken (0: no crop).
    `flip`: mirror half of the images left to right. `rotation`: degrees; each image is turned by an
    angle drawn from ±rotation. `colour`: brightness, contrast and saturation are each multiplied by
    a factor drawn from max(0, 1 - colour) to 1 + colour. Hue stays: no tutorial here needs it.
    `cutout`: side of a black square at a random place of each image, as a fraction of the image's
    side; what lies outside of the image is cut off (DeVries and Taylor 2017, arXiv 1708.04552).
    """

    padding: int = 0
    flip: bool = False
    rotation: float = 0.0
    colour: float = 0.0
    cutout: float = 0.0

    @property
    def only_crops_and_flips(self) -> bool:
        """Whether it only crops and mirrors, which a device can do with the images it holds."""
        return not (self.rotation or self.colour or self.cutout)

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding must be 0 or more. Received: {self.padding}")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation must be 0 to 180 degrees. Received: {self.rotation}")
        if not 0 <= self.colour < math.inf:
            raise ValueError(f"colour must be 0 or more, and finite. Received: {self.colour}")
        if not 0 <= self.cutout <= 1:
            raise ValueError(f"cutout must be 0 to 1 of the side. Received: {self.cutout}")


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's images: `indices` (B,) int64 into the training split, `offsets` (B, 2) int64
    (dy, dx) in 0..2·padding, `flips` (B,) bool. `angles` (B,) float64 in degrees, `factors`
    (B, 3) float64 of brightness, contrast and saturation, and `squares` (B, 3) float64, the
    middle (y, x) and the side of a black square as fractions of the image's side; None where
    nothing is drawn."""

    step: int
    indices: NDArray[np.int64]
    offsets: NDArray[np.int64]
    flips: NDArray[np.bool_]
    angles: NDArray[np.float64] | None = None
    factors: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None


_Epoch = dict[str, NDArray[Any]]
"""The drawn columns, by their names in a :class:`Batch`."""


class BatchPlan:
    """All batches of a seed, each reachable by its step.

    An epoch is a permutation of the set, drawn from (seed, epoch). The permutations follow one
    another in one stream that is cut into batches of equal size: the rest of an epoch flows into
    the first batch of the next, so every image is used exactly once per epoch and every batch has
    the same shape. A batch larger than the set spans several epochs. The augmentation of an image
    is drawn per image and epoch, from streams of its own (offsets and flips one, angles one,
    colours one, squares one), so that no augmentation changes the order or what another one draws.

    Without `shuffle` every epoch of every seed has one and the same order. That is a random one, as
    in the official CIFAR-10 files: images from folders are sorted by class, and in that
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
            drawn = self._epoch(epoch)
            pieces.append({name: column[first:last] for name, column in drawn.items()})
            start += last - first
        if len(pieces) == 1:
            return Batch(step, **pieces[0])
        return Batch(step, **{n: np.concatenate([p[n] for p in pieces]) for n in pieces[0]})

    def digest(self, steps: int) -> str:
        """sha256 (hex) over all that is drawn of the first `steps` batches."""
        digest = hashlib.sha256()
        for step in range(steps):
            batch = self.batch(step)
            digest.update(np.ascontiguousarray(batch.indices, dtype="<i8").data)
            digest.update(np.ascontiguousarray(batch.offsets, dtype="<i8").data)
            digest.update(np.ascontiguousarray(batch.flips).data)
            for column in (batch.angles, batch.factors, batch.squares):
                if column is not None:
                    digest.update(np.ascontiguousarray(column, dtype="<f8").data)
        return digest.hexdigest()

    def _epoch(self, epoch: int) -> _Epoch:
        if epoch not in self._epochs:
            drawn = self._draw(epoch)
            for column in drawn.values():  # batches are views of these
                column.flags.writeable = False
            self._epochs[epoch] = drawn
            while len(self._epochs) > _EPOCHS_CACHED:
                self._epochs.popitem(last=False)
        return self._epochs[epoch]

    def _draw(self, epoch: int) -> _Epoch:
        entropy = [self.seed, epoch] if self.shuffle else [_FIXED_ORDER_SEED]
        order = np.random.default_rng(entropy).permutation(self.images)
        drawn: _Epoch = {
            "indices": order.astype(np.int64),
            "offsets": np.zeros((self.images, 2), np.int64),
            "flips": np.zeros(self.images, np.bool_),
        }
        wanted, size = self.augmentation, self.images
        chance = np.random.default_rng([self.seed, epoch, 1])
        if wanted.padding:
            drawn["offsets"][:] = chance.integers(0, 2 * wanted.padding + 1, (size, 2))
        if wanted.flip:
            drawn["flips"][:] = chance.integers(0, 2, size, np.uint8)
        if wanted.rotation:
            chance = np.random.default_rng([self.seed, epoch, 2])
            drawn["angles"] = chance.uniform(-wanted.rotation, wanted.rotation, size)
        if wanted.colour:
            chance = np.random.default_rng([self.seed, epoch, 3])
            lowest = max(0.0, 1 - wanted.colour)
            drawn["factors"] = chance.uniform(lowest, 1 + wanted.colour, (size, 3))
        if wanted.cutout:
            chance = np.random.default_rng([self.seed, epoch, 4])
            side = np.full((size, 1), wanted.cutout)
            drawn["squares"] = np.concatenate([chance.uniform(size=(size, 2)), side], axis=1)
        return drawn


def crops_of(batch: Batch) -> NDArray[np.int32]:
    """What :func:`gather` does to the images of a batch, as (B, 4) int32.

    Index, top and left of the crop in the image with its border, and 1 where it is mirrored.

    For images that stay on a device. Rotation, colours and squares are not in it.
    """
    columns = (batch.indices, batch.offsets[:, 0], batch.offsets[:, 1], batch.flips)
    return np.stack(columns, axis=1, dtype=np.int32, casting="unsafe")


def gather(split: Split, batch: Batch, padding: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pixels (B, H, W, 3) uint8, contiguous, and labels (B,) int64 of a batch.

    `padding` is that of the plan's augmentation; everything else is in the batch. The arrays are
    new copies: nothing shared is written.
    """
    images = np.asarray(split.images)[batch.indices]
    labels = np.asarray(split.labels)[batch.indices]
    if padding:
        images = pixels.crop(images, batch.offsets, padding)
    if batch.flips.any():
        pixels.flip(images, batch.flips)
    if batch.angles is not None:
        images = pixels.rotate(images, batch.angles)
    if batch.factors is not None:
        images = pixels.recolour(images, batch.factors)
    if batch.squares is not None:
        pixels.blacken(images, batch.squares)
    return images, labels
