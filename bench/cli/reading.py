"""Records that another process reads while this one imports what it makes of them."""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bench.core.errors import UserError
from bench.core.records import Record, RecordStore, read_all
from bench.core.system.process import die_with_parent
from bench.core.system.resources import usable_cpus

LARGE_BYTES = 4 << 20
"""Size of the records from which on a process of their own is worth its start: some 1,000."""


@contextmanager
def read_meanwhile(runs: Sequence[Path]) -> Iterator[Callable[[], list[Record]]]:
    """A function that gives the records of run folders, which are read until it is called.

    It is called once. The objects of many records are left out of later garbage collections: they
    stay to the end of the command, and each collection would walk them all.

    Args:
        runs: The folders.
    """
    if _size(runs) < LARGE_BYTES or len(usable_cpus()) < 2:
        yield lambda: read_all(runs)
        return
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _read(runs, writing, parent)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            yield lambda: _received(pipe, runs)
    finally:
        os.kill(child, signal.SIGKILL)  # it has sent all that it has, or is not wanted any more
        os.waitpid(child, 0)


def _read(runs: Sequence[Path], descriptor: int, parent: int) -> None:
    """Be the process that reads: send the records, or the error, and end."""
    try:
        die_with_parent(parent)
        try:
            found: list[Record] | UserError = read_all(runs)
        except UserError as error:
            found = error
        gc.disable()
        with os.fdopen(descriptor, "wb") as pipe:
            pickle.dump(found, pipe, pickle.HIGHEST_PROTOCOL)
    finally:
        os._exit(0)  # without a walk over millions of objects


def _received(pipe: BinaryIO, runs: Sequence[Path]) -> list[Record]:
    """What the process that reads has sent; read here where it has died."""
    gc.disable()
    try:
        found: list[Record] | UserError = pickle.load(pipe)
    except (EOFError, pickle.UnpicklingError):
        found = read_all(runs)
    finally:
        gc.freeze()
        gc.enable()
    if isinstance(found, UserError):
        raise found
    return found


def _size(runs: Sequence[Path]) -> int:
    """Bytes of all records; 0 where there are none, whose error is left to the reading."""
    paths = [RecordStore(run).path for run in runs]
    return sum(path.stat().st_size for path in paths if path.is_file())
