"""The runs that the paths of a command line mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from filecmp import cmp
from glob import glob, has_magic
from pathlib import Path

from bench.core.errors import UserError, notice
from bench.core.files import expanded
from bench.core.records import FILE, SUFFIX, RecordStore, no_run

Folder = str | os.PathLike[str]
"""The folder of a run, like ``results/20261125T120000Z``, or its ``records.jsonl``."""

RUN_FILE = "run.json"
"""The file of a run that has its command, profile, data, frameworks and code."""
WEIGHTS = "weights"
"""The folder of a run that has the weights of its trainings."""
_ATTEMPTS = "attempts.jsonl"
"""Failures that a resumed run measured again: no run of their own."""


def find(paths: Iterable[Folder], passed_over: Callable[[str], None] = notice) -> list[RecordStore]:
    """The runs that are meant by the paths of a command line.

    A path is the folder of a run, a file of records (``*.jsonl``), or a pattern like
    ``results/*``. A folder of runs stands for all of them where it is the only path. What else is
    there under a path, as the ``README.md`` that a pattern finds among runs, is passed over. A run
    that is given twice, or with a copy of it, counts once.

    Args:
        paths: Of the command line.
        passed_over: Gets a line for each path that was passed over, and for each copy.

    Raises:
        UserError: Paths are given and no run is there; or nothing matches a pattern.
    """
    named = [path for text in paths for path in matching(text)]
    found = {path: _stores(path, alone=len(named) == 1) for path in named}
    others = [path for path, stores in found.items() if not stores]
    stores = [store for path in named for store in found[path]]
    if not stores and others:
        raise no_run(*others)
    for path in others:
        passed_over(f"{path}: no run (no {FILE} in it); passed over")
    return _once(stores, passed_over)


def _once(stores: Iterable[RecordStore], passed_over: Callable[[str], None]) -> list[RecordStore]:
    """The runs without those that have the records of one before them, byte for byte."""
    kept: list[RecordStore] = []
    for store in stores:
        other = next((one for one in kept if _same_records(one.path, store.path)), None)
        if other is None:
            kept.append(store)
        elif other.path.resolve() == store.path.resolve():
            passed_over(f"{store.folder}: given twice; counted once")
        else:
            passed_over(f"{store.path}: a copy of {other.path}; counted once")
    return kept


def _same_records(one: Path, other: Path) -> bool:
    if not (one.is_file() and other.is_file()):
        return False  # reading says what is wrong
    if one.resolve() == other.resolve():
        return True
    return bool(one.stat().st_size) and cmp(one, other, shallow=False)  # two empty runs are two


def check_records(
    stores: Sequence[RecordStore], passed_over: Callable[[str], None] = notice
) -> None:
    """Say which of several runs have no record in their file, as after a full disk.

    Args:
        stores: The runs.
        passed_over: Gets a line for each that has none, where another has some.

    Raises:
        UserError: No run has any.
    """
    empty = [store for store in stores if store.is_empty]
    if empty and len(empty) == len(stores):
        files = ", ".join(str(store.path) for store in stores)
        raise UserError(f"{files}: no record in it; give a run that has measured something")
    for store in empty:
        passed_over(f"{store.path}: no record in it")


def folder_of(paths: Sequence[Folder]) -> Path:
    """Where a report on these runs is written: a folder of runs itself, else the first run's."""
    first = matching(paths[0])
    if len(paths) == 1 and len(first) == 1 and first[0].is_dir():
        return first[0]
    return find(paths, lambda _: None)[0].folder


def matching(text: Folder) -> list[Path]:
    """The paths that a pattern stands for (where no shell has replaced it); else the path. Raises
    UserError where nothing matches."""
    path = expanded(Path(text))
    if path.exists() or not has_magic(str(path)):
        return [path]
    found = sorted(map(Path, glob(str(path))))
    if not found:
        raise UserError(f"{path}: nothing matches this pattern")
    return found


def _stores(path: Path, *, alone: bool) -> list[RecordStore]:
    """The runs at a path; none where it is something else."""
    if not path.exists() or (path / FILE).is_file():
        return [RecordStore(path)]  # reading says what is wrong with it
    if path.is_file():
        return [RecordStore(path)] if path.suffix == SUFFIX and path.name != _ATTEMPTS else []
    if not path.is_dir():  # a device, a pipe
        return []
    inside = sorted(entry for entry in path.iterdir() if (entry / FILE).is_file())
    return [RecordStore(entry) for entry in inside] if alone else []
