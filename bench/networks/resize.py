"""Bilinear resizing as a product of matrices, the same in every framework."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cropped(extent: int, size: int) -> slice:
    """The middle ``size`` of ``extent`` pixels, as torchvision's centre crop has it: a half is
    rounded to the even number."""
    first = round((extent - size) / 2)
    return slice(first, first + size)


def enlarged(x: NDArray[np.float32], resize: int, size: int) -> NDArray[np.float32]:
    """What a network makes of images on the device: resized, and the middle cut out.

    Args:
        x: (C, H, W), normalised.
        resize: Side in pixels to which both sides are brought.
        size: Side of the square that is cut out of it.

    Returns:
        (C, size, size).
    """
    rows, columns = (interpolation_matrix(extent, resize) for extent in x.shape[1:])
    middle = cropped(resize, size)
    found = rows[middle] @ x.astype(np.float64) @ columns[middle].T
    return np.ascontiguousarray(found, np.float32)


def interpolation_matrix(extent: int, size: int) -> NDArray[np.float64]:
    """(size, extent): how much of every old pixel is in every new one, along one side.

    Half-pixel centres and no antialiasing. Rows @ image @ columns.T, with one such matrix for
    each side, is the resized image.
    """
    places = np.clip((np.arange(size) + 0.5) * (extent / size) - 0.5, 0, extent - 1)
    # A pixel reaches as far as its neighbour's centre, and falls off linearly.
    shares: NDArray[np.float64] = 1 - np.abs(places[:, None] - np.arange(extent)[None, :])
    return np.maximum(0.0, shares)
