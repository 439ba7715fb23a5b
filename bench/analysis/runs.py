"""Runs by their paths: found, read, filtered, and two of them compared. Part of the public API."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bench.analysis.comparison.compare import Comparison
from bench.analysis.comparison.compare import compare as compare_records
from bench.core.errors import UserError, notice
from bench.core.records import Record, RecordStore, run_names
from bench.core.run_paths import Folder, check_records, find


def records(run: Folder) -> list[Record]:
    """All records of a run, in the order in which they were measured.

    Args:
        run: The folder of a run, or its ``records.jsonl``.

    Returns:
        One `Record` per case and kind, failed ones included, with raw samples (seconds per block;
        a fraction for accuracy), metrics and settings.

    Raises:
        UserError: There is no ``records.jsonl``, or a line of it is not a record.
    """
    return RecordStore(Path(run)).read()


def compare(a: Folder | Sequence[Record], b: Folder | Sequence[Record]) -> list[Comparison]:
    """Two runs case by case: is B faster than A, or more accurate?

    Args:
        a: The earlier run: its folder, or records.
        b: The later run: its folder, or records.

    Returns:
        One `Comparison` per case and kind that is in either run, in the order of A, then of B:
        the ratio speed of B / speed of A (or the difference in accuracy in percentage points), its
        95 % interval and the verdict. Pairs that differ in data, parity status, machine or
        settings have the verdict ``refused`` and a reason.

    Raises:
        UserError: A folder is not that of a run.
    """
    return compare_records(_as_records(a), _as_records(b))


def _as_records(run: Folder | Sequence[Record]) -> Sequence[Record]:
    return records(run) if isinstance(run, str | os.PathLike) else run


@dataclass(frozen=True)
class Run:
    """A run that was read.

    Attributes:
        name: Of its folder, or of its file where that is not called ``records.jsonl``.
        records: All of them, or those that a `Filter` takes.
        folder: Where it lies.
    """

    name: str
    records: tuple[Record, ...]
    folder: Path


def read(
    paths: Iterable[Folder], passed_over: Callable[[str], None] = notice, *, least: int = 0
) -> list[Run]:
    """The same, read.

    Args:
        paths: Of the command line.
        passed_over: As for `find`.
        least: Number of runs that the command needs.

    Raises:
        UserError: As `find`; or a path does not exist, a line of a file is no record, or no run has
            a record, or there are fewer runs than `least`.
    """
    stores = find(paths, passed_over)
    check_records(stores, passed_over)
    runs = [
        Run(name, tuple(store.read(name)), store.folder)
        for name, store in zip(run_names(stores), stores, strict=True)
    ]
    if len(runs) < least:
        there = ", ".join(run.name for run in runs)
        raise UserError(f"{least} runs are needed, and there is only {there}")
    return runs


@dataclass(frozen=True)
class Filter:
    """Which records are looked at; what is empty takes all.

    Attributes:
        fields: Values by field of `bench.Case`.
        kinds: Kinds of measurement.
        cases: Ids of cases.
    """

    fields: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(any(self.fields.values()) or self.kinds or self.cases)

    def takes(self, record: Record) -> bool:
        """Whether it takes a record."""
        if self.cases and record.case.id not in self.cases:
            return False
        if self.kinds and record.kind not in self.kinds:
            return False
        return all(
            getattr(record.case, name) in values for name, values in self.fields.items() if values
        )

    def of(self, runs: Sequence[Run]) -> list[Run]:
        """The runs with the records that it takes.

        Raises:
            UserError: A value is in none of the runs, or no record has all of them.
        """
        if not self:
            return list(runs)
        every = [record for run in runs for record in run.records]
        for name, values in self.fields.items():
            _known(name, values, {getattr(record.case, name) for record in every})
        _known("kind", self.kinds, {record.kind for record in every})
        _known("case", self.cases, {record.case.id for record in every})
        found = [Run(run.name, tuple(filter(self.takes, run.records)), run.folder) for run in runs]
        if not any(run.records for run in found):
            raise UserError("no record of these runs is selected by all of the options together")
        return found


def _known(name: str, values: Iterable[Any], there: set[Any]) -> None:
    for value in values:
        if value not in there:
            found = sorted(str(one) for one in there if one not in ("", None))
            raise UserError(f"{name} {value}: not in these runs; {_offered(name, value, found)}")


def _offered(name: str, value: Any, found: Sequence[str]) -> str:
    """What there is instead of a value: all where they are few, else the nearest."""
    listed = ", ".join(found) or "none"
    if len(listed) <= _LONG:
        return f"there are {listed}"
    close = get_close_matches(str(value), found, n=3, cutoff=0)
    return (
        f"the nearest of {len(found)} are {', '.join(close)}; "
        f"alexbench export RUN --to csv --columns {name} lists them"
    )


_LONG = 300
"""Letters of a list in an error: the ids of hundreds of cases fill the screen."""
