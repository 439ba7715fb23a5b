"""Atomic writes, temporary folders that a crash does not leave, and paths as users write them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.core.errors import UserError
from bench.core.system.process import identity, lives

_OWNED = re.compile(r"\.?alexbench-(\d+-\d+-\d+)-.*", re.DOTALL)
"""Names of what a process has while it runs; the group is its `identity`."""


def write_whole(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write a file whole or not at all; an old one stays until then.

    Args:
        path: The file.
        content: All of it; what of a text is not UTF-8 is escaped, rather than nothing written.
        durable: Whether to wait until it is on the disk: for what cannot be made again.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    _write(path, (data,), durable)


def write_lines(path: Path, lines: Iterable[bytes], *, durable: bool = False) -> None:
    """`write_whole`, line by line: the lines are never in memory together."""
    _write(path, lines, durable)


def _write(path: Path, parts: Iterable[bytes], durable: bool) -> None:
    partial = path.with_name(f".alexbench-{identity()}-{path.name}")
    try:
        with partial.open("wb") as file:
            file.writelines(parts)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def usual_mode() -> int:
    """The permissions that ``open`` gives a new file."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def temporary_directory(folder: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder that `sweep` removes when this process was killed.

    Args:
        folder: Where it is made, under a hidden name; by default in the system's temporary folder.

    Raises:
        OSError: It cannot be made.
    """
    sweep_once(str(folder or tempfile.gettempdir()))
    prefix = f"{'.' if folder else ''}alexbench-{identity()}-"
    # Children of a worker may still be writing there while they are killed.
    return tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True)


def sweep(folder: str) -> int:
    """Remove what dead processes of this user left in a folder; the number of entries removed.

    What belongs to a live process, to another user, or to an unknown process is left alone.
    """
    removed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            found = _OWNED.fullmatch(entry.name)
            if found is None or lives(found[1]):
                continue
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)
                removed += 1
    return removed


@functools.cache
def sweep_once(folder: str) -> None:
    """`sweep`, the first time that this process asks for the folder."""
    sweep(folder)


def expanded(path: str | Path) -> Path:
    """A path with the home folder for its ``~``.

    Raises:
        UserError: There is no such user, or one without a home: no folder called ``~`` is meant.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no such home folder; give the path without ~") from None
