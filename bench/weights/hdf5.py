"""Reads the weights of Keras's files, ``.keras`` and ``.weights.h5``, as the plain data they are.

Neither Keras nor anything that a file describes is built or run: a ``.keras`` file is a zip with
the weights in HDF5 inside, and HDF5 is arrays by path.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.pretrained import FACTS, FACTS_FILE

_WEIGHTS_FILE = "model.weights.h5"
# Of a layer's variables, in Keras's order, by their numbers of axes.
_PARTS = {
    (4, 1): ("weight", "bias"),
    (2, 1): ("weight", "bias"),
    (1, 1, 1, 1): ("weight", "bias", "running_mean", "running_var"),
}
_UNUSED = ("optimizer", "seed_generator")
"""State that no forward pass depends on."""
_DAMAGED = (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, AttributeError)
"""What reading a file that is not as it should be may raise."""
Arrays = dict[str, NDArray[Any]]


def read_h5(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Tensors by ``layer.part`` in Keras's layouts, in Keras's order, and the metadata.

    ``part`` is the core's word. Convolutions, dense layers and BatchNorm each come in the order in
    which the model has them. Raises UserError where the file is damaged or has another layer.
    """
    try:
        with _opened(path) as file:
            return dict(_tensors(file, str(path))), _metadata(path, file)
    except (*_DAMAGED, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole Keras file ({reason}); get it anew") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The HDF5 file, from within the zip where it is in one."""
    if path.name.lower().endswith(".h5"):
        with h5py.File(path, "r") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        content = archive.read(_WEIGHTS_FILE)
    with h5py.File(io.BytesIO(content), "r") as file:
        yield file


def _metadata(path: Path, file: Any) -> dict[str, str]:
    if FACTS in file:
        return {FACTS: file[FACTS][()].decode()}
    if path.name.lower().endswith(".h5"):
        return {}
    with zipfile.ZipFile(path) as archive:
        there = FACTS_FILE in archive.namelist()
        return {FACTS: archive.read(FACTS_FILE).decode()} if there else {}


def _tensors(file: Any, where: str) -> Iterator[tuple[str, NDArray[Any]]]:
    taken: set[str] = set()
    for path, group in sorted(_groups(file), key=lambda item: _numbers_as_such(item[0])):
        arrays = [group[str(index)] for index in range(len(group))]
        name = str(group.attrs.get("name", path.split("/")[-2]))
        if name in taken:  # of a model within the model
            name = path.replace("/", "_")
        taken.add(name)
        if any(array.is_virtual or array.external for array in arrays):
            raise UserError(
                f"{where}: layer {name} keeps its weights in another file; save it anew"
            )
        if _is_window(name, arrays):
            continue
        parts = _PARTS.get(tuple(array.ndim for array in arrays))
        if parts is None:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise UserError(
                f"{where}: layer {name} has the weights {shapes}: no convolution, dense layer or "
                "BatchNorm with all its weights"
            )
        yield from (
            (f"{name}.{part}", array[()]) for part, array in zip(parts, arrays, strict=True)
        )


def _groups(file: Any) -> Iterator[tuple[str, Any]]:
    """Every layer's group of variables that holds any. Links to other files are not followed."""
    found: list[tuple[str, Any]] = []

    def visit(path: str, item: Any) -> None:
        parts = path.split("/")
        if parts[-1] == "vars" and len(item) and not set(parts) & set(_UNUSED):
            found.append((path, item))

    file.visititems(visit)
    yield from found


def _is_window(name: str, arrays: list[Any]) -> bool:
    """Whether it is the fixed 1×1 convolution that stands for LRN's sum in an exported model."""
    shape = arrays[0].shape if arrays else ()
    return name.endswith("_lrn") and len(shape) == 4 and shape[:2] == (1, 1)


def _numbers_as_such(path: str) -> list[tuple[str, int]]:
    """Sorts ``conv2d`` before ``conv2d_2`` before ``conv2d_10``."""
    parts = (re.fullmatch(r"(.*?)(?:_(\d+))?", part) for part in path.split("/"))
    return [(part[1], int(part[2] or 0)) for part in parts if part]
