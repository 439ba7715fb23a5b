"""Reads files of weights of any format, told by their first bytes, into arrays by name.

Nothing that a file contains is executed: safetensors, ``.npz`` without pickles and HDF5 are plain
data, and PyTorch's pickles are read in a worker by PyTorch's loader of weights only. HDF5 is read
in a child process with limits on memory and time. Declared sizes are checked before memory is
allocated.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from safetensors import safe_open

from bench.core.confined import confined
from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.core.text import printable
from bench.networks.checkpoints import chosen_set
from bench.networks.pretrained import FACTS
from bench.training.frameworks import for_files
from bench.weights import unnamed
from bench.weights.dumps import read_dump
from bench.weights.keras_models.config import Config
from bench.weights.keras_models.hdf5 import read_config, read_h5
from bench.weights.limits import check_members
from bench.weights.signatures import (
    HDF5,
    KERAS,
    NPY,
    NPZ,
    PICKLE,
    PYTORCH,
    SAFETENSORS,
    format_of,
)
from bench.worker.client import call

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class RawWeights:
    """The contents of a file.

    Attributes:
        tensors: By the names in the file.
        metadata: Texts by name.
        bfloat16: Tensors of that type, which numpy lacks; they are float32 in ``tensors``.
        keras: Whether the layouts are Keras's.
        config: Of the model, where the file holds one and not weights alone.
        notes: How the contents were found: the key that they were under, what was passed over.
    """

    tensors: Tensors
    metadata: dict[str, str] = field(default_factory=dict)
    bfloat16: tuple[str, ...] = ()
    keras: bool = False
    config: Config | None = None
    notes: tuple[str, ...] = ()


def suffix_of(path: Path) -> str:
    """The suffix that decides how a new file is written: one of `SUFFIXES`.

    Raises:
        UserError: It is another one; the message names those that are known.
    """
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise UserError(f"{path}: unknown format of weights; known: {', '.join(SUFFIXES)}")


def stem_of(path: Path) -> str:
    """The name of a file without its suffixes: ``checkpoint`` of ``checkpoint.pth.tar``."""
    name = path.name.lower()
    for suffix in (*SUFFIXES, ".pth.tar", ".pt.tar"):
        if name.endswith(suffix):
            return printable(path.name[: -len(suffix)])
    return printable(path.stem)


def format_called(path: Path) -> str:
    """The format of a file: by its first bytes, by its suffix where these are of none (a file that
    was cut off, say).

    Raises:
        UserError: Neither is known, or the format is known and not read.
    """
    return format_of(path) or SUFFIXES[suffix_of(path)]


def read(path: Path, key: str | None = None) -> RawWeights:
    """The contents of a file of weights.

    Args:
        path: The file; its name says nothing about its format.
        key: One of several sets of weights in it.

    Raises:
        UserError: It is missing, damaged, or a pickle that asks for code.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"weights {path}: {what}; expected a file of {', '.join(SUFFIXES)}")
    form = format_called(path)
    try:
        found = _READERS[form](path, key)
    except UserError:
        raise
    except Exception as error:  # damaged files raise nearly every type there is
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{path}: not a whole {form} file ({reason}); get it again") from error
    if not key or form in _WITH_SETS:
        return found
    if found.keras:
        raise UserError(f"{path}: --key {key}: a {form} file has one set of weights; leave it out")
    chosen = chosen_set(found.tensors, lambda array: np.ndim(cast("Any", array)), str(path), key)
    return replace(found, tensors=chosen.tensors)


def model_config(path: Path) -> Config | None:
    """The config of the model that a file of Keras's holds; None for weights alone.

    Raises:
        UserError: The file is damaged.
    """
    form = format_called(path)
    if form not in (KERAS, HDF5):
        return None
    try:
        with confined(lambda _: read_config(path), cpu_seconds=_cpu_seconds(path)) as (_, config):
            return cast("Config | None", config)
    except UserError:
        raise
    except Exception as error:  # as above
        raise UserError(f"{path}: not a whole {form} file ({error}); get it again") from error


def _read_safetensors(path: Path, _: str | None = None) -> RawWeights:
    with safe_open(path, "numpy") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in sorted(file.keys())}
        widened = tuple(name for name, kind in kinds.items() if kind == "BF16")
        tensors = {
            name: _bfloat16(path, name) if name in widened else file.get_tensor(name)
            for name in kinds
        }
        return RawWeights(tensors, file.metadata() or {}, widened)


def _bfloat16(path: Path, name: str) -> NDArray[np.float32]:
    # numpy has no bfloat16, whose bits are the upper half of a float32's.
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(length))[name]
        begin, end = entry["data_offsets"]
        stream.seek(8 + length + begin)
        upper = np.frombuffer(stream.read(end - begin), "<u2")
    return (upper.astype("<u4") << 16).view("<f4").reshape(entry["shape"])


def _read_npz(path: Path, _: str | None) -> RawWeights:
    arrays: Tensors = {}
    with zipfile.ZipFile(path) as archive:
        check_members(archive, path.stat().st_size)
        for member in archive.infolist():
            with archive.open(member) as stream:
                _check_header(path, member, stream)
            with archive.open(member) as stream:
                array = npy.read_array(stream, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    facts = arrays.pop(FACTS, None)
    if arrays and all(re.fullmatch(r"arr_\d+", name) for name in arrays):
        ordered = sorted(arrays, key=lambda name: int(name.removeprefix("arr_")))
        arrays = unnamed.by_order(arrays[name] for name in ordered)
        return RawWeights(arrays, notes=(unnamed.NOTE,))
    return RawWeights(arrays, {} if facts is None else {FACTS: str(facts)})


def _check_header(path: Path, member: zipfile.ZipInfo, stream: IO[bytes]) -> None:
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{member.filename} is an array of format {version}")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise UserError(
            f"{path}: holds a pickle, which could run code; nothing was run; save plain arrays of "
            "floats with numpy.savez"
        )
    there = member.file_size - stream.tell()  # bounded by check_members
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"{member.filename} declares {shape} of {dtype}, and has {there} bytes")


def _read_dump(path: Path, key: str | None) -> RawWeights:
    found = read_dump(path, key)
    return RawWeights(found.tensors, notes=tuple(found.notes))


def _read_pytorch(path: Path, key: str | None) -> RawWeights:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_members(archive, path.stat().st_size)
    with temporary_directory() as folder:
        out = Path(folder) / "read.safetensors"
        found = call(for_files(".pth"), "read", path=str(path), out=str(out), key=key)
        raw = _read_safetensors(out)
    ordered = {name: raw.tensors[name] for name in found["names"]}
    widened, notes = tuple(found["bfloat16"]), tuple(found["notes"])
    return RawWeights(ordered, found["metadata"], widened, notes=notes)


def _cpu_seconds(path: Path) -> float:
    """A hundred times what a whole file takes. In a damaged one HDF5 may go round for ever."""
    return 10.0 + path.stat().st_size // 2_000_000


def _read_keras(path: Path, _: str | None) -> RawWeights:
    """HDF5's own code is in C and was made for files that are trusted: read in a child process."""

    def read_in(folder: Path) -> tuple[list[str], dict[str, str], Config | None]:
        tensors, metadata = read_h5(path)
        for number, array in enumerate(tensors.values()):
            np.save(folder / f"{number}.npy", array, allow_pickle=False)
        return list(tensors), metadata, read_config(path)

    with confined(read_in, cpu_seconds=_cpu_seconds(path)) as (folder, (names, metadata, config)):
        tensors = {
            name: np.load(folder / f"{number}.npy", allow_pickle=False)
            for number, name in enumerate(names)
        }
    return RawWeights(tensors, metadata, keras=True, config=config)


_READERS: dict[str, Callable[[Path, str | None], RawWeights]] = {
    SAFETENSORS: _read_safetensors,
    NPZ: _read_npz,
    NPY: _read_dump,
    PICKLE: _read_dump,
    PYTORCH: _read_pytorch,
    KERAS: _read_keras,
    HDF5: _read_keras,
}
_WITH_SETS = (PYTORCH, PICKLE, NPY)
"""Formats that may hold several sets of weights."""

SUFFIXES: dict[str, str] = {
    ".safetensors": SAFETENSORS,
    ".npz": NPZ,
    ".pth": PYTORCH,
    ".pt": PYTORCH,
    ".keras": KERAS,
    ".weights.h5": HDF5,
    ".h5": HDF5,
}
"""The format by the suffix of a file: what is written, and what a damaged file was meant to be."""
