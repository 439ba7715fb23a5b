"""Reads Keras's files, ``.keras``, ``.weights.h5`` and ``.h5``, as plain data.

Neither Keras nor anything that a file describes is built or run: a ``.keras`` file is a zip with
the weights in HDF5 inside, and HDF5 is arrays by path. What a model does with its weights stands in
its config, a JSON text in the zip or in an attribute of an ``.h5``.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.pretrained import FACTS, FACTS_FILE
from bench.weights.keras_models.config import LARGEST_CONFIG, Config, parse
from bench.weights.limits import LARGEST, check_array, check_members

_WEIGHTS_FILE = "model.weights.h5"
_CONFIG_FILE = "config.json"
_CONFIG = "model_config"
"""The attribute of an ``.h5`` of a whole model."""
# Names of a layer's variables in Keras's order, by their numbers of axes.
_PARTS = {
    (4, 1): ("weight", "bias"),
    (2, 1): ("weight", "bias"),
    (1, 1, 1, 1): ("weight", "bias", "running_mean", "running_var"),
}
_UNUSED = ("optimizer", "seed_generator", "metrics")
"""Groups of state that no forward pass depends on; in Keras 2 metrics are layers."""
Arrays = dict[str, NDArray[Any]]


def read_h5(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Tensors by ``layer.part`` in Keras's layouts and order, and the metadata.

    ``part`` is the core's name. Convolutions, dense layers and BatchNorm each come in the order of
    the model.

    Raises:
        UserError: The file has a layer of another kind.
        Exception: Of nearly any type, where the file is damaged.
    """
    with _opened(path) as file:
        return dict(_tensors(file, str(path))), _metadata(path, file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The HDF5 file, also where it is within a zip."""
    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        check_members(archive, path.stat().st_size)
        content = archive.read(_WEIGHTS_FILE)
    with h5py.File(io.BytesIO(content), "r") as file:
        yield file


def read_config(path: Path) -> Config | None:
    """The config of the model in a file; None where it holds weights alone.

    Raises:
        UserError: It is not JSON, or too large.
        Exception: Of nearly any type, where the file is damaged.
    """
    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            text = file.attrs.get(_CONFIG)
        return None if text is None else parse(text, str(path))
    with zipfile.ZipFile(path) as archive:
        check_members(archive, path.stat().st_size)
        if _CONFIG_FILE not in archive.namelist():
            return None
        with archive.open(_CONFIG_FILE) as stream:
            return parse(stream.read(LARGEST_CONFIG + 1), str(path))


def _metadata(path: Path, file: Any) -> dict[str, str]:
    if FACTS in file:
        return {FACTS: file[FACTS][()].decode()}
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        there = FACTS_FILE in archive.namelist()
        return {FACTS: archive.read(FACTS_FILE).decode()} if there else {}


def _tensors(file: Any, where: str) -> Iterator[tuple[str, NDArray[Any]]]:
    total = 0
    for name, arrays in _layers(file, where):
        if any(array.is_virtual or array.external for array in arrays):
            raise UserError(
                f"{where}: layer {name} keeps its weights in another file; save it again"
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
        for part, array in zip(parts, arrays, strict=True):
            check_array(array.name, array.shape, array.dtype.itemsize, array.id.get_storage_size())
            total += array.nbytes
            if total > LARGEST:
                raise ValueError(f"declares more than the {LARGEST} bytes that are read")
            yield f"{name}.{part}", array[()]


def _layers(file: Any, where: str) -> Iterator[tuple[str, list[Any]]]:
    """Name and variables of every layer that has any, convolutions and others each in order."""
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs:
        yield from _keras_2(root)
        return
    taken: set[str] = set()
    for path, group in sorted(_groups(file), key=lambda item: _natural_order(item[0])):
        name = str(group.attrs.get("name", path.split("/")[-2]))
        if name in taken:  # in a model within the model
            name = path.replace("/", "_")
        taken.add(name)
        yield name, [group[str(index)] for index in range(len(group))]
    if not taken:
        _refuse_unknown(file, where)


def _keras_2(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """The layers of Keras 1 and 2, in the order of the model. A model within the model has the
    variables of all its layers in one group, under names such as ``conv1/kernel:0``."""
    for name in map(_text, root.attrs["layer_names"]):
        group = root[name]
        own: dict[str, list[Any]] = {}
        for path in map(_text, group.attrs["weight_names"]):
            _refuse_turned(path, group[path].shape, root.file.filename)
            own.setdefault(path.rpartition("/")[0] or name, []).append(group[path])
        for path, arrays in own.items():
            yield (name if len(own) == 1 else path.split("/")[-1]), arrays


def _refuse_turned(path: str, shape: tuple[int, ...], where: str) -> None:
    """Raise UserError for a kernel of Keras 1 on Theano: (O, I, k, k), turned by 180 degrees."""
    if path.endswith("_W") and len(shape) == 4 and shape[2] == shape[3] and shape[0] != shape[1]:
        raise UserError(
            f"{where}: {path} {shape} is a kernel of Keras 1 on Theano, whose convolutions are "
            "turned by 180 degrees; save it from Keras 1 on TensorFlow "
            "(keras.utils.np_utils.convert_kernel turns it)"
        )


def _refuse_unknown(file: Any, where: str) -> None:
    """Raise UserError for an HDF5 file without layers of Keras's, in words for what it holds."""
    if "nb_layers" in file.attrs:
        raise UserError(
            f"{where}: weights of Keras 0, whose layers have no names; load them there and "
            "save an .npz"
        )
    inside = ", ".join(list(file)[:4]) or "nothing"
    if FACTS not in file:
        raise UserError(
            f"{where}: no weights in it: an HDF5 file without layers of Keras ({inside}); expected "
            "what model.save or model.save_weights writes"
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _groups(file: Any) -> Iterator[tuple[str, Any]]:
    """The group of variables of every layer that has any. Links to other files are not followed."""
    found: list[tuple[str, Any]] = []

    def visit(path: str, item: Any) -> None:
        path = path.replace("\\", "/")  # as Keras wrote it on Windows, in one name
        parts = path.split("/")
        if parts[-1] == "vars" and len(item) and not set(parts) & set(_UNUSED):
            found.append((path, item))

    file.visititems(visit)
    yield from found


def _is_window(name: str, arrays: list[Any]) -> bool:
    """Whether it is the fixed 1×1 convolution that computes LRN's sum in an exported model."""
    shape = arrays[0].shape if arrays else ()
    return name.endswith("_lrn") and len(shape) == 4 and shape[:2] == (1, 1)


def _natural_order(path: str) -> list[tuple[str, int]]:
    """A sort key that puts ``conv2d`` before ``conv2d_2`` before ``conv2d_10``."""
    parts = (re.fullmatch(r"(.*?)(?:_(\d+))?", part) for part in path.split("/"))
    return [(part[1], int(part[2] or 0)) for part in parts if part]
