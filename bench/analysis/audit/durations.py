"""The audit of durations: a sleep, a quantised clock, and records that were copied."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from bench.analysis.caveats import is_removed
from bench.analysis.experiments import without_seed
from bench.core.kinds import kind
from bench.core.records import Record

SAME = 1e-3
"""Relative width of a window in which durations count as the same: epochs of 20 s within 20 ms.
Durations on an idle CPU vary by some per cent."""
MANY = 5
"""Durations in such a window, of at least `SEVERAL` experiments, that chance does not bring
together."""
SEVERAL = 3
APART = 0.02
"""Relative distance at which the same experiments have other durations: a clock or a sleep that
rounds makes them jump, a quiet machine does not."""
FEW_DISTINCT = 0.5
"""Share of distinct values below which the samples of one record are steps of a coarse clock."""

Found = Iterable[tuple[str, str]]
"""(where, reason) of each finding of a check."""


def durations(records: Sequence[Record]) -> Found:
    """Equal durations across experiments: a sleep, a quantised clock, or a copied record."""
    timed = [r for r in records if r.ok and not is_removed(r)]
    measured = sorted(
        (seconds, without_seed(record.case).id)
        for record in timed
        for seconds in epoch_seconds(record)
    )
    for group in _windows(measured):
        names = {name for _, name in group}
        low, high = group[0][0], group[-1][0]
        others = [s for s, name in measured if name in names and abs(s / low - 1) > APART]
        if len(names) >= SEVERAL and others:
            yield (
                "",
                f"{len(group)} of {len(measured)} epochs of {len(names)} cases last "
                f"{low:.3f} to {high:.3f} s, other epochs of these cases {min(others):.3f} to "
                f"{max(others):.3f} s: a sleep or a quantised clock",
            )
    yield from _repeated(timed)


def _windows(measured: Sequence[tuple[float, str]]) -> Iterable[Sequence[tuple[float, str]]]:
    """The fullest groups of sorted durations that lie within `SAME` of each other, disjoint."""
    seconds = [duration for duration, _ in measured]
    ends = [bisect_right(seconds, duration * (1 + SAME)) for duration in seconds]
    taken: set[int] = set()
    for start in sorted(range(len(measured)), key=lambda i: i - ends[i]):
        if ends[start] - start >= MANY and taken.isdisjoint(range(start, ends[start])):
            taken.update(range(start, ends[start]))
            yield measured[start : ends[start]]


def _repeated(records: Sequence[Record]) -> Found:
    """Samples that repeat: within one record, or all of them in two records."""
    seen: dict[tuple[float, ...], Record] = {}
    for record in records:
        if not kind(record.kind).timed or len(record.samples) < 2:
            continue
        if record.samples in seen:
            other = seen[record.samples]
            yield named(record), f"the same {len(record.samples)} durations as {named(other)}"
        seen.setdefault(record.samples, record)
        distinct = len(set(record.samples))
        if len(record.samples) >= MANY - 1 and distinct < FEW_DISTINCT * len(record.samples):
            yield (
                named(record),
                f"{len(record.samples)} durations have {distinct} different values: a quantised "
                "clock",
            )


def epoch_seconds(record: Record) -> list[float]:
    """Seconds of each stretch between two evaluations, without the first one (which compiles)."""
    curve = record.metrics.get("curve") or []
    return [after["seconds"] - before["seconds"] for before, after in pairwise(curve)]


def named(record: Record) -> str:
    """The id of a record's case, with its kind."""
    return f"{record.case.id} {record.kind}"
