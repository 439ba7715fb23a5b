"""Bilinear resizing as a product of matrices, the same in every framework."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cropped(extent: int, size: int) -> slice:
    """The middle ``size`` of ``extent`` pixels, as torchvision's centre crop has it: a half is
    rounded to the even number."""
    first = round((extent - size) / 2)
    return slice(first, first + size)


def interpolation_matrix(extent: int, size: int) -> NDArray[np.float64]:
    """(size, extent): how much of every old pixel is in every new one, along one side.

    Half-pixel centres and no antialiasing. Rows @ image @ columns.T, with one such matrix for
    each side, is the resized image.
    """
    places = np.clip((np.arange(size) + 0.5) * (extent / size) - 0.5, 0, extent - 1)
    # A pixel reaches as far as its neighbour's centre, and falls off linearly.
    shares: NDArray[np.float64] = 1 - np.abs(places[:, None] - np.arange(extent)[None, :])
    return np.maximum(0.0, shares)
