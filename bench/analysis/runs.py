"""Runs by their folders: their records, and two of them compared. Part of the public API."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.compare import Comparison
from bench.analysis.compare import compare as compare_records
from bench.core.records import Record, RecordStore

Folder = str | os.PathLike[str]
"""The folder of a run, like ``results/20261125T120000Z``."""


def records(run: Folder) -> list[Record]:
    """All records of a run, in the order in which they were measured.

    Args:
        run: The folder of a run.

    Returns:
        One `Record` per case and kind, failed ones included, with raw samples (seconds per block;
        a fraction for accuracy), metrics and settings.

    Raises:
        UserError: There is no ``records.jsonl``, or a line of it is not a record.
    """
    return RecordStore(Path(run)).read()


def compare(a: Folder | Sequence[Record], b: Folder | Sequence[Record]) -> list[Comparison]:
    """Two runs case by case: did B take longer than A, or reach another accuracy?

    Args:
        a: The earlier run: its folder, or records.
        b: The later run: its folder, or records.

    Returns:
        One `Comparison` per case and kind that is in either run, in the order of A, then of B:
        the ratio time of B / time of A (or the difference in accuracy in percentage points), its
        95 % interval and the verdict. Pairs that differ in data, parity status, machine or
        settings have the verdict ``refused`` and a reason.

    Raises:
        UserError: A folder is not that of a run.
    """
    return compare_records(_as_records(a), _as_records(b))


def _as_records(run: Folder | Sequence[Record]) -> Sequence[Record]:
    return records(run) if isinstance(run, str | os.PathLike) else run
