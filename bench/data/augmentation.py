"""Augmentation of the pixels of a whole batch: uint8 in, uint8 out.

Nothing here draws a random number; the batch plan decides which image is changed and how. These run
inside the timed loop, so there is no loop over images.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from bench.data.dataset import SIDE

Pixels = NDArray[np.uint8]
"""(B, 32, 32, 3), RGB, contiguous."""

_MIDDLE = (SIDE - 1) / 2
_BORDER = math.ceil(_MIDDLE * (math.sqrt(2) - 1))  # as far as a corner can turn out of the image
_WIDTH = SIDE + 2 * _BORDER
_BITS = 16  # of the fraction of a coordinate: whole numbers are the same on every machine
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # torchvision/transforms: rgb_to_grayscale


def crop(images: Pixels, offsets: NDArray[np.int64], padding: int) -> Pixels:
    """The 32×32 pixels at `offsets` (B, 2), (dy, dx), of images with a black border."""
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


def flip(images: Pixels, flips: NDArray[np.bool_]) -> None:
    """Mirror the images at `flips` (B,) left to right, in place."""
    pixels = images.view("V3")[..., 0]  # (B, 32, 32): a pixel moves as one piece
    pixels[flips] = pixels[flips][:, :, ::-1]


def rotate(images: Pixels, angles: NDArray[np.float64]) -> Pixels:
    """Every image turned round its middle by its angle (B,) in degrees, counter-clockwise.

    Each pixel is the one nearest to where it comes from, black where that is outside: the
    default of torchvision's ``rotate``.
    """
    count = len(images)
    padded = np.zeros((count, _WIDTH, _WIDTH, 3), np.uint8)
    padded[:, _BORDER:-_BORDER, _BORDER:-_BORDER] = images
    found = np.empty((count, SIDE, SIDE), "V3")
    pixels = padded.reshape(-1, 3).view("V3")[:, 0]
    # "clip" spares the check of every index; none is outside.
    np.take(pixels, _sources(angles), out=found, mode="clip")
    return found.view(np.uint8).reshape(count, SIDE, SIDE, 3)


def _sources(angles: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where each pixel comes from: (B, 32, 32) indices into the padded images laid end to end.

    The pixel at (x, y) from the middle comes from (x·cos - y·sin, x·sin + y·cos).
    """
    turn = np.deg2rad(angles)[:, None]  # (B, 1)
    place = np.arange(SIDE) - _MIDDLE  # (32,)
    one = 1 << _BITS
    cos = np.rint(np.cos(turn) * place * one).astype(np.intp)  # (B, 32)
    sin = np.rint(np.sin(turn) * place * one).astype(np.intp)
    cos += int((_BORDER + _MIDDLE + 0.5) * one)  # the half rounds to the nearest
    x: NDArray[np.intp] = cos[:, None, :] - sin[:, :, None]  # (B, 32, 32)
    y: NDArray[np.intp] = cos[:, :, None] + sin[:, None, :]
    x >>= _BITS
    y >>= _BITS
    y *= _WIDTH
    y += x
    y += (np.arange(len(angles)) * _WIDTH**2)[:, None, None]
    return y


def recolour(images: Pixels, factors: NDArray[np.float64]) -> Pixels:
    """Brightness, contrast and saturation of every image times its `factors` (B, 3).

    The three of torchvision's ``ColorJitter``, one after the other in that order: a blend with
    black, with the image's mean grey, with its own grey. 1 changes nothing. As there, every one
    ends in whole levels, cut off below the point.
    """
    brightness, contrast, saturation = factors.astype(np.float32).T[..., None, None, None]
    x = images.astype(np.float32)  # (B, 32, 32, 3)
    x *= brightness
    _levels(x)
    mean = _grey(x).mean(axis=(1, 2))[:, None, None, None]  # (B, 1, 1, 1)
    x *= contrast
    x += (1 - contrast) * mean
    _levels(x)
    grey = _grey(x)[..., None]  # (B, 32, 32, 1)
    x *= saturation
    x += (1 - saturation) * grey
    _levels(x)
    return x.astype(np.uint8)


def _levels(x: NDArray[np.float32]) -> None:
    np.clip(x, 0, 255, out=x)
    np.floor(x, out=x)


def _grey(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, 32, 32, 3) -> (B, 32, 32). Not a matrix product: each BLAS would add in its own order."""
    grey: NDArray[np.float32] = x[..., 0] * _GREY[0]
    grey += x[..., 1] * _GREY[1]
    grey += x[..., 2] * _GREY[2]
    return np.floor(grey, out=grey)
