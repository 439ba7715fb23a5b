"""The rows of two runs as tables have them: an accuracy once, for all seeds that were compared.

A comparison is of one seed, the interval of an accuracy of the mean over all. In a table, value,
interval and verdict must be of the same seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from bench.analysis.comparison.compare import (
    REFUSED,
    Comparison,
    Sides,
    by_key,
    compare,
    identical,
    only_in,
)
from bench.analysis.experiments import without_seed
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record

Key = tuple[str, str]
"""Id of a case and kind."""

IDENTICAL, EQUAL = "identical runs", "equal accuracies"


@dataclass(frozen=True)
class Entry:
    """A case and kind of two runs.

    Attributes:
        case: With seed 0 where it stands for all seeds.
        comparison: Its figure and interval; of an accuracy the mean over the shared seeds.
        pairs: The records of the earlier and the later run that were compared, by seed.
        same: That both sides are the same trainings, or, with an interval without a width, as
            accurate in every seed; else empty.
    """

    case: Case
    comparison: Comparison
    pairs: tuple[tuple[Record, Record], ...] = ()
    same: str = ""

    @property
    def key(self) -> Key:
        """Id of its case, and its kind."""
        return self.case.id, self.comparison.kind

    @property
    def shared(self) -> tuple[float, float] | None:
        """Mean accuracies of the shared seeds in the earlier and the later run; None of speeds."""
        if not self.pairs:
            return None
        return mean(a.samples[0] for a, _ in self.pairs), mean(b.samples[0] for _, b in self.pairs)


def entries(
    comparisons: Iterable[Comparison],
    a: Mapping[Key, Record],
    b: Mapping[Key, Record],
    sides: Sides = ("A", "B"),
) -> list[Entry]:
    """The entries of two runs, in the order of their comparisons.

    Args:
        comparisons: All of the two runs.
        a: Records of the earlier run.
        b: Records of the later run.
        sides: What reasons call the two.
    """
    groups: dict[tuple[Case, str], list[Comparison]] = {}
    for row in comparisons:
        key = row.case, row.kind
        case = (a[key] if key in a else b[key]).case
        groups.setdefault((own_case(case, row.kind), row.kind), []).append(row)
    return [
        Entry(case, rows[0]) if kind(name).timed else _over_seeds(case, rows, a, b, sides)
        for (case, name), rows in groups.items()
    ]


def entries_of(
    a: Sequence[Record],
    b: Sequence[Record],
    sides: Sides = ("A", "B"),
    *,
    across_data: bool = False,
) -> list[Entry]:
    """The entries of two runs, from their records; accuracies on different images on request."""
    found = compare(a, b, sides, across_data=across_data)
    return entries(found, by_key(a), by_key(b), sides)


def own_case(case: Case, name: str) -> Case:
    """The case of the entry that a case and kind belong to: an accuracy's has seed 0."""
    return case if kind(name).timed else without_seed(case)


def _over_seeds(
    case: Case,
    rows: Sequence[Comparison],
    a: Mapping[Key, Record],
    b: Mapping[Key, Record],
    sides: Sides,
) -> Entry:
    compared = [row for row in rows if row.has_figure]
    if not compared:
        return Entry(case, replace(_not_compared(rows, a, b, sides), case=case.id))
    pairs = tuple((a[row.case, row.kind], b[row.case, row.kind]) for row in compared)
    first = compared[0]
    # Of each seed: which weights it ended in, and the mean, which the entry has as its figure.
    own = [f"mean over {first.runs} seeds: ", "identical training: "]
    notes = [note for row in compared for note in row.reasons if not note.startswith(tuple(own))]
    notes += [_of_seed(row, a, b, sides) for row in rows if not row.has_figure]
    same = ""
    if all(identical(*pair) for pair in pairs):
        same = IDENTICAL
    elif first.low is not None and first.low == first.high == 0:
        same = EQUAL
    reasons = tuple(dict.fromkeys(notes))
    row = replace(first, case=case.id, difference=first.mean, reasons=reasons)
    return Entry(case, row, pairs, same)


def _of_seed(
    row: Comparison, a: Mapping[Key, Record], b: Mapping[Key, Record], sides: Sides
) -> str:
    """Why a seed was not compared: ``seed 0 only in A``."""
    record = a.get((row.case, row.kind)) or b[row.case, row.kind]
    why = f" ({row.reason})" if row.reason else ""
    return f"seed {record.case.seed} {only_in(row.verdict, sides)}{why}"


def _not_compared(
    rows: Sequence[Comparison], a: Mapping[Key, Record], b: Mapping[Key, Record], sides: Sides
) -> Comparison:
    """The row of seeds none of which was compared; of seeds with unlike reasons it has all."""
    first = next((row for row in rows if row.verdict == REFUSED), rows[0])
    if len({(row.verdict, row.reasons) for row in rows}) == 1:
        return first
    return replace(first, reasons=tuple(_of_seed(row, a, b, sides) for row in rows))
