"""Decoder of a folder of images, `train/<class>/*.png|jpg` and `test/<class>/…`.

Pillow decodes; every image must be 32x32 already, as resizing would make another dataset of it.
"""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from bench.core.errors import UserError
from bench.data.archives import Bundle
from bench.data.dataset import SIDE, Split

_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}  # 8 bits or fewer


def read_image_folder(bundle: Bundle, progress: bool) -> tuple[tuple[str, ...], Split, Split]:
    """Class names (the sorted folder names), training split and test split.

    Images are in the sorted order of their paths; grey and transparent ones become RGB.
    Raises UserError naming the file that is damaged or not 32x32, or the class folder that is
    empty or missing in one of the splits.
    """
    classes = _classes(bundle)
    names = [name for name in bundle.files if name.startswith(("train/", "test/"))]
    pixels = np.empty((len(names), SIDE, SIDE, 3), np.uint8)
    bar = Progress(console=Console(stderr=True), disable=not progress)
    with bar:  # one thread: most of the work on such small images holds the interpreter's lock
        for row, name in enumerate(bar.track(names, description="decoding images")):
            pixels[row] = decode(bundle.files[name], f"{bundle.origin}: {name}")
    number = {label: index for index, label in enumerate(classes)}
    labels = np.array([number[name.split("/")[1]] for name in names], np.int64)
    training = np.array([name.startswith("train/") for name in names])
    train, test = (Split(pixels[chosen], labels[chosen]) for chosen in (training, ~training))
    return classes, train, test


def decode(content: bytes, where: str) -> NDArray[np.uint8]:
    """One encoded image as (32, 32, 3) uint8, RGB. Raises UserError starting with `where`."""
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image,
        ):
            if image.size != (SIDE, SIDE):  # as declared: no pixel has been decoded yet
                width, height = image.size
                raise UserError(f"{where}: {width}x{height} pixels; images must be 32x32")
            if image.mode not in _MODES:
                raise UserError(f"{where}: pixels of kind {image.mode}; expected 8-bit RGB")
            return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except Exception as error:  # damaged files raise nearly every type there is
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = reason if "BytesIO" not in reason else "unknown format"
        raise UserError(f"{where}: not a whole PNG or JPEG image ({reason})") from error


def _classes(bundle: Bundle) -> tuple[str, ...]:
    folders = bundle.folders | {name.rpartition("/")[0] for name in bundle.files if "/" in name}
    filled = {name.rpartition("/")[0] for name in bundle.files}
    sets = {
        split: {folder.split("/")[1] for folder in folders if folder.startswith(f"{split}/")}
        for split in ("train", "test")
    }
    for split, found in sets.items():
        if not found:
            raise UserError(f"{bundle.origin}: no {split} split; expected {split}/<class>/*.jpg")
    if sets["train"] != sets["test"]:
        odd = sorted(sets["train"] ^ sets["test"])[0]
        there = "train" if odd in sets["train"] else "test"
        raise UserError(
            f"{bundle.origin}: class {odd!r} is only in {there}/; train/ and test/ must have the "
            "same classes"
        )
    for folder in sorted(folders - filled):
        raise UserError(f"{bundle.origin}: no image in {folder}/; expected *.png, *.jpg, *.jpeg")
    return tuple(sorted(sets["train"]))
