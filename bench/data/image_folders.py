"""Decoder of a folder of images: `train/<class>/*.png|jpg|…` and `test/<class>/…`.

Pillow decodes, and what is no upright 8-bit RGB is converted as `predict` converts it. Every image
must have the stored size already, as resizing makes another dataset of it; `resize` asks for that,
and the dataset's name has it.
"""

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from rich.progress import Progress

from bench.core import terminal
from bench.core.errors import UserError
from bench.core.system.resources import usable_memory
from bench.core.text import printable
from bench.data.archives import UNSPLIT, VALIDATION, Bundle
from bench.data.dataset import SIDE, Split, balanced_order
from bench.data.pixels import FORMATS, TURNED, Conversions, differences, square, to_rgb, turn_of

_READ = "PNG, JPEG, WebP, AVIF, BMP, GIF and TIFF"
_TEST_SHARE = 0.2
"""Of each class, where images come in no split."""
_SPLIT_SEED = 20_121_203  # any fixed number: it decides which images are the test split
_MOST_PIXELS = 100_000_000
"""Of an image that is resized."""


@dataclass(frozen=True)
class FolderImages:
    """What a folder of images holds.

    Attributes:
        classes: Names of the class folders, sorted; bytes that are not UTF-8 are escaped.
        train: The training split.
        test: The test split.
        notes: What was passed over, split and resized; a sentence each.
    """

    classes: tuple[str, ...]
    train: Split
    test: Split
    notes: tuple[str, ...] = ()


def read_image_folder(bundle: Bundle, progress: bool, resize: int | None = None) -> FolderImages:
    """Classes and splits of the images in class folders.

    Images are in the sorted order of their paths. Without a test split the validation split is it;
    without that too every class gives a fifth of its images to the test split, the same ones each
    time.

    Args:
        bundle: The files.
        progress: Whether a bar is shown.
        resize: Side in pixels that every image is brought to: the shorter side, then the middle
            square; None refuses images that are not 32x32.

    Raises:
        UserError: An image is damaged or has another size, or a class folder is empty or missing in
            one of the splits; the message names it.
    """
    splits, notes = _splits(bundle)
    classes = _classes(bundle, splits)
    names = [name for name in bundle.files if name.partition("/")[0] in splits]
    side = resize or SIDE
    _check_memory(bundle, len(names), side)
    pixels = np.empty((len(names), side, side, 3), np.uint8)
    conversions = Conversions()
    bar = Progress(console=terminal.console(stderr=True), disable=not progress)
    with bar:  # one thread: most of the work on such small images holds the interpreter's lock
        for row, name in enumerate(bar.track(names, description="decoding images")):
            where = f"{bundle.origin}: {name}"
            pixels[row] = decode(bundle.files[name], where, resize, conversions)
    number = {label: index for index, label in enumerate(classes)}
    labels = np.array([number[name.split("/")[1]] for name in names], np.int64)
    training = _training(names, labels, splits)
    train, test = (Split(pixels[chosen], labels[chosen]) for chosen in (training, ~training))
    notes = (*notes, *filter(None, [conversions.summary()]), *_skipped(bundle), *_beside(bundle))
    return FolderImages(_printable(classes), train, test, notes)


def _check_memory(bundle: Bundle, count: int, side: int) -> None:
    needed, memory = count * side * side * 3, usable_memory()
    if needed > memory // 3:  # the splits are copies
        raise UserError(
            f"{bundle.origin}: {count:,} images of {side}x{side} pixels take "
            f"{needed / 2**30:.1f} GiB three times, and {memory / 2**30:.1f} may be used here; "
            "give a smaller --resize, and --input-sizes for the network"
        )


def decode(
    content: bytes, where: str, resize: int | None = None, conversions: Conversions | None = None
) -> NDArray[np.uint8]:
    """One encoded image as (S, S, 3) uint8, upright RGB, S = `resize` or 32.

    `conversions` counts what was converted. Raises UserError starting with `where`.
    """

    def opened() -> ImageFile.ImageFile:
        return Image.open(io.BytesIO(content), formats=FORMATS)

    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            opened() as image,
        ):
            _check_size(image.size, where, resize)  # as declared: no pixel has been decoded yet
            kinds = _kinds(image, where)
            rgb = to_rgb(image, opened)
            if (turn := turn_of(image)) is not None:
                rgb, kinds = rgb.transpose(turn), [*kinds, TURNED]
    except UserError:
        raise
    except Exception as error:  # damaged files raise nearly every type there is
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = reason if "BytesIO" not in reason else "unknown format"
        raise UserError(f"{where}: not a whole image ({reason}); {_READ} are read") from error
    if conversions is not None:
        conversions.add(kinds)
    return np.asarray(rgb if resize is None else square(rgb, resize))


def _kinds(image: Image.Image, where: str) -> list[str]:
    try:
        return differences(image)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _check_size(size: tuple[int, int], where: str, resize: int | None) -> None:
    width, height = size
    if resize is None and size != (SIDE, SIDE):
        raise UserError(
            f"{where}: {width}x{height} pixels; images must be 32x32; --resize 32 resizes them "
            "(or --resize 224, for networks of that size)"
        )
    if resize is not None and width * height > _MOST_PIXELS:
        raise UserError(f"{where}: {width}x{height} pixels; at most {_MOST_PIXELS:,} are read")


def _splits(bundle: Bundle) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The splits that are used, the training split first, and what is to be said about them."""
    there = Counter(name.partition("/")[0] for name in bundle.files)
    folders = {folder.partition("/")[0] for folder in bundle.folders}
    share = f"{100 * _TEST_SHARE:.0f} % of each class, always the same, is the test"
    said = _without_class(bundle)
    if UNSPLIT in there:
        return (UNSPLIT,), (f"no train and test folders: {share}", *said)
    if "test" in there or "test" in folders:
        if unused := there[VALIDATION]:
            said = (f"{VALIDATION}/ with {unused} images is not used, since there is a test split",)
        return ("train", "test"), said
    if VALIDATION in there or "train" not in there:
        other = (f"{VALIDATION}/ is the test split, since there is no other",)
        return ("train", VALIDATION), (*other, *said)
    return ("train",), (f"train/ alone: {share}", *said)


def _without_class(bundle: Bundle) -> tuple[str, ...]:
    splits = Counter(name.split("/")[-2] for name in bundle.without_class)
    return tuple(
        f"{split}/ has {count} images in no class, which are not used"
        for split, count in sorted(splits.items())
    )


def _training(
    names: Sequence[str], labels: NDArray[np.int64], splits: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Which images are those of the training split."""
    if len(splits) > 1:
        return np.array([name.startswith("train/") for name in names])
    found = np.ones(len(names), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(_TEST_SHARE * len(members)))
        order = balanced_order(labels[members], _SPLIT_SEED)
        found[members[order[:count]]] = False
    return found


def _printable(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names for tables and files in UTF-8; what is not is escaped, as ``caf\\xe9``."""
    return tuple(map(printable, classes))


def _beside(bundle: Bundle) -> tuple[str, ...]:
    folders = Counter(name.partition("/")[0] for name in bundle.beside)
    if not folders:
        return ()
    each = ", ".join(f"{count} in {printable(name)}/" for name, count in folders.items())
    if all(name.startswith(f"{UNSPLIT}/") for name in bundle.files):
        return (f"images not used, since without splits a class has none in sub-folders: {each}",)
    return (f"images not used, since splits are called train, val or test: {each}",)


def _skipped(bundle: Bundle) -> tuple[str, ...]:
    if not bundle.skipped:
        return ()
    suffixes = Counter(
        f".{name.rpartition('.')[2]}" if "." in name.rpartition("/")[2] else "no suffix"
        for name in bundle.skipped
    )
    each = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(4))
    each = _printable((each,))[0]
    return (f"passed over in class folders: {each}; {_READ} are read",)


def _classes(bundle: Bundle, splits: tuple[str, ...]) -> tuple[str, ...]:
    filled = {"/".join(name.split("/")[:2]) for name in bundle.files if "/" in name}
    folders = bundle.folders | filled
    folders = frozenset(name for name in folders if name.partition("/")[0] in splits)
    sets = {
        split: {folder.split("/")[1] for folder in folders if folder.startswith(f"{split}/")}
        for split in splits
    }
    for split, found in sets.items():
        if not found:
            raise UserError(f"{bundle.origin}: no {split} split; expected {split}/<class>/*.jpg")
    first, *others = splits
    for other in others:
        if sets[first] != sets[other]:
            odd = sorted(sets[first] ^ sets[other])[0]
            there = first if odd in sets[first] else other
            raise UserError(
                f"{bundle.origin}: class {odd!r} is only in {there}/; {first}/ and {other}/ must "
                "have the same classes"
            )
    for folder in sorted(folders - filled):
        raise UserError(f"{bundle.origin}: no image in {folder}/; expected {_READ}")
    if len(splits) == 1:
        counts = Counter(name.split("/")[1] for name in bundle.files)
        for name, count in sorted(counts.items()):
            if count < 2:
                raise UserError(
                    f"{bundle.origin}: class {name!r} has one image, which cannot be in both "
                    "splits; add images, or give train/ and test/"
                )
    return tuple(sorted(sets[first]))
