"""The input of a network from an image: resized, cropped to the centre, normalised.

The arithmetic of torchvision's ``ImageClassification`` preset on a Pillow image (torchvision,
transforms/_presets.py), in Pillow and numpy: resizing an array of floats instead would change
probabilities in the third digit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import UserError
from bench.data.pixels import memory_to_rgb, square
from bench.networks.preprocessing import Preprocessing
from bench.networks.resize import enlarged

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MOST_PIXELS = 1 << 26
"""Of a resized image: one of 1×10000 pixels would become 256×2560000."""


def prepare(image: Image.Image, preprocessing: Preprocessing, path: Path) -> NDArray[np.float32]:
    """Preprocess an image.

    Args:
        image: Of mode RGB, of any size.
        preprocessing: That of the weights.
        path: The file, for errors.

    Returns:
        (3, S, S) float32, with S = ``preprocessing.size``.

    Raises:
        UserError: The image is too long and narrow to be resized, or the interpolation is unknown.
    """
    if preprocessing.interpolation not in _FILTERS:
        raise UserError(
            f"unknown interpolation {preprocessing.interpolation!r}; known: {', '.join(_FILTERS)}"
        )
    if preprocessing.stored is not None:
        return _as_in_training(image, preprocessing, preprocessing.stored)
    width, height = resized_size(image.size, preprocessing.resize)
    if width * height > _MOST_PIXELS:
        raise UserError(
            f"{path}: {image.width}x{image.height} pixels, which would be resized to "
            f"{width}x{height}; expected an image that is less long and narrow"
        )
    small = image.resize((width, height), _FILTERS[preprocessing.interpolation])
    return normalise(np.asarray(center_crop(small, preprocessing.size)), preprocessing)


def _as_in_training(
    image: Image.Image, preprocessing: Preprocessing, stored: int
) -> NDArray[np.float32]:
    """As a data set of class folders is read with ``--resize``, and as the device goes on."""
    pixels = np.asarray(square(image, stored))
    x = normalise(pixels, preprocessing)
    return enlarged(x, preprocessing.resize, preprocessing.size)


def as_rgb(image: Image.Image) -> Image.Image:
    """An image in memory as RGB, converted as those of files are; it is not turned by EXIF.

    Raises:
        UserError: It cannot be converted, since the range of its pixels is unknown.
    """
    try:
        return memory_to_rgb(image)
    except ValueError as error:
        raise UserError(f"{getattr(image, 'filename', '') or 'image'}: {error}") from None


def resized_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(width, height) with the shorter side at ``shorter``; the longer one is rounded down."""
    width, height = size
    longer = int(shorter * max(size) / min(size))
    return (shorter, longer) if width <= height else (longer, shorter)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """The middle ``size`` × ``size`` pixels, padded with black where the image is smaller."""
    (left, pad_right), (top, pad_below) = (_padding(extent, size) for extent in image.size)
    width = image.width + left + pad_right
    height = image.height + top + pad_below
    # As torchvision: pad first, then round the centre, halves to the even number.
    x = round((width - size) / 2) - left
    y = round((height - size) / 2) - top
    return image.crop((x, y, x + size, y + size))


def _padding(extent: int, size: int) -> tuple[int, int]:
    """Pixels to add before and after along one side."""
    short = max(size - extent, 0)
    return short // 2, (short + 1) // 2


def normalise(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """(H, W, 3) in 0..255 -> (3, H, W), in float32 at every step, as in torchvision."""
    x = pixels.transpose(2, 0, 1).astype(np.float32)
    if preprocessing.pixel_range != 255:
        x = x / np.float32(255 / preprocessing.pixel_range)
    mean, std = (
        np.array(values, np.float32).reshape(3, 1, 1)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return np.ascontiguousarray((x - mean) / std)
