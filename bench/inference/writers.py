"""Writers of output files, batch by batch: JSON, CSV or npz, by the suffix of the name.

All batches that were added are in the file after ``close``, also when a run was cut short. Memory
does not grow with the number of images. An existing file is replaced at the end, by a whole one.
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

from bench.core.errors import UserError, cannot_write
from bench.inference.output import Output
from bench.training.interfaces import Outputs

_CHUNK = 1 << 20


class Writer(Protocol):
    """Writes one batch after the other."""

    def add(self, names: list[str], rows: Outputs) -> None:
        """Add a batch: paths of the images, and the network's output for each."""

    def close(self) -> None:
        """Finish the file."""


class JsonWriter:
    """A JSON list of one object per image."""

    def __init__(self, out: TextIO, output: Output) -> None:
        self._out, self._output = out, output
        self._separator = "[\n"

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`."""
        for name, row in zip(names, rows, strict=True):
            self._out.write(self._separator + json.dumps(self._output.to_json(name, row)))
            self._separator = ",\n"

    def close(self) -> None:
        """End the list, if one was begun."""
        if self._separator != "[\n":
            self._out.write("\n]\n")


class CsvWriter:
    """A CSV header, and one or more rows per image."""

    def __init__(self, out: TextIO, output: Output) -> None:
        self._output = output
        self._rows = csv.writer(out, lineterminator="\n")
        self._rows.writerow(["image", *output.header()])

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`."""
        for name, row in zip(names, rows, strict=True):
            self._rows.writerows([name, *line] for line in self._output.table(row))

    def close(self) -> None:
        """Nothing: every row is complete."""


class NpzWriter:
    """``images`` and the arrays of the output.

    An array's length comes before its data and is known only at the end, so the data of earlier
    batches are kept in unnamed temporary files.
    """

    def __init__(self, out: IO[bytes], output: Output) -> None:
        self._out, self._output = out, output
        self._names: list[str] = []
        self._parts: dict[str, tuple[IO[bytes], NDArray[Any]]] = {}

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`."""
        self._names += names
        for key, array in self._output.arrays(rows).items():
            if key not in self._parts:
                self._parts[key] = (tempfile.TemporaryFile(), array[:0])  # noqa: SIM115
            self._parts[key][0].write(np.ascontiguousarray(array).data)

    def close(self) -> None:
        """Write the archive."""
        with ZipFile(self._out, "w") as archive:
            for key, array in {
                "images": np.array(self._names),
                **self._output.constants(),
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
    """Raise UserError for a file that could not be written, before anything is computed."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"-o {path}: unknown suffix; expected one of {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise UserError(f"-o {path}: a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"-o {path}: no folder {path.parent}; make it first")


class FileWriter:
    """A :class:`Writer` of a file that appears when it is complete; no file without an image."""

    def __init__(self, path: Path, output: Output) -> None:
        self._path, self._output = path, output
        self._part = path.with_name(f".{path.name}.part")
        self._out: IO[Any] | None = None
        self._writer: Writer | None = None

    def add(self, names: list[str], rows: Outputs) -> None:
        """See :class:`Writer`; UserError where the file cannot be written."""
        with self._writing():
            if self._writer is None:
                self._writer = self._open()
            self._writer.add(names, rows)

    def close(self) -> None:
        """Move the file to its path; UserError where that fails."""
        if self._writer is None or self._out is None:
            return
        with self._writing():
            self._writer.close()
            self._out.close()
            self._part.replace(self._path)

    def _open(self) -> Writer:
        kind = self._path.suffix.lower()
        if kind == ".npz":
            self._out = self._part.open("wb")
            return NpzWriter(self._out, self._output)
        # Names of files are bytes and may not be valid UTF-8.
        self._out = self._part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        made = CsvWriter if kind == ".csv" else JsonWriter
        return made(self._out, self._output)

    def _discard(self) -> None:
        """Remove the partial file as far as possible; the first error is the one that is raised."""
        self._writer = None
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
            self._discard()
            raise cannot_write(self._path, error, "give another -o") from error
