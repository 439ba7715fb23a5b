"""Reads dumps of arrays: a ``.npy`` that holds a dictionary, a bare pickle of arrays by name.

Converters from Caffe and MATLAB write them: ``{"conv1": [weights, biases], …}`` or ``{"conv1":
{"weights": …, "biases": …}, …}``. Both are pickles, which are read by an unpickler that builds
plain values and arrays of floats alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.batch_pickles import StoredArray, unpickle
from bench.networks.checkpoints import chosen_set
from bench.weights import unnamed
from bench.weights.limits import LARGEST

_PAIR = ("weight", "bias")
_WHAT = "dump of weights"


@dataclass(frozen=True)
class Dump:
    """The arrays of a dump by ``layer.part``, and what was passed over."""

    tensors: dict[str, NDArray[Any]]
    notes: list[str] = field(default_factory=list)


def read_dump(path: Path, key: str | None = None) -> Dump:
    """The arrays of a ``.npy`` or a pickle.

    Args:
        path: The file.
        key: One of several sets of weights in it.

    Raises:
        UserError: It is one array without a name, asks for code, or has no arrays by name.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise UserError(f"{path}: {size} bytes; at most {LARGEST} are read")
    content = path.read_bytes()
    if content.startswith(b"\x93NUMPY"):
        content = _pickle_in(path, content)
    found = _opened(unpickle(content, str(path), _WHAT))
    if isinstance(found, list) and found and all(_axes(array) is not None for array in found):
        return Dump(unnamed.by_order(found), [unnamed.NOTE])
    chosen = chosen_set(_flat(found), _axes, str(path), key)
    notes = [f"taken from {chosen.key!r}"] if chosen.key else []
    if chosen.passed_over:
        notes.append(f"passed over: {', '.join(chosen.passed_over)}")
    return Dump(chosen.tensors, notes)


def _pickle_in(path: Path, content: bytes) -> bytes:
    """The pickle in a ``.npy`` of one object. Raises UserError where it is an array of numbers."""
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = readers[version](stream)
    if not dtype.hasobject:
        raise UserError(
            f"{path}: one array {shape} of {dtype} without a name; expected a dictionary of arrays "
            "by layer (numpy.savez writes one)"
        )
    return stream.read()


def _opened(found: object) -> object:
    """The dictionary in an array of one object, arrays as numpy's, names as text."""
    if isinstance(found, StoredArray):
        if isinstance(found.content, list):
            return _opened(found.content[0] if len(found.content) == 1 else found.content)
        return found.floats()
    if isinstance(found, Mapping):
        return {_text(name): _opened(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_opened(value) for value in found]
    return found


def _text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _flat(found: object) -> object:
    """The same with ``layer.part`` for arrays within layers: one level, where all have it."""
    if not isinstance(found, Mapping):
        return found
    flat = dict(_parts(found))
    if flat:
        return flat
    return {name: _flat(value) for name, value in found.items()}


def _parts(layers: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Arrays by ``layer.part``; nothing where a value is no layer."""
    if not layers or not all(_is_layer(value) for value in layers.values()):
        return
    for name, value in layers.items():
        if isinstance(value, list):
            yield from ((f"{name}.{part}", array) for part, array in zip(_PAIR, value, strict=True))
        else:
            yield from ((f"{name}.{part}", array) for part, array in value.items())


def _is_layer(value: object) -> bool:
    if isinstance(value, list):
        return len(value) == len(_PAIR) and all(_axes(array) is not None for array in value)
    arrays = isinstance(value, Mapping) and 0 < len(value) <= 5
    return arrays and all(_axes(array) in (1, 2, 4) for array in value.values())  # type: ignore[attr-defined]


def _axes(value: object) -> int | None:
    return value.ndim if isinstance(value, np.ndarray) else None
