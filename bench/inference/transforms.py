"""A picture as a network takes it: resized, its middle cut out, normalised.

The arithmetic of torchvision's ``ImageClassification`` preset on a Pillow picture (torchvision,
transforms/_presets.py), in Pillow and numpy: resizing an array of floats instead would change
probabilities in the third digit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import UserError
from bench.networks.preprocessing import Preprocessing

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MOST_PIXELS = 1 << 26
"""Of a resized picture: one of 1×10000 pixels would become 256×2560000."""


def prepare(picture: Image.Image, how: Preprocessing, where: Path) -> NDArray[np.float32]:
    """(3, size, size), from a picture of mode RGB and any size.

    Raises UserError that begins with ``where`` for a picture too long and narrow to be resized.
    """
    if how.interpolation not in _FILTERS:
        raise UserError(
            f"unknown interpolation {how.interpolation!r}; known: {', '.join(_FILTERS)}"
        )
    width, height = resized_size(picture.size, how.resize)
    if width * height > _MOST_PIXELS:
        raise UserError(
            f"{where}: {picture.width}x{picture.height} pixels, which would be resized to "
            f"{width}x{height}; expected a picture that is less long and narrow"
        )
    small = picture.resize((width, height), _FILTERS[how.interpolation])
    return normalise(np.asarray(center_crop(small, how.size)), how)


def resized_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(width, height) when the shorter side becomes ``shorter``; the longer is rounded down."""
    width, height = size
    longer = int(shorter * max(size) / min(size))
    return (shorter, longer) if width <= height else (longer, shorter)


def center_crop(picture: Image.Image, size: int) -> Image.Image:
    """The middle ``size`` × ``size`` pixels; black stands where the picture does not reach."""
    (left, lacking_right), (top, lacking_below) = (
        _lacking(extent, size) for extent in picture.size
    )
    width = picture.width + left + lacking_right
    height = picture.height + top + lacking_below
    # torchvision pads first and rounds the middle afterwards, to the even number at a half.
    x = round((width - size) / 2) - left
    y = round((height - size) / 2) - top
    return picture.crop((x, y, x + size, y + size))


def _lacking(extent: int, size: int) -> tuple[int, int]:
    """Pixels to add before and after."""
    short = max(size - extent, 0)
    return short // 2, (short + 1) // 2


def normalise(pixels: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.float32]:
    """(H, W, 3) of 0..255 -> (3, H, W), in float32 at every step, as torchvision does it."""
    x = pixels.transpose(2, 0, 1).astype(np.float32)
    if how.pixel_range != 255:
        x = x / np.float32(255 / how.pixel_range)
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (how.mean, how.std))
    return np.ascontiguousarray((x - mean) / std)
