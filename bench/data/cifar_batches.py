"""Decoders of the two batch forms in which CIFAR-10 is published: raw binary and Python pickle.

Layout: the "CIFAR-10 dataset" page of A. Krizhevsky, University of Toronto. A pickle can run any
code when it is read, so these are read by :mod:`bench.data.batch_pickles`.
"""

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.archives import Bundle
from bench.data.batch_pickles import StoredArray, text, unpickle
from bench.data.dataset import SIDE, Split

OFFICIAL = "CIFAR-10"
"""Name of the dataset with all images of the official one, and of no other."""
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
PIXELS = SIDE * SIDE * 3
RECORD = 1 + PIXELS  # bytes: a label, then the red, the green and the blue plane

_BATCHES, _BATCH_IMAGES = 5, 10_000
"""Of the official training set."""

_TRAIN = re.compile(r"data_batch_(\d+)(?:\.bin)?")
_Reader = Callable[[bytes, str], tuple[NDArray[np.uint8], NDArray[np.int64]]]


def read_batches(bundle: Bundle, binary: bool) -> tuple[tuple[str, ...], Split, Split]:
    """Class names, training split and test split of a bundle of `.bin` or pickled batches.

    Files are taken in the order of their numbers. Raises UserError naming the file where a
    record is not whole, a label is above 9, a pickle asks for anything but arrays, or a split
    is missing.
    """
    suffix, read = (".bin", _read_binary) if binary else ("", _read_pickle)
    numbered = {int(m[1]): name for name in bundle.files if (m := _TRAIN.fullmatch(name))}
    test = f"test_batch{suffix}"
    if not numbered:
        raise UserError(f"{bundle.origin}: no training batches; expected data_batch_1{suffix} …")
    if test not in bundle.files:
        raise UserError(f"{bundle.origin}: no test batch; expected {test}{_half(bundle)}")
    _check_numbers(bundle, sorted(numbered), suffix)
    train = _join(bundle, [numbered[number] for number in sorted(numbered)], read)
    if len(numbered) < _BATCHES and len(train) == len(numbered) * _BATCH_IMAGES:
        missing = f"data_batch_{len(numbered) + 1}{suffix}"
        raise UserError(
            f"{bundle.origin}: {missing} is missing: {len(numbered)} of CIFAR-10's {_BATCHES} "
            f"training batches are there{_half(bundle)}"
        )
    return _class_names(bundle, binary), train, _join(bundle, [test], read)


def _check_numbers(bundle: Bundle, numbers: list[int], suffix: str) -> None:
    """Raise UserError where a batch is missing between others."""
    missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
    if missing:
        names = ", ".join(f"data_batch_{number}{suffix}" for number in missing[:5])
        raise UserError(f"{bundle.origin}: {names} missing{_half(bundle)}")


def _half(bundle: Bundle) -> str:
    """What to do where files are missing from a folder, as after half an unpacking."""
    if not bundle.origin.is_dir():
        return "; the archive is not whole: fetch it again"
    return "; unpack the archive again, or give its own path"


def _join(bundle: Bundle, names: list[str], read: _Reader) -> Split:
    images, labels = [], []
    for name in names:
        where = f"{bundle.origin}: {name}"
        planes, classes = read(bundle.files[name], where)
        if len(classes) == 0:
            raise UserError(f"{where}: is empty; expected records of {RECORD} bytes")
        if classes.min() < 0 or classes.max() > 9:
            wrong = int(classes[(classes < 0) | (classes > 9)][0])
            raise UserError(f"{where}: label {wrong}; labels are 0 to 9")
        images.append(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
        labels.append(classes)
    return Split(np.ascontiguousarray(np.concatenate(images)), np.concatenate(labels))


def _read_binary(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if len(content) % RECORD:
        raise UserError(
            f"{where}: {len(content):,} bytes are not whole records; "
            f"expected a multiple of {RECORD} (a label and {PIXELS} pixel bytes)"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _read_pickle(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = unpickle(content, where)
    data, labels = _entry(batch, "data"), _entry(batch, "labels")
    try:
        pixels = data.pixels() if isinstance(data, StoredArray) else None
    except ValueError as error:
        raise UserError(f"{where}: not a whole array under 'data' ({error})") from error
    if pixels is None:
        raise UserError(f"{where}: no array of uint8 under 'data'")
    if pixels.shape[1:] == (SIDE, SIDE, 3):  # written again by a user, with the channels last
        pixels = pixels.transpose(0, 3, 1, 2).reshape(-1, PIXELS)
    elif pixels.shape[1:] == (3, SIDE, SIDE):
        pixels = pixels.reshape(-1, PIXELS)
    if pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        raise UserError(f"{where}: data of shape {pixels.shape}; expected (N, {PIXELS})")
    if isinstance(labels, StoredArray):
        labels = _numbers(labels, where)
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise UserError(f"{where}: no list of whole numbers under 'labels'")
    if len(labels) != len(pixels):
        raise UserError(f"{where}: {len(labels):,} labels for {len(pixels):,} images")
    if labels and not 0 <= min(labels) <= max(labels) <= 9:  # before they have to fit int64
        wrong = next(label for label in labels if not 0 <= label <= 9)
        raise UserError(f"{where}: label {wrong}; labels are 0 to 9")
    return pixels, np.array(labels, np.int64)


def _numbers(labels: StoredArray, where: str) -> list[int] | None:
    """Labels that were written again as an array."""
    try:
        return labels.whole_numbers()
    except ValueError as error:
        raise UserError(f"{where}: not a whole array under 'labels' ({error})") from error


def _class_names(bundle: Bundle, binary: bool) -> tuple[str, ...]:
    name = "batches.meta.txt" if binary else "batches.meta"
    if name not in bundle.files:
        return CLASSES
    where = f"{bundle.origin}: {name}"
    if binary:
        names = bundle.files[name].decode("utf-8", "replace").split()
    else:
        listed = _entry(unpickle(bundle.files[name], where), "label_names")
        try:
            names = [text(item) for item in listed] if isinstance(listed, list) else []
        except ValueError as error:
            raise UserError(f"{where}: {error} under 'label_names'") from error
    if len(set(names)) != len(CLASSES):
        raise UserError(f"{where}: {len(set(names))} class names; expected {len(CLASSES)}")
    return tuple(names)


def _entry(batch: object, key: str) -> object:
    """The value of a key that Python 2 wrote as bytes and Python 3 as text."""
    if not isinstance(batch, dict):
        return None
    return batch.get(key, batch.get(key.encode()))
