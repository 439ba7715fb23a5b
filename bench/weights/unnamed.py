"""Arrays in a row without names, as ``numpy.savez(file, *arrays)`` and Keras's ``get_weights`` give
them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

NOTE = "arrays without names taken as layers in their order"
_NORMALISATION = ("weight", "bias", "running_mean", "running_var")


def by_order(arrays: Iterable[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays as ``layer1.weight``, ``layer1.bias``, ….

    A kernel or matrix starts a layer, and a vector right after it is its bias. Four vectors in a
    row after that are a BatchNorm. Numbers (counters of batches) are left out.
    """
    found: dict[str, NDArray[Any]] = {}
    count, parts = 0, list[str]()
    for array in arrays:
        if array.ndim == 0:
            continue
        if array.ndim > 1 or not parts:
            count += 1
            parts = ["weight", "bias"] if array.ndim > 1 else list(_NORMALISATION)
        found[f"layer{count}.{parts.pop(0)}"] = array
    return found
