"""Records that another process reads while this one imports what it makes of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.core.meanwhile import Meanwhile, worthwhile
from bench.core.records import Record, RecordStore, read_all

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
    if _size(runs) < LARGE_BYTES or not worthwhile():
        yield lambda: read_all(runs)
        return
    with Meanwhile(lambda: read_all(runs)) as reading:

        def records() -> list[Record]:
            found = reading.value()
            gc.freeze()
            return found

        yield records


def _size(runs: Sequence[Path]) -> int:
    """Bytes of all records; 0 where there are none, whose error is left to the reading."""
    paths = [RecordStore(run).path for run in runs]
    return sum(path.stat().st_size for path in paths if path.is_file())
