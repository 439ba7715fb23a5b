"""Output into a file as they come: JSON, CSV or npz, told by the name's ending.

What was added is there when the block ends, however it ends, and memory does not grow with the
number of pictures. A file of that name is replaced only then, and by a whole one.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol, TextIO
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.inference.output import Output
from bench.training.interfaces import Outputs

_CHUNK = 1 << 20


class Writer(Protocol):
    """Takes a batch after the other."""

    def add(self, names: list[str], rows: Outputs) -> None:
        """Paths of the pictures, and what the network gives for each."""

    def close(self) -> None:
        """Finish what was begun."""


class JsonWriter:
    """A list of one object per picture."""

    def __init__(self, out: TextIO, answers: Output) -> None:
        self._out, self._answers = out, answers
        self._before = "[\n"

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`."""
        for name, row in zip(names, rows, strict=True):
            self._out.write(self._before + json.dumps(self._answers.to_json(name, row)))
            self._before = ",\n"

    def close(self) -> None:
        """End the list, if there is one."""
        if self._before != "[\n":
            self._out.write("\n]\n")


class CsvWriter:
    """A header, and a line or several per picture."""

    def __init__(self, out: TextIO, answers: Output) -> None:
        self._answers = answers
        self._rows = csv.writer(out, lineterminator="\n")
        self._rows.writerow(["image", *answers.header()])

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`."""
        for name, row in zip(names, rows, strict=True):
            self._rows.writerows([name, *line] for line in self._answers.table(row))

    def close(self) -> None:
        """Nothing is missing."""


class NpzWriter:
    """``images`` and the arrays of the answers. What came so far waits in a file without a name:
    an array's length stands in front of it, and is known at the end."""

    def __init__(self, out: IO[bytes], answers: Output) -> None:
        self._out, self._answers = out, answers
        self._names: list[str] = []
        self._parts: dict[str, tuple[IO[bytes], NDArray[Any]]] = {}

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`."""
        self._names += names
        for key, array in self._answers.arrays(rows).items():
            if key not in self._parts:
                self._parts[key] = (tempfile.TemporaryFile(), array[:0])  # noqa: SIM115
            self._parts[key][0].write(np.ascontiguousarray(array).data)

    def close(self) -> None:
        """Write the archive."""
        with ZipFile(self._out, "w") as archive:
            for key, array in {
                "images": np.array(self._names),
                **self._answers.constants(),
            }.items():
                with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                    npy.write_array(entry, array, allow_pickle=False)
            for key, (part, like) in self._parts.items():
                with archive.open(f"{key}.npy", "w", force_zip64=True) as entry, part:
                    self._copy(part, like, entry)

    def _copy(self, part: IO[bytes], like: NDArray[Any], entry: IO[bytes]) -> None:
        header = {
            "descr": npy.dtype_to_descr(like.dtype),
            "fortran_order": False,
            "shape": (len(self._names), *like.shape[1:]),
        }
        npy.write_array_header_1_0(entry, header)
        part.seek(0)
        while chunk := part.read(_CHUNK):
            entry.write(chunk)


SUFFIXES = (".csv", ".json", ".npz")


def check_output(path: Path) -> None:
    """Raise UserError before anything is computed for a file that could not be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"-o {path}: unknown ending; expected one of {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise UserError(f"-o {path}: a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"-o {path}: no folder {path.parent}; make it first")


class FileWriter:
    """A :class:`Writer` into a file that appears when it is whole; none without a picture."""

    def __init__(self, path: Path, answers: Output) -> None:
        self._path, self._answers = path, answers
        self._part = path.with_name(f".{path.name}.part")
        self._out: IO[Any] | None = None
        self._sheet: Writer | None = None

    def add(self, names: list[str], rows: Outputs) -> None:
        """UserError where it cannot be written."""
        with self._writing():
            if self._sheet is None:
                self._sheet = self._open()
            self._sheet.add(names, rows)

    def close(self) -> None:
        """Put the file in its place; UserError where that fails."""
        if self._sheet is None or self._out is None:
            return
        with self._writing():
            self._sheet.close()
            self._out.close()
            self._part.replace(self._path)

    def _open(self) -> Writer:
        kind = self._path.suffix.lower()
        if kind == ".npz":
            self._out = self._part.open("wb")
            return NpzWriter(self._out, self._answers)
        # Names of files are bytes, and need not be text.
        self._out = self._part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        made = CsvWriter if kind == ".csv" else JsonWriter
        return made(self._out, self._answers)

    def _give_up(self) -> None:
        """Leave nothing behind, as far as that can be; the first error is the one that counts."""
        self._sheet = None
        with suppress(OSError):
            if self._out:
                self._out.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._give_up()
            reason = error.strerror or str(error)
            raise UserError(f"cannot write to {self._path}: {reason}; give another -o") from error
