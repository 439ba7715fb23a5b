"""The format of a file of weights, told by its first bytes; the name of a file decides nothing."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bench.core.errors import UserError

SAFETENSORS, NPZ, NPY, PICKLE = "safetensors", ".npz", ".npy", "pickle"
PYTORCH, KERAS, HDF5 = "PyTorch", "Keras", "HDF5"

_TORCH_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The number with which torch.save began before its files were zips (torch/serialization.py)."""

_WEB_PAGE = "a web page, as a download that failed leaves it; get the file again"
_FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"<!DOCTYPE", _WEB_PAGE),
    (b"<!doctype", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"<HTML", _WEB_PAGE),
    (b"<?xml", _WEB_PAGE),
    (b"\x1f\x8b", "compressed with gzip; unpack it (gunzip) and give the file within"),
    (b"BZh", "compressed with bzip2; unpack it and give the file within"),
    (b"\xfd7zXZ", "compressed with xz; unpack it and give the file within"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file within"),
    (b"Rar!", "a RAR archive; unpack it and give the file within"),
    (b"MATLAB 5.0", "a MATLAB file; save its arrays with numpy.savez and give that file"),
    (b"\x04\x00\x00\x00\x01\x00\x00\x00", "a file of Lua Torch; convert it to PyTorch first"),
    (b"\x03\x00\x00\x00\x01\x00\x00\x00", "a file of Lua Torch; convert it to PyTorch first"),
    (b"\x08\x00\x00\x00TFL3", "a TensorFlow Lite model, which holds no plain weights"),
)
_FOREIGN_SUFFIXES = (
    (".caffemodel", "a Caffe model; convert it to .npz or .safetensors first"),
    (".onnx", "an ONNX model; give the weights that it was exported from"),
    (".index", "a part of a TensorFlow checkpoint; load it in Keras and save a .weights.h5"),
    (".data-00000-of-00001", "a part of a TensorFlow checkpoint; load it in Keras and save a "
     ".weights.h5"),
    (".meta", "a part of a TensorFlow checkpoint; load it in Keras and save a .weights.h5"),
    (".pb", "a TensorFlow graph; load it in Keras and save a .weights.h5"),
)  # fmt: skip


def format_of(path: Path) -> str | None:
    """The format of a file; None where its first bytes are those of none.

    Raises:
        UserError: It is of a format that is known and not read; the message names it.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(0, 2)
        size = file.tell()
    # Before all others: the length of the header may be any eight bytes.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return SAFETENSORS
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return HDF5
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(path)
    if head.startswith(b"\x93NUMPY"):
        return NPY
    if head.startswith(_TORCH_PICKLE):
        return PYTORCH
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    _refuse_foreign(path, head)
    return None


def _in_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # cut off: the reader of its suffix reports it
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise UserError(
            f"{path}: a TorchScript archive, which holds code; nothing was run; save "
            "model.state_dict() and give that file"
        )
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return PYTORCH
    if {"config.json", "model.weights.h5"} & set(names):
        return KERAS
    if names and all(name.endswith(".npy") for name in names):
        return NPZ
    inner = ", ".join(names[:3])
    raise UserError(f"{path}: a zip archive ({inner}); unpack it and give the file of weights")


def _refuse_foreign(path: Path, head: bytes) -> None:
    for start, what in _FOREIGN:
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(start) or head.startswith(start):
            raise UserError(f"{path}: {what}")
    if head[257:262] == b"ustar":
        raise UserError(f"{path}: a tar archive; unpack it and give the file of weights within")
    for suffix, what in _FOREIGN_SUFFIXES:
        if path.name.lower().endswith(suffix):
            raise UserError(f"{path}: {what}")
