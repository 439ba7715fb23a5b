"""Reads files of weights, in whatever form, into arrays under the names that the file has.

Nothing here runs what a file holds: safetensors, ``.npz`` without pickles and HDF5 are plain data,
and PyTorch's pickles are read in a helper process by PyTorch's own reader of weights only.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from bench.core.errors import UserError
from bench.networks.pretrained import FACTS
from bench.training.frameworks import for_files
from bench.weights.hdf5 import read_h5
from bench.worker import files as helper

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class RawWeights:
    """The contents of a file."""

    tensors: Tensors
    """By the file's own names."""
    metadata: dict[str, str] = field(default_factory=dict)
    bfloat16: tuple[str, ...] = ()
    """Tensors that are of that type in the file, and float32 here: numpy does not have it."""
    keras: bool = False
    """Whether the layouts are Keras's."""


def suffix_of(path: Path) -> str:
    """The suffix that decides how a file is read or written: one of `SUFFIXES`.

    Raises UserError with the known ones for any other.
    """
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise UserError(f"{path}: not a form of weights that is known; known: {', '.join(SUFFIXES)}")


def read(path: Path) -> RawWeights:
    """Everything in a file of weights. Raises UserError where it is damaged or asks for code."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"weights {path}: {what}; expected a file of {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix_of(path)](path)


def _read_safetensors(path: Path) -> RawWeights:
    try:
        with safe_open(path, "numpy") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in sorted(file.keys())}
            widened = tuple(name for name, kind in kinds.items() if kind == "BF16")
            tensors = {
                name: _bfloat16(path, name) if name in widened else file.get_tensor(name)
                for name in kinds
            }
            return RawWeights(tensors, file.metadata() or {}, widened)
    except (OSError, SafetensorError, ValueError) as error:
        raise _damaged(path, "safetensors", error) from error


def _bfloat16(path: Path, name: str) -> NDArray[np.float32]:
    # numpy has no bfloat16, whose bits are the upper half of a float32's.
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(length))[name]
        begin, end = entry["data_offsets"]
        stream.seek(8 + length + begin)
        upper = np.frombuffer(stream.read(end - begin), "<u2")
    return (upper.astype("<u4") << 16).view("<f4").reshape(entry["shape"])


def _read_npz(path: Path) -> RawWeights:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array, and no archive of them")
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"{path}: holds a pickle, which could run code, or is no archive of arrays; "
                "nothing was run; save plain arrays of floats by numpy.savez"
            ) from error
        raise _damaged(path, ".npz", error) from error
    facts = arrays.pop(FACTS, None)
    return RawWeights(arrays, {} if facts is None else {FACTS: str(facts)})


def _read_pytorch(path: Path) -> RawWeights:
    with tempfile.TemporaryDirectory(prefix="alexbench-") as folder:
        out = Path(folder) / "read.safetensors"
        answer = helper.ask(for_files(".pth"), "read", path=str(path), out=str(out))
        found = _read_safetensors(out)
    return RawWeights(found.tensors, answer["metadata"], tuple(answer["bfloat16"]))


def _read_keras(path: Path) -> RawWeights:
    tensors, metadata = read_h5(path)
    return RawWeights(tensors, metadata, keras=True)


def _damaged(path: Path, form: str, error: BaseException) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{path}: not a whole {form} file ({reason}); get it anew")


SUFFIXES: dict[str, Callable[[Path], RawWeights]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".pth": _read_pytorch,
    ".pt": _read_pytorch,
    ".keras": _read_keras,
    ".weights.h5": _read_keras,
}
"""How a file is read, by the end of its name."""
