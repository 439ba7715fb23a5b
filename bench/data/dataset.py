"""A decoded dataset: two splits of square images, class names, a fingerprint.

Nothing here knows where images come from (see `sources`) or any framework. Worker
processes get their data through `load`, which maps plain `.npy` files, so that several workers
share the same pages.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.cache import digest_of
from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.core.text import printable

SIDE = 32  # pixels; height and width of every image, unless a dataset was resized
Triple = tuple[float, float, float]

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_SUBSET_SEED = 20120930  # any fixed number: it decides which images a subset holds
_VALIDATION_SEED = 60_000_000  # another one, so that a subset is not just the validation split


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    `images` is (N, S, S, 3) uint8, RGB, S = 32 unless they were resized; `labels` is (N,) int64, 0
    to classes - 1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        side = self.images.shape[1] if self.images.ndim == 4 else 0
        if side < 1 or self.images.shape[1:] != (side, side, 3):
            raise ValueError(f"images must be (N, S, S, 3). Received: {self.images.shape}")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be ({len(self)},). Received: {self.labels.shape}")
        if self.images.dtype != np.uint8 or self.labels.dtype != np.int64:
            found = f"{self.images.dtype} and {self.labels.dtype}"
            raise ValueError(f"images must be uint8 and labels int64. Received: {found}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """The images at `indices`, copied."""
        return Split(np.asarray(self.images)[indices], np.asarray(self.labels)[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A decoded dataset; make one with `describe_pixels`, which works out the last fields.

    `fingerprint` is a sha256 (hex) over pixels, labels and class names of both splits, and over
    `files_digest` where the images came encoded: JPEG decoders differ in their pixels, and the
    files tell which images were meant. `mean` and `std` are those of the training pixels in
    0..1, per channel, rounded to 4 decimals; a subset and a validation split have those of
    the set they were cut from, so that a weight file fits all of them.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    fingerprint: str
    mean: Triple
    std: Triple
    notes: str = ""  # for a reader of the results, such as why this set was used
    files_digest: str = ""  # sha256 over the encoded files; empty for raw pixels

    @property
    def side(self) -> int:
        """Height and width of every image in pixels."""
        return int(self.train.images.shape[1])

    def describe(self) -> dict[str, object]:
        """The `dataset` field of a record."""
        return {
            "name": printable(self.name),
            "fingerprint": self.fingerprint,
            "train_images": len(self.train),
            "test_images": len(self.test),
        }

    def subset(self, train: int, test: int) -> "Dataset":
        """At most `train` and `test` images, the same ones each time, classes balanced.

        A smaller subset lies within a larger one. Images stay in their order. Returns `self` when
        nothing is cut off. Raises ValueError for a size below 1.
        """
        if min(train, test) < 1:
            raise ValueError(f"a subset needs an image in each split. Received: {train}, {test}")
        if train >= len(self.train) and test >= len(self.test):
            return self
        splits = [
            split.take(np.sort(balanced_order(split.labels, _SUBSET_SEED)[:size]))
            for split, size in ((self.train, train), (self.test, test))
        ]
        return self._with(f"subset {len(splits[0]):,} + {len(splits[1]):,}", *splits)

    def validation(self, images: int = 5000) -> "Dataset":
        """The training set alone, `images` of it (classes balanced, always the same) as the test.

        The test set is in neither split, so that a choice made on the result has not seen it.
        Raises UserError when the training set has no more than `images` images.
        """
        if not 0 < images < len(self.train):
            raise UserError(
                f"{self.name}: cannot take {images:,} validation images from "
                f"{len(self.train):,} training images; take fewer, and at least 1"
            )
        order = balanced_order(self.train.labels, _VALIDATION_SEED)
        held_out, rest = np.sort(order[:images]), np.sort(order[images:])
        return self._with("validation split", self.train.take(rest), self.train.take(held_out))

    def _with(self, suffix: str, train: Split, test: Split) -> "Dataset":
        mark = fingerprint(self.classes, train, test, self.files_digest)
        name = f"{self.name}, {suffix}"
        return replace(self, name=name, train=train, test=test, fingerprint=mark)


def describe_pixels(
    name: str, classes: tuple[str, ...], train: Split, test: Split, files_digest: str = ""
) -> Dataset:
    """A `Dataset` of these splits, with fingerprint, mean and deviation worked out."""
    mean, std = pixel_statistics(train.images)
    digest = fingerprint(classes, train, test, files_digest)
    return Dataset(name, classes, train, test, digest, mean, std, files_digest=files_digest)


def fingerprint(classes: tuple[str, ...], train: Split, test: Split, files_digest: str) -> str:
    """sha256 (hex) over class names, shapes, labels and pixels; byte order is fixed."""
    digest = hashlib.sha256(json.dumps([list(classes), files_digest]).encode())
    for split in (train, test):
        digest.update(f"{split.images.shape}".encode())
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(split.images).data)
    return digest.hexdigest()


def pixel_statistics(images: NDArray[np.uint8]) -> tuple[Triple, Triple]:
    """Mean and (population) standard deviation per channel of pixels in 0..1, to 4 decimals.

    The sums are exact integers, so the result does not depend on machine or order.
    """
    total, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
    side = images.shape[2]
    chunk = max(1, 32_000 // side)  # 32,000 squares of 8 bits fit 32 bits
    for start in range(0, len(images), chunk):
        rows = images[start : start + chunk].reshape(-1, side * 3)
        wide = rows.astype(np.uint16)
        for into, values in ((total, wide), (squares, wide * wide)):
            into += values.sum(axis=0, dtype=np.uint32).reshape(side, 3).sum(axis=0, dtype=np.int64)
    count = max(1, images.size // 3)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return _rounded(mean / 255), _rounded(std / 255)


def _rounded(values: NDArray[np.float64]) -> Triple:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue


def balanced_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """An order of all images in which every prefix holds the classes as evenly as possible."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # the rank of an image within its class
    for label in np.unique(labels):
        members = shuffled[np.asarray(labels)[shuffled] == label]
        rank[members] = np.arange(len(members))
    return np.lexsort((labels, rank)).astype(np.int64)


def save(dataset: Dataset, folder: Path) -> None:
    """Write `folder` (replaced where it exists): four `.npy` files and `meta.json`.

    It is written to a temporary folder first and renamed, so that no reader sees half of it.
    Raises OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(folder.parent) as own:
        fresh = Path(own) / "new"
        fresh.mkdir()
        for name, array in zip(_ARRAYS, _arrays(dataset), strict=True):
            np.save(fresh / f"{name}.npy", array)
        facts = meta(dataset)
        text = json.dumps({**facts, "sha256": digest_of(facts)}, indent=1)
        (fresh / "meta.json").write_text(text, encoding="utf-8")
        if folder.exists():  # a rename cannot replace a full folder; open memory maps stay valid
            os.rename(folder, Path(own) / "old")
        os.rename(fresh, folder)


def load(folder: Path) -> Dataset:
    """The dataset that `save` wrote, its arrays mapped read-only rather than read.

    The description, shapes and lengths are checked, pixels are not: `sources.open_dataset` does
    that by the fingerprint. Raises UserError where something is missing, cut off or not as
    written.
    """
    try:
        facts = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if facts.pop("sha256") != digest_of(facts):
            raise ValueError("meta.json does not fit its own digest")
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS]
        train, test = Split(arrays[0], arrays[1]), Split(arrays[2], arrays[3])
        return Dataset(
            name=facts["name"],
            classes=tuple(facts["classes"]),
            train=train,
            test=test,
            fingerprint=facts["fingerprint"],
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            notes=facts["notes"],
            files_digest=facts["files_digest"],
        )
    except Exception as error:  # a damaged header of numpy's raises nearly every type there is
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{folder}: not a whole prepared dataset ({reason}); delete it and prepare it again"
        ) from error


def meta(dataset: Dataset) -> dict[str, object]:
    """All of a dataset but its arrays, as JSON holds it."""
    return {
        "name": dataset.name,
        "classes": list(dataset.classes),
        "fingerprint": dataset.fingerprint,
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "notes": dataset.notes,
        "files_digest": dataset.files_digest,
    }


def _arrays(dataset: Dataset) -> tuple[NDArray[np.uint8] | NDArray[np.int64], ...]:
    train, test = dataset.train, dataset.test
    return train.images, train.labels, test.images, test.labels
