"""What a row of the page opens to: its records, with samples, settings, certificate and command.

Every distinct setting is in the page once: records name sets, and sets name pairs of key and
value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from bench.analysis.certified import status_of
from bench.analysis.experiments import by_dataset, without_seed
from bench.analysis.rows import IDENTITY, Row
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.core.samples import by_process
from bench.core.text import without_folders
from bench.report.page.commands import Begun, command_of
from bench.report.page.settings import Flat, Pairs, is_public, shown
from bench.report.table import Table

DETAILED = 12_000
"""Records of a report that rows open to at most; records.jsonl has the others."""
SAMPLES = 240
"""Samples of a record that are in the page at most, evenly spread over the measurement."""
_CASE = IDENTITY[2:]
_CERTIFIED = ("track", "variant", "framework", "head", "execution")
"""What a certificate is of."""
SETS = ("case", "settings", "environment", "dataset", "certificate")
"""The settings of a record, by name, in the order of its ``sets``."""
_OPTION = " --"
_OWN = {"seed": "seed", "defaults": "stage"}
"""Fields of a case that only the rows of some tables have, by their key there."""
_FIELDS = tuple(field.name for field in fields(Case))


class Details:
    """The records of a report, as the rows of its page open to them.

    Args:
        records: All records of the report.
        begun: By the name of a run, what it was begun with.
    """

    def __init__(self, records: Sequence[Record], begun: Mapping[str, Begun]) -> None:
        self._records = records[:DETAILED]
        self._begun = begun
        self._found: dict[Hashable, list[int]] = {}
        data = {id(r): of.fingerprint for of, some in by_dataset(self._records) for r in some}
        for place, record in enumerate(self._records):
            case = without_seed(record.case)
            key = tuple(getattr(case, name) for name in _CASE)
            certificate = tuple(getattr(case, name) for name in _CERTIFIED)
            status = record.parity.get("key"), status_of(record)
            for key_of in ((data[id(record)], *key, record.kind), (*certificate, *status)):
                self._found.setdefault(key_of, []).append(place)

    def of(self, table: Table, row: Row) -> list[int]:
        """The places of the records that a row is about; empty where it names no case."""
        kinds = [row["kind"]] if "kind" in row else list(table.kinds) or list(KINDS)
        if not all(name in row for name in _CASE):
            return self._of_certificate(row)
        key = (row["fingerprint"], *(row[name] for name in _CASE))
        found = [place for name in kinds for place in self._found.get((*key, name), ())]
        # Of a row about one seed, or about one stage of an ablation, no others.
        wanted = [(name, row[key]) for name, key in _OWN.items() if row.get(key) is not None]
        cases = ((place, self._records[place].case) for place in found)
        return [p for p, case in cases if all(getattr(case, n) == value for n, value in wanted)]

    def _of_certificate(self, row: Row) -> list[int]:
        """The first record that has the certificate of a row."""
        key = tuple(row.get(name) for name in (*_CERTIFIED, "key", "status"))
        return self._found.get(key, [])[:1]

    def to_json(self) -> dict[str, Any]:
        """``records``, ``sets``, ``pairs`` and ``words``, as the page's script reads them.

        A record's ``sets`` are those of `SETS`, in their order; its ``command`` is places in
        ``words``, an option with its value each; its ``of``, what one sample is, is one, too.
        """
        pairs, sets, words = _Numbered(), _Numbered(), _Numbered()
        every, public = Flat(), Flat(is_public)
        places: dict[int, int] = {}

        def number(found: Pairs) -> int:
            if id(found) not in places:  # one object for equal settings, which `Flat` keeps
                places[id(found)] = sets(tuple(map(pairs, found)))
            return places[id(found)]

        records = []
        cases = _pairs_of_cases(record.case for record in self._records)
        every_sample = _samples(self._records)
        for record, case, samples in zip(self._records, cases, every_sample, strict=True):
            found = {
                "case": case,
                "settings": every(record.settings),
                "environment": public(record.environment),
                "dataset": every(record.dataset),
                "certificate": every(record.parity),
            }
            command = command_of(record, self._begun.get(record.run))
            numbers = {
                "sets": [number(found[name]) for name in SETS],
                "command": list(map(words, command.split(_OPTION))),
                "of": words(_one_sample(record)),
            }
            records.append(_facts(record, samples) | numbers)
        return {
            "records": records,
            "sets": sets.values,
            "pairs": pairs.values,
            "words": words.values,
        }


def _facts(record: Record, samples: list[list[float | None]]) -> dict[str, Any]:
    caveats = "; ".join(f"{caveat.get('on')}: {caveat.get('why')}" for caveat in record.caveats)
    found = {
        "id": record.case.id,
        "kind": KINDS[record.kind].label if record.kind in KINDS else record.kind,
        "status": record.status,
        "samples": samples,
        "taken": len(record.samples),
        "each": each if (each := _each(record)) > 1 else None,
        "steps": steps if (steps := _steps(record)) > 1 else None,
        "range": _range(record) if len(record.samples) > SAMPLES else [],
        "unit": record.unit,
        "started": record.started_at,
        "seconds": round(record.seconds, 1),
        "memory": record.peak_memory_bytes,
        "run": record.run,
        "caveats": without_folders(caveats),
    }
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def _steps(record: Record) -> int:
    """Steps of one sample, by which its seconds are divided as in the tables."""
    row = KINDS.get(record.kind)
    images = record.images_per_sample if row and row.throughput else None
    return max(1, round((images or 0) / record.case.batch_size))


def _one_sample(record: Record) -> str:
    """What each of a record's samples is, in words."""
    row = KINDS.get(record.kind)
    if row is None:
        return ""
    if row.throughput:
        steps = _steps(record)
        return "a block of 1 step" if steps == 1 else f"a block of {steps:,} steps"
    if row.startup:
        return "a process from its start to the end of its first step"
    if row.trained:
        return "the test accuracy at the end of a training"
    return "a call with one image" if row.batch_size == 1 else ""


def _range(record: Record) -> list[float | None]:
    """Smallest sample, median and largest of all, of which the page has only some."""
    every = np.asarray(record.samples, dtype=float)
    every = every[np.isfinite(every)]
    return _rounded(np.percentile(every, (0, 50, 100)).tolist()) if len(every) else []


class _Numbered:
    """Distinct values by the order of their first appearance."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        return self._places.setdefault(value, len(self._places))

    @property
    def values(self) -> list[Hashable]:
        """The values in that order."""
        return list(self._places)


def _pairs_of_cases(cases: Iterable[Case]) -> list[Pairs]:
    """The fields of each case that have a value, in words."""
    words: dict[tuple[str, Hashable], tuple[str, str]] = {}
    found = []
    for case in cases:
        fields_of = ((name, getattr(case, name)) for name in _FIELDS)
        named = [field for field in fields_of if field[1] not in ("", None)]
        for name, value in named:
            if (name, value) not in words:
                words[name, value] = name, shown(value)
        found.append(tuple(words[field] for field in named))
    return found


def _each(record: Record) -> int:
    """Which samples of a record are in the page: every one, every second, …"""
    return max(1, -(-len(record.samples) // SAMPLES))


def _samples(records: Sequence[Record]) -> list[list[list[float | None]]]:
    """The samples of each process of each record with `_DIGITS` digits; at most `SAMPLES` of a
    record."""
    found = [
        [some[:: _each(record)] for some in by_process(record)] if record.samples else []
        for record in records
    ]
    # Of all records at once: numbers one by one would take longer than the rest of the details.
    rounded = iter(_rounded([value for lanes in found for some in lanes for value in some]))
    return [[[next(rounded) for _ in some] for some in lanes] for lanes in found]


_DIGITS = 4
_POWERS = 300
"""Powers of ten that a float has."""


def _rounded(values: Sequence[float]) -> list[float | None]:
    """Finite numbers with so many significant digits; None for others."""
    every = np.asarray(values, dtype=float)
    finite = np.isfinite(every)
    sizes = np.abs(np.where(finite & (every != 0), every, 1.0))
    places = np.clip(_DIGITS - 1 - np.floor(np.log10(sizes)), -_POWERS, _POWERS)
    # Divided by a whole power of ten, never multiplied with a fraction: the nearest number to four
    # digits, as they are written.
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    with np.errstate(invalid="ignore"):
        short = np.rint(every * up / down) / up * down
    return [value if ok else None for value, ok in zip(short.tolist(), finite, strict=True)]


def as_json(value: Any) -> str:
    """JSON that is safe in a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def keys_of(rows: Iterable[Row], prefix: str, taken: dict[str, int]) -> list[str]:
    """An anchor for each row, the same in the page of every report that has the row.

    Args:
        rows: The rows.
        prefix: Of all anchors.
        taken: How often each anchor was given before; gets those of these rows.
    """
    anchors = []
    for row in rows:
        anchor = f"{prefix}-{_digest(row)}"
        again = taken[anchor] = taken.get(anchor, 0) + 1
        anchors.append(anchor if again == 1 else f"{anchor}-{again}")
    return anchors


_NAMES = (
    *(*IDENTITY, "kind", "seed", "parity", "layer", "threshold", "stage", "reference", "key"),
    *("rank", "normalisation", "compared"),
)
"""What tells the rows of a table apart."""


def _digest(row: Row) -> str:
    names = "|".join(str(row.get(name)) for name in _NAMES)
    return hashlib.sha256(names.encode()).hexdigest()[:8]
