"""Constant arrays of a layer as tensors of the backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from numpy.typing import NDArray

from models_keras.backend import current


class Constants:
    """Arrays that a layer needs in every call.

    Where calls are not traced they are copied to the device once: a copy in every call would make
    the host wait for the device.
    """

    def __init__(self, *arrays: NDArray[Any]) -> None:
        self._arrays = arrays
        self._kept: dict[Any, tuple[Any, ...]] = {}

    def like(self, x: Any) -> tuple[Any, ...]:
        """In the type of ``x``, and where that is."""
        if not current().KEEPS_CONSTANTS:
            return self._tensors(x)
        place = x.device, x.dtype
        if place not in self._kept:
            self._kept[place] = self._tensors(x)
        return self._kept[place]

    def _tensors(self, x: Any) -> tuple[Any, ...]:
        dtype = keras.backend.standardize_dtype(x.dtype)
        return tuple(ops.convert_to_tensor(array, dtype=dtype) for array in self._arrays)
