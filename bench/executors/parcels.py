"""What is sent to a node once: the data by fingerprint, pretrained weights by digest.

A parcel is unpacked into the node's cache by the first task that needs it; later tasks find it
there. Nothing of it travels with a task but its name.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.cache import cache_folder, damaged, writable
from bench.core.download import file_checksum
from bench.core.errors import UserError, cannot_write
from bench.core.files import write_whole
from bench.data.sources import is_prepared, prepared

Fetch = Callable[[], Any]
"""Gets the content of a parcel from where the cluster keeps it, such as Ray's object store."""


@dataclass(frozen=True)
class Parcel:
    """Something that a node needs once.

    Attributes:
        name: Its fingerprint or digest: the name of its file or folder in the node's cache.
        path: Where the sender has it; tried first where nodes share folders with the sender.
        fetch: Where it comes from otherwise; None: nowhere.
    """

    name: str
    path: Path | None = None
    fetch: Fetch | None = None


_WHOLE: set[Path] = set()
"""Prepared data that this process has checked."""


_CHECKED: set[tuple[Path, int, int, int]] = set()
"""Shipped files with the right digest, as they were then."""


def data_folder(parcel: Parcel) -> tuple[Path, bool]:
    """The folder of the prepared data on this node, and whether it was sent for this call.

    Raises:
        UserError: It is not there and cannot be brought here.
    """
    own = _cache() / "prepared" / parcel.name
    for folder in filter(None, (parcel.path, own)):
        if _is_whole(folder):
            return folder, False
    if parcel.fetch is None:
        raise UserError(
            f"the data {parcel.name[:12]} is not on this node: {parcel.path} cannot be read; set "
            "$ALEXBENCH_CACHE to a folder that all nodes share"
        )
    with _locked(own):
        if _is_whole(own):  # another task of this node has brought it
            return own, False
        found = prepared(_fetched(parcel, parcel.fetch), _cache())
        _WHOLE.add(found)
        return found, True


def weights_file(parcel: Parcel) -> Path:
    """The file of pretrained weights on this node.

    Raises:
        UserError: It is not there and cannot be brought here.
    """
    own = _cache() / "shipped" / parcel.name
    if parcel.path and parcel.path.is_file():
        return parcel.path
    if _has_its_digest(own):
        return own
    if parcel.fetch is None:
        raise UserError(f"the weights {parcel.path} cannot be read on this node")
    with _locked(own):
        if not _has_its_digest(own):
            if own.exists():
                damaged(own)
            try:
                own.parent.mkdir(parents=True, exist_ok=True)
                write_whole(own, _fetched(parcel, parcel.fetch))
            except OSError as error:
                raise cannot_write(own, error, "make room on the node") from error
    return own


def _has_its_digest(path: Path) -> bool:
    """Whether a file is there, and is what its name, a sha256 or its begin, says.

    Checked once by a process, and again when the file has changed.
    """
    try:
        facts = path.stat()
        known = (path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if known not in _CHECKED:
            if not file_checksum(path, "sha256:").startswith(f"sha256:{path.stem}"):
                return False
            _CHECKED.add(known)
        return True
    except OSError:
        return False


def _fetched(parcel: Parcel, fetch: Fetch) -> Any:
    try:
        return fetch()
    except Exception as error:  # the errors of every engine, of which nothing is known here
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{parcel.name[:12]} did not come through: {reason}") from error


def _is_whole(folder: Path) -> bool:
    if folder not in _WHOLE and is_prepared(folder):
        _WHOLE.add(folder)
    return folder in _WHOLE and folder.is_dir()


@cache
def _cache() -> Path:
    return writable(cache_folder())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process of this node at a time."""
    name = re.sub(r"[^\w.-]", "_", path.name)
    lock = _cache() / f".{name[:60]}.lock"
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise cannot_write(lock, error, "give the node a folder with $ALEXBENCH_CACHE") from error
    try:
        with suppress(OSError):  # some file systems have no locks; files appear whole all the same
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
