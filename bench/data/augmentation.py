"""Augmentation of the pixels of a whole batch: uint8 in, uint8 out.

Nothing here draws a random number; the batch plan decides which image is changed and how. These run
inside the timed loop, so there is no loop over images.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(B, S, S, 3), RGB, contiguous; S is 32 unless the data was resized."""

_BITS = 16  # of the fraction of a coordinate: whole numbers are the same on every machine
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # torchvision/transforms: rgb_to_grayscale


def crop(images: Pixels, offsets: NDArray[np.int64], padding: int) -> Pixels:
    """The S×S pixels at `offsets` (B, 2), (dy, dx), of images with a black border."""
    count, side = images.shape[:2]
    places, width = 2 * padding + 1, side + 2 * padding
    padded = np.zeros((count, width, width, 3), np.uint8)
    padded[:, padding:-padding, padding:-padding] = images
    # (B, dy, dx, S, 3·S): every crop of every image, as a view; a row of pixels is one run of bytes
    per_image, per_row, per_pixel, _ = padded.strides
    crops = as_strided(
        padded,
        (count, places, places, side, side * 3),
        (per_image, per_row, per_pixel, per_row, 1),
        writeable=False,
    )
    chosen = crops[np.arange(count), offsets[:, 0], offsets[:, 1]]
    return chosen.reshape(count, side, side, 3)


def flip(images: Pixels, flips: NDArray[np.bool_]) -> None:
    """Mirror the images at `flips` (B,) left to right, in place."""
    pixels = images.view("V3")[..., 0]  # (B, S, S): a pixel moves as one piece
    pixels[flips] = pixels[flips][:, :, ::-1]


def rotate(images: Pixels, angles: NDArray[np.float64]) -> Pixels:
    """Every image turned round its middle by its angle (B,) in degrees, counter-clockwise.

    Each pixel is the one nearest to where it comes from, black where that is outside: the
    default of torchvision's ``rotate``.
    """
    count, side = images.shape[:2]
    border = _border(side)
    width = side + 2 * border
    padded = np.zeros((count, width, width, 3), np.uint8)
    padded[:, border:-border, border:-border] = images
    found = np.empty((count, side, side), "V3")
    pixels = padded.reshape(-1, 3).view("V3")[:, 0]
    # "clip" spares the check of every index; none is outside.
    np.take(pixels, _sources(angles, side), out=found, mode="clip")
    return found.view(np.uint8).reshape(count, side, side, 3)


def _border(side: int) -> int:
    """As far as a corner can turn out of an image."""
    return math.ceil((side - 1) / 2 * (math.sqrt(2) - 1))


def _sources(angles: NDArray[np.float64], side: int) -> NDArray[np.intp]:
    """Where each pixel comes from: (B, S, S) indices into the padded images laid end to end.

    The pixel at (x, y) from the middle comes from (x·cos - y·sin, x·sin + y·cos).
    """
    turn = np.deg2rad(angles)[:, None]  # (B, 1)
    middle, border = (side - 1) / 2, _border(side)
    width = side + 2 * border
    place = np.arange(side) - middle  # (S,)
    one = 1 << _BITS
    cos = np.rint(np.cos(turn) * place * one).astype(np.intp)  # (B, S)
    sin = np.rint(np.sin(turn) * place * one).astype(np.intp)
    cos += int((border + middle + 0.5) * one)  # the half rounds to the nearest
    x: NDArray[np.intp] = cos[:, None, :] - sin[:, :, None]  # (B, S, S)
    y: NDArray[np.intp] = cos[:, :, None] + sin[:, None, :]
    x >>= _BITS
    y >>= _BITS
    y *= width
    y += x
    y += (np.arange(len(angles)) * width**2)[:, None, None]
    return y


def recolour(images: Pixels, factors: NDArray[np.float64]) -> Pixels:
    """Brightness, contrast and saturation of every image times its `factors` (B, 3).

    The three of torchvision's ``ColorJitter``, one after the other in that order: a blend with
    black, with the image's mean grey, with its own grey. 1 changes nothing. As there, every one
    ends in whole levels, cut off below the point.
    """
    brightness, contrast, saturation = factors.astype(np.float32).T[..., None, None, None]
    x = images.astype(np.float32)  # (B, S, S, 3)
    x *= brightness
    _levels(x)
    mean = _grey(x).mean(axis=(1, 2))[:, None, None, None]  # (B, 1, 1, 1)
    x *= contrast
    x += (1 - contrast) * mean
    _levels(x)
    grey = _grey(x)[..., None]  # (B, S, S, 1)
    x *= saturation
    x += (1 - saturation) * grey
    _levels(x)
    return x.astype(np.uint8)


def blacken(images: Pixels, squares: NDArray[np.float64]) -> None:
    """Make the square of every image black, in place.

    `squares` (B, 3) has the middle (y, x) and the side, as fractions of the image's side. The
    middle lies in the image; what of the square lies outside is cut off.
    """
    side = images.shape[1]
    lengths = np.rint(squares[:, 2:] * side)  # (B, 1)
    first = np.floor(squares[:, :2] * side) - np.floor(lengths / 2)  # (B, 2)
    place = np.arange(side)
    inside = (place >= first[..., None]) & (place < (first + lengths)[..., None])  # (B, 2, S)
    images[inside[:, 0, :, None] & inside[:, 1, None, :]] = 0


def _levels(x: NDArray[np.float32]) -> None:
    np.clip(x, 0, 255, out=x)
    np.floor(x, out=x)


def _grey(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, S, S, 3) -> (B, S, S). Not a matrix product: each BLAS would add in its own order."""
    grey: NDArray[np.float32] = x[..., 0] * _GREY[0]
    grey += x[..., 1] * _GREY[1]
    grey += x[..., 2] * _GREY[2]
    return np.floor(grey, out=grey)
