"""Records that another process reads while this one imports what it makes of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.core.meanwhile import Meanwhile, worthwhile
from bench.core.records import Record, RecordStore, read_all

LARGE_BYTES, HUGE_BYTES = 4 << 20, 64 << 20
"""Size of the records from which on a process of their own is worth its start (some 1,000 records),
and from which on it is not (some 15,000): they would be in memory twice, and sending them takes
longer than the imports."""


@contextmanager
def read_meanwhile(runs: Sequence[Path]) -> Iterator[Callable[[], list[Record]]]:
    """A function that gives the records of run folders, which are read until it is called.

    It is called once. The objects of many records are left out of later garbage collections: they
    stay to the end of the command, and each collection would walk them all.

    Args:
        runs: The folders.
    """
    size = _size(runs)
    if not LARGE_BYTES <= size < HUGE_BYTES or not worthwhile():
        yield lambda: _frozen(read_all(runs), size)
        return
    with Meanwhile(lambda: read_all(runs)) as reading:
        yield lambda: _frozen(reading.value(), size)


def _frozen(records: list[Record], size: int) -> list[Record]:
    if size >= LARGE_BYTES:
        gc.freeze()
    return records


def _size(runs: Sequence[Path]) -> int:
    """Bytes of all records; 0 where there are none, whose error is left to the reading."""
    paths = [RecordStore(run).path for run in runs]
    return sum(path.stat().st_size for path in paths if path.is_file())
