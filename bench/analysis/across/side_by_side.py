"""Several runs side by side: each compared with the first, and what differs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from bench.analysis.across.entries import Entry, Key, entries, own_case
from bench.analysis.certified import status_of
from bench.analysis.comparison.comparability import RUNS, Difference, differences
from bench.analysis.comparison.compare import (
    Comparison,
    Sides,
    by_key,
    compare,
    facts_of,
    is_same_measurement,
)
from bench.analysis.experiments import data_of
from bench.analysis.runs import Run
from bench.core.errors import UserError
from bench.core.records import Record


@dataclass(frozen=True)
class Differing:
    """A setting, version or fact about the machine that is not the same in all runs.

    Attributes:
        name: Its dotted key, as ``threads.intra_op`` or ``torch``.
        values: By run; empty where it is unknown, several with commas where its cases differ.
        cases: In how many cases and kinds it differs.
    """

    name: str
    values: tuple[str, ...]
    cases: int


@dataclass(frozen=True)
class SideBySide:
    """Several runs, case by case.

    Attributes:
        runs: The first is the one that the others are compared with.
        records: By case and kind, one per run; None where a run does not have it.
        comparisons: By run after the first; what `bench.analysis.comparison.compare` returns.
        differing: Only what differs between runs that share a case.
    """

    runs: tuple[Run, ...]
    records: Mapping[Key, tuple[Record | None, ...]]
    comparisons: tuple[tuple[Comparison, ...], ...]
    differing: tuple[Differing, ...]

    @cached_property
    def entries(self) -> tuple[tuple[Entry, ...], ...]:
        """The comparisons with an accuracy once for all its seeds, by run after the first."""
        keyed = [
            {key: r for key, some in self.records.items() if (r := some[place]) is not None}
            for place in range(len(self.runs))
        ]
        return tuple(
            tuple(entries(some, keyed[0], keyed[place], (letter(0), letter(place))))
            for place, some in enumerate(self.comparisons, start=1)
        )

    @cached_property
    def members(self) -> Mapping[Key, tuple[tuple[Record, ...], ...]]:
        """The records of each entry by run: one, or those of all seeds."""
        found: dict[Key, list[list[Record]]] = {}
        for (_, name), some in self.records.items():
            case = own_case(next(r.case for r in some if r is not None), name)
            by_run = found.setdefault((case.id, name), [[] for _ in self.runs])
            for own, record in zip(by_run, some, strict=True):
                own += [record] if record is not None else []
        return {key: tuple(map(tuple, by_run)) for key, by_run in found.items()}

    def rows(self) -> list[tuple[Key, tuple[Entry | None, ...]]]:
        """Entries by case and kind, in the order of the runs' records."""
        by_run = [{entry.key: entry for entry in some} for some in self.entries]
        return [(key, tuple(found.get(key) for found in by_run)) for key in self.members]


def letter(place: int) -> str:
    """``A`` for the first run, ``B`` for the second; ``AA`` after ``Z``."""
    before, own = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + own)


def side_by_side(runs: Sequence[Run], *, across_data: bool = False) -> SideBySide:
    """Every run compared with the first.

    Args:
        runs: Two or more.
        across_data: Whether accuracies on different images are compared, too.

    Raises:
        UserError: A run is a copy of the first.
    """
    keyed = [by_key(run.records) for run in runs]
    keys = dict.fromkeys(key for records in keyed for key in records)
    records = {key: tuple(found.get(key) for found in keyed) for key in keys}
    first, *others = runs
    for place, (run, found) in enumerate(zip(others, keyed[1:], strict=True), start=1):
        _check_no_copy((first, run), (keyed[0], found), (letter(0), letter(place)))
    comparisons = tuple(
        tuple(
            compare(
                *(first.records, run.records, (letter(0), letter(place))), across_data=across_data
            )
        )
        for place, run in enumerate(others, start=1)
    )
    return SideBySide(tuple(runs), records, comparisons, tuple(_differing(records.values())))


def _check_no_copy(
    runs: tuple[Run, Run], records: tuple[Mapping[Key, Record], Mapping[Key, Record]], sides: Sides
) -> None:
    """Raise UserError where all that two runs share are copies of one measurement."""
    one, other = records
    shared = one.keys() & other.keys()
    if shared and all(is_same_measurement(one[key], other[key]) for key in shared):
        names = " and ".join(f"{s} ({run.name})" for s, run in zip(sides, runs, strict=True))
        raise UserError(
            f"{names} are the same measurements, begun in the same second: a run compared with "
            "its copy shows nothing"
        )


def _differing(records: Iterable[Sequence[Record | None]]) -> list[Differing]:
    """What differs between the records of one case, over all cases."""
    values: dict[str, list[dict[str, None]]] = {}
    cases: Counter[str] = Counter()
    for some in records:
        present = [(place, r) for place, r in enumerate(some) if r is not None and r.ok]
        names = set()
        for (i, one), (j, other) in combinations(present, 2):
            for difference in _differences(one, other):
                names.add(difference.key)
                columns = values.setdefault(difference.key, [{} for _ in some])
                columns[i][difference.one] = columns[j][difference.other] = None
        cases.update(names)
    return [
        Differing(name, tuple(", ".join(column) for column in columns), cases[name])
        for name, columns in values.items()
    ]


def _differences(one: Record, other: Record) -> list[Difference]:
    """Data, certificate, versions, machine and settings that are known of both and not equal."""
    left, right = (_facts(record) for record in (one, other))
    facts = [
        Difference(name, left[name], right[name])
        for name in left
        if name in right and left[name] != right[name]
    ]
    found = differences(one, other, RUNS)
    return [*facts, *(d for d in found if d.key.partition(".")[0] not in left)]


def _facts(record: Record) -> dict[str, str]:
    return {"data": data_of(record).label, "parity": status_of(record), **facts_of(record)}
