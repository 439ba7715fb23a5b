"""Checkpoints of a training: files from which it goes on after its process has ended.

A checkpoint is one ``.npz`` without pickles. It is written aside and renamed, so that it is there
whole or not at all, and its name has its digest, which is checked when it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.core.errors import UserError

Arrays = Mapping[str, NDArray[Any]]

EVERY_SECONDS = 300.0
"""At the latest after so many seconds a checkpoint is written."""
COST = 0.1
"""Share of the time that checkpoints at the ends of short epochs may take: where one would take
more, the next end of an epoch is waited for."""

_ABOUT = "about"
"""The array that holds the description, as JSON."""
_NAME = re.compile(r"step-(\d{10})-([0-9a-f]{32})\.npz")


@dataclass(frozen=True)
class TrainingFiles:
    """The files of a run that belong to one training.

    Attributes:
        folder: Of its checkpoints.
        key: Everything that its losses depend on, as JSON has it; a checkpoint with another key
            belongs to another training.
        started_at: When its first part started: UTC, ISO 8601.
        seconds: Wall time of its earlier parts, up to the checkpoint.
        resume: The checkpoint to go on from; None starts from the beginning.
        weights: Where the final weights are saved; None where they are not.
    """

    folder: Path
    key: dict[str, Any]
    started_at: str
    seconds: float = 0.0
    resume: Path | None = None
    weights: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads back."""
        paths = {name: str(v) for name, v in vars(self).items() if isinstance(v, Path)}
        return {**dataclasses.asdict(self), **paths}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingFiles:
        """The files that :meth:`to_json` wrote."""
        names = ("folder", "resume", "weights")
        paths = {name: None if value[name] is None else Path(value[name]) for name in names}
        return cls(**{**value, **paths})


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        about: ``key``, ``started_at`` and ``seconds`` of its `TrainingFiles`, ``epoch`` (how many
            are whole), and ``training``, the measurement's own part.
        state: What the trainer's ``export_state`` gave.
    """

    about: dict[str, Any]
    state: Arrays


def found(folder: Path) -> Path | None:
    """The newest checkpoint in a folder; None where there is none."""
    names = (path for path in folder.glob("step-*.npz") if _NAME.fullmatch(path.name))
    return max(names, key=lambda path: path.name, default=None)


def write(
    folder: Path, step: int, about: Mapping[str, Any], state: Iterable[tuple[str, NDArray[Any]]]
) -> Path:
    """Write a checkpoint, then remove the older ones.

    Args:
        folder: Made where it is missing.
        step: Number of steps taken.
        about: See `Checkpoint`.
        state: Arrays by name; each is written before the next is asked for.

    Raises:
        OSError: It cannot be written; then nothing of it is left, and the older one stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{os.getpid()}.part"
    try:
        with partial.open("wb") as file:
            _write_arrays(file, about, state)
            file.flush()
            os.fsync(file.fileno())
        path = folder / f"step-{step:010}-{_digest(partial)}.npz"
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    _sync(folder)
    for other in folder.iterdir():
        if other != path:
            other.unlink()
    return path


def read(path: Path) -> Checkpoint:
    """The content of a checkpoint; arrays are loaded when they are asked for.

    Raises:
        UserError: It is damaged.
    """
    named = _NAME.fullmatch(path.name)
    try:
        if named is None or _digest(path) != named[2]:
            raise ValueError("its content has another digest than its name")
        arrays = np.load(path, allow_pickle=False)
        about = json.loads(arrays[_ABOUT].tobytes())
        names = [name for name in arrays.files if name != _ABOUT]
    except Exception as error:  # damaged files raise nearly every type there is
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a whole checkpoint ({reason})") from error
    return Checkpoint(about, _Lazy(arrays, names))


class _Lazy(Mapping[str, NDArray[Any]]):
    """Some arrays of an archive, each loaded when it is asked for."""

    def __init__(self, arrays: Any, names: Iterable[str]) -> None:
        self._arrays, self._names = arrays, list(names)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        array: NDArray[Any] = self._arrays[name]
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _write_arrays(
    file: Any, about: Mapping[str, Any], state: Iterable[tuple[str, NDArray[Any]]]
) -> None:
    """As ``numpy.savez`` does, one array after the other: it would take all of them at once."""
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in chain([(_ABOUT, text)], state):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.asarray(array), allow_pickle=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Checkpoints:
    """The checkpoints of the training that a worker measures: when one is due, and writing it.

    Attributes:
        files: Of the training.
        problem: Why the last one could not be written; None where it was.
    """

    files: TrainingFiles
    problem: str | None = None
    _cost: float = 0.0
    """Seconds that the last one took."""
    _epoch: int = 0
    """Whole epochs at the last one."""

    def __post_init__(self) -> None:
        self._began = self._last = monotonic()

    def resumed(self) -> Checkpoint | None:
        """The checkpoint to go on from.

        Raises:
            UserError: It is damaged.
        """
        if self.files.resume is None:
            return None
        checkpoint = read(self.files.resume)
        self._epoch = checkpoint.about["epoch"]
        return checkpoint

    def due(self, epoch: int) -> bool:
        """Whether one is to be written now, after ``epoch`` whole epochs."""
        passed = monotonic() - self._last
        return passed >= EVERY_SECONDS or (epoch > self._epoch and passed * COST >= self._cost)

    def write(
        self,
        step: int,
        epoch: int,
        training: Mapping[str, Any],
        state: Iterable[tuple[str, NDArray[Any]]],
    ) -> None:
        """Write one. A training is not lost to a full disk: it goes on without."""
        started = monotonic()
        files = self.files
        about = {
            "key": files.key,
            "started_at": files.started_at,
            "seconds": files.seconds + started - self._began,
            "epoch": epoch,
            "training": training,
        }
        try:
            write(files.folder, step, about, state)
            self.problem = None
        except OSError as error:
            self.problem = f"checkpoint not written: {error.strerror or error}"
        self._epoch, self._last = epoch, monotonic()
        self._cost = self._last - started
