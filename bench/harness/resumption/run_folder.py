"""The folder of a run, held by one process: created for it alone, locked, and still there.

The lock is `flock` on a hidden file in the folder. The kernel releases it when the process ends,
however it ends, so a lock file that was left behind locks nothing. It names its process for the
message to the process that comes second.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from bench.core.errors import OutputError, UserError, cannot_write
from bench.core.files import sweep
from bench.core.records import FILE
from bench.core.system.process import identity, lives

LOCK = ".lock"
_ADVICE = "give a folder that can be written to with --results"
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""Of file systems without it: there, the process that the file names decides."""


class RunFolder:
    """A run's folder that no other process measures into.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        """Lock an existing folder.

        Raises:
            UserError: Another process measures into it, or the folder cannot be written.
        """
        self.path = path
        try:
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise cannot_write(path, error, _ADVICE) from error
        try:
            self._lock: int | None = _locked(path)
        except BaseException:
            os.close(self._folder)
            raise
        sweep(str(path))

    @classmethod
    def create(cls, path: Path, *, numbered: bool = False) -> RunFolder:
        """Make a folder, with all above it, and lock it.

        Args:
            path: The folder.
            numbered: Whether the folder takes the first free of ``name``, ``name-2``, ``name-3``
                …; else one that exists must not hold a run.

        Raises:
            UserError: It holds a run, another process measures into it, or it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if numbered:
                return cls(_made(path))
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error, _ADVICE) from error
        found = cls(path)
        if (path / FILE).exists():
            found.release()
            raise UserError(
                f"{path} holds a run already; go on with it with --resume, or name another"
            )
        return found

    def check(self) -> None:
        """Raise OutputError where the folder is no longer the one that was locked."""
        try:
            there = os.path.samestat(os.stat(self.path), os.fstat(self._folder))
        except OSError:
            there = False
        if not there:
            raise OutputError(f"{self.path} was removed or replaced while it was measured")

    def release(self) -> None:
        """Give the folder to other processes; nothing where that was done before."""
        if self._lock is None:
            return
        try:
            os.unlink(LOCK, dir_fd=self._folder)
        except OSError:
            pass  # the folder is gone, or is read-only by now: the lock ends with its descriptor
        os.close(self._lock)
        os.close(self._folder)
        self._lock = None


def _made(path: Path) -> Path:
    """The first free name, made: of two processes in one second each gets its own."""
    number = 1
    while True:
        name = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            name.mkdir()
            return name
        except FileExistsError:
            number += 1


def _locked(folder: Path) -> int:
    """Descriptor of the lock file, locked and naming this process."""
    path = folder / LOCK
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise cannot_write(folder, error, _ADVICE) from error
        try:
            _lock(descriptor, folder)
            if _is(path, descriptor):
                _name_owner(descriptor)
                return descriptor
        except OSError as error:
            os.close(descriptor)
            raise cannot_write(folder, error, _ADVICE) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has removed it since it was opened


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(_busy(folder, _owner(descriptor))) from None
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        owner = _owner(descriptor)
        if owner and lives(owner["process"]):
            raise UserError(_busy(folder, owner)) from None


def _is(path: Path, descriptor: int) -> bool:
    """Whether the file at a path is still the open one."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _name_owner(descriptor: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"process": identity(), "since": since}).encode(), 0)


def _owner(descriptor: int) -> dict[str, str] | None:
    """What the lock file says of its process; None where it says nothing (yet)."""
    try:
        found = json.loads(os.pread(descriptor, 1000, 0))
        _ = [int(part) for part in found["process"].split("-")]
        return {"process": str(found["process"]), "since": str(found["since"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _busy(folder: Path, owner: dict[str, str] | None) -> str:
    who = f"process {owner['process'].partition('-')[0]} since {owner['since']}" if owner else ""
    return f"{folder} is being measured by {who or 'another process'}; wait for it, or end it first"
