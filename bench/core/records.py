"""The record of one measurement, and the append-only file that holds them.

``results/<run>/records.jsonl`` has one JSON object a line. A line is flushed and fsynced before
the next case starts, so killing the run at any moment loses at most the case in flight.
"""

from __future__ import annotations

import dataclasses
import json
import marshal
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.case import Case
from bench.core.errors import OutputError, UserError, kind_of, reason_of
from bench.core.files import write_lines
from bench.core.meanwhile import uncollected
from bench.core.schema.record_fields import check
from bench.core.text import all_printable, printable, shown_json
from bench.core.upgrade import SCHEMA_VERSION, upgraded

FILE = "records.jsonl"
SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Record:
    """The result of one (case, kind). Tables, plots and reports are functions of these alone.

    Attributes:
        case: What was measured.
        kind: Name of the kind of measurement (`bench.core.kinds`).
        status: ``ok``, ``failed``, ``timeout``, ``oom`` or ``skipped``.
        error: Why there is no result; None when there is one.
        samples: Raw samples: seconds of each timed block; for accuracy one fraction, 0 to 1.
        unit: Of the samples: ``s`` or ``fraction``.
        images_per_sample: Images of one sample where it is timed, else None.
        summary: Computed from the samples (`bench.stats.summaries`).
        metrics: Everything else that was measured, by the names in `bench.core.schema.metrics`.
        dataset: ``name``, ``fingerprint``, ``train_images`` and ``test_images``.
        parity: The parity certificate: ``status`` and figures.
        settings: What was in force in the worker, read back.
        environment: Machine, versions and commit.
        started_at: UTC, ISO 8601.
        seconds: Wall time of the whole measurement in seconds, building and warm-up included.
        peak_memory_bytes: Largest resident memory of its processes; None where it is unknown.
        caveats: Limitations of this result, objects with ``on`` (seconds, speed, accuracy or all)
            and ``why``. They become footnotes; one on seconds says that the seconds are no
            measurement, and removes them from tables and plots (`bench.analysis.caveats`). The
            list ``answers``, which may be missing, names the checks of an audit that the caveat
            answers.
        schema_version: Version of the format.
        run: Name of the run's folder that it was read from; not a part of the file.
    """

    case: Case
    kind: str
    status: str
    error: str | None = None
    samples: tuple[float, ...] = ()
    unit: str = "s"
    images_per_sample: int | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    started_at: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    caveats: tuple[dict[str, Any], ...] = ()
    schema_version: int = SCHEMA_VERSION
    run: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """(case id, kind): a run has one record of each."""
        return self.case.id, self.kind

    @property
    def ok(self) -> bool:
        """Whether there is a result to table."""
        return self.status == "ok"

    def to_json(self) -> dict[str, Any]:
        """The object that is written as one line."""
        fields = {name: getattr(self, name) for name in _NAMES}
        lists = {"samples": list(self.samples), "caveats": list(self.caveats)}
        return {**fields, "case": self.case.to_json(), **lists}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """The record of one line, of this version of the format or an older one.

        Raises:
            UserError: It is no record; the message names what is wrong with it.
        """
        if not isinstance(value, Mapping):
            raise UserError(f"a record is a JSON object, got {shown_json(value)}")
        value = upgraded(value)
        version = value.get("schema_version")
        if type(version) is not int or version != SCHEMA_VERSION:
            raise UserError(
                f"schema_version {str(version)[:60]}; "
                f"this version of alexbench reads 1 to {SCHEMA_VERSION}"
            )
        missing = set(_NAMES) - value.keys()
        if missing:
            raise UserError(f"a record without {', '.join(sorted(missing))}")
        check(value)
        known = {name: value[name] for name in _NAMES}
        case = Case.from_json(value["case"])
        lists = {"samples": tuple(value["samples"]), "caveats": tuple(value["caveats"])}
        return cls(**{**known, "case": case, **lists})


_NAMES = tuple(field.name for field in dataclasses.fields(Record) if field.compare)
"""Fields that are in the file."""


def read_all(runs: Iterable[Path]) -> list[Record]:
    """The records of several run folders, in their order; their ``run`` is as of `run_names`.

    Raises:
        UserError: A folder has no records, or a line of them is none.
    """
    stores = [RecordStore(run) for run in runs]
    named = zip(stores, run_names(stores), strict=True)
    return [record for store, name in named for record in store.read(name)]


def run_names(stores: Sequence[RecordStore]) -> list[str]:
    """A name for each run, in their order; with the folders above it where two of them would have
    the same name."""
    places = [store.path.resolve() for store in stores]
    names = [store.name for store in stores]
    for depth in range(1, max((len(place.parts) for place in places), default=0)):
        homes: dict[str, set[Path]] = {}
        for name, place in zip(names, places, strict=True):
            homes.setdefault(name, set()).add(place)
        if all(len(home) == 1 for home in homes.values()):
            break
        names = [
            printable("/".join([*_above(place)[-depth:], store.name]))
            if len(homes[name]) > 1
            else name
            for store, place, name in zip(stores, places, names, strict=True)
        ]
    return names


def _above(records: Path) -> tuple[str, ...]:
    """The names of the folders above what a run is called by."""
    named = records.parent if records.name == FILE else records
    return named.parent.parts[1:]


class _Shared:
    """Equal parts of records as one object each: a run says the same in most of its records, and
    then holds it once."""

    _PARTS = ("dataset", "parity", "settings", "environment")

    def __init__(self) -> None:
        self._found: dict[bytes, dict[str, Any]] = {}

    def __call__(self, record: Record, run: str) -> Record:
        parts: dict[str, Any] = {name: self._one(getattr(record, name)) for name in self._PARTS}
        return dataclasses.replace(record, run=run, **parts)

    def _one(self, part: dict[str, Any]) -> dict[str, Any]:
        return self._found.setdefault(marshal.dumps(part, _NO_REFERENCES), part)


_NO_REFERENCES = 2
"""Version of marshal's format in which equal values have equal bytes."""


def no_run(*folders: Path) -> UserError:
    """The error for paths of which none is a run; those that do not exist are named."""
    missing = [folder for folder in folders if not folder.exists()]
    others = [folder for folder in folders if folder.exists() and not folder.is_dir()]
    notes = [
        f"{words}: {', '.join(map(str, some))}"
        for words, some in (("not there", missing), ("no folder", others))
        if some
    ]
    said = f" ({'; '.join(notes)})" if notes else ""
    return UserError(
        f"no {FILE} in {', '.join(map(str, folders))}; give the folder of a run, like "
        f"results/<run>{said}"
    )


class RecordStore:
    """The records of one run.

    Args:
        run: Its folder, or a file of records (``*.jsonl``) itself.
    """

    def __init__(self, run: Path) -> None:
        self.path = run if run.suffix == SUFFIX and run.is_file() else run / FILE
        self.folder = self.path.parent

    @property
    def name(self) -> str:
        """Of the run: of its folder; of the file where that is not called ``records.jsonl``."""
        found = self.folder.resolve().name if self.path.name == FILE else self.path.stem
        return printable(found)

    def append(self, *records: Record) -> None:
        """Write a line each and wait once until all are on the disk.

        Raises:
            OutputError: They cannot be written; then none of them is.
        """
        lines = [_line(record) for record in records]
        before: int | None = None
        try:
            self._check_regular()
            self.folder.mkdir(parents=True, exist_ok=True)
            before = self.path.stat().st_size if self.path.exists() else 0
            _append(self.path, lines)
        except OSError as error:
            if before is not None:
                _cut(self.path, before)
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}; what was written before is intact, "
                "give a folder with room that can be written to with --results"
            ) from error

    def read(self, name: str = "") -> list[Record]:
        """All records in the order of writing.

        Args:
            name: Their ``run``, where it is not that of the folder (`run_names`).

        A last line without its newline is what a killed run leaves: it is passed over. Any other
        line that is no record raises UserError with its number.
        """
        run, shared = name or self.name, _Shared()
        with uncollected():
            return [shared(record, run) for _, record in self._lines()]

    def __iter__(self) -> Iterator[Record]:
        """The records one by one, as `read` has them; of a large run they need not all be held."""
        run = self.name
        return (dataclasses.replace(record, run=run) for _, record in self._lines())

    def change(self, changed: Callable[[Record], Record]) -> int:
        """Write every record as ``changed`` returns it; the number of those that differ.

        The file is replaced as a whole, so that a reader sees the records before or after. Lines
        of records that stay are kept byte for byte.

        Args:
            changed: A record to the one that takes its place, which may be the same.

        Raises:
            UserError: The file cannot be read or written; it is then as it was.
        """
        lines: list[bytes] = []
        number = 0
        for line, record in self._lines():
            new = changed(record)
            number += new != record
            lines.append(line if new == record else _line(new))
        if number:
            try:
                _replace(self.path, lines)
            except OSError as error:
                raise kind_of(error)(f"cannot write {self.path}: {error.strerror}") from error
        return number

    def _lines(self) -> Iterator[tuple[bytes, Record]]:
        try:
            self._check_regular()
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.endswith(b"\n"):
                        return
                    yield line, record_of_line(line, f"{self.path}:{number}")
        except FileNotFoundError as error:
            raise no_run(self.folder) from error
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({reason_of(error)})") from error

    def _check_regular(self) -> None:
        """Raise UserError where the file is a pipe or the like: reading it may never end."""
        if self.path.exists() and not self.path.is_file():
            raise UserError(f"{self.path}: no regular file; give the folder of a run")

    @property
    def is_empty(self) -> bool:
        """Whether the file is there and no record is in it, not a whole line."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            return not file.readline().endswith(b"\n")

    @property
    def is_cut(self) -> bool:
        """Whether the last line has no newline, as a killed run leaves it."""
        return self.path.is_file() and _is_cut(self.path)

    def set_aside_failures(self) -> set[tuple[str, str]]:
        """Prepare the file for a resumed run; return the keys that need no second measurement.

        What failed is tried again when a run is resumed. Its line moves to ``attempts.jsonl``
        (nothing measured is lost), so that the run keeps one record per key.
        """
        if not self.path.exists():
            return set()
        keys, failures = set(), 0
        for _, record in self._lines():
            failures += not record.ok
            if record.ok:
                keys.add(record.key)
        if failures:
            aside = (line for line, record in self._lines() if not record.ok)
            _append(self.folder / "attempts.jsonl", aside)
        if failures or _is_cut(self.path):
            # Line by line: the records of a large run do not fit into memory twice.
            _replace(self.path, (line for line, record in self._lines() if record.ok))
        return keys

    def count(self) -> int:
        """Number of records, without reading what is in them; 0 where there is no file."""
        try:
            self._check_regular()
            with self.path.open("rb") as file:
                return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        except FileNotFoundError:
            return 0


def _line(record: Record) -> bytes:
    # NaN is not JSON: a diverged loss must have been turned into null before.
    return json.dumps(record.to_json(), allow_nan=False).encode() + b"\n"


def record_of_line(line: bytes, where: str) -> Record:
    """The record in a line of the file.

    Args:
        line: As it is in the file.
        where: Path and number of the line, for the error.

    Raises:
        UserError: It is no record; the message is one line, which begins with ``where``.
    """
    try:
        value = _DECODER.decode(line.decode("utf-8"))
        _check_finite(value)
        if _SURROGATE in line:  # the name of a file that is not UTF-8, in an older record
            value = all_printable(value)
        return Record.from_json(value)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not a JSON object ({error.msg})") from error
    except RecursionError as error:
        raise UserError(f"{where}: nested too deeply for a record") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: {reason_of(error)}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError(f"{where}: not a record ({error})") from error
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _refuse(constant: str) -> None:
    raise UserError(f"{constant} is no number that a record can hold")


def _check_finite(value: Any) -> None:
    """Raise UserError for a number like 1e999, which the decoder silently makes infinite.

    A function for each number would take longer than all the rest of reading.
    """
    content = marshal.dumps(value)
    if any(infinity in content for infinity in _INFINITIES):
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise UserError("a number is larger than a record can hold") from None


_INFINITIES = (struct.pack("<d", math.inf), struct.pack("<d", -math.inf))
"""As they are within marshal's format."""

_SURROGATE = b"\\ud"
"""As JSON has them, those of whole characters among them."""

_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _append(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _cut(path: Path, size: int) -> None:
    """Remove half a line, as a full disk leaves it: the next line would be appended to it."""
    try:
        os.truncate(path, size)
    except OSError:
        pass  # nothing was written there, or nothing can be done about it


def _is_cut(path: Path) -> bool:
    """Whether the last line has no newline, as a killed run leaves it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return size > 0 and file.read(1) != b"\n"


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    write_lines(path, lines, durable=True)
