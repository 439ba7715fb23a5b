"""The audit of durations: a sleep, a quantised clock, and figures that no clock gives twice."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from bench.analysis.caveats import is_removed
from bench.analysis.experiments import Experiment, without_seed
from bench.analysis.speeds import speeds_of
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
IDENTICAL = 1e-3
"""Seconds within which durations are identical, which those of `SEVERAL` experiments never are."""
LONG = 5.0
"""Seconds from which on durations are compared to the millisecond: shorter ones come that close by
chance."""
DIGITS = 1e-6
"""Relative distance within which short durations, speeds and their spreads are identical."""
BY_CHANCE = 0.005
"""Groups of values that are the same by chance: the most that is expected of a run."""
FEW_DISTINCT = 0.5
"""Share of distinct values below which the samples of one record are steps of a coarse clock."""

Found = Iterable[tuple[str, str]]
"""(where, reason) of each finding of a check."""
Measured = Sequence[tuple[float, str]]
"""Sorted values, each with the id of its experiment."""


def durations(records: Sequence[Record]) -> Found:
    """Equal durations across experiments: a sleep, a quantised clock, or a copied record."""
    timed = [r for r in records if r.ok and not is_removed(r)]
    epochs = _sorted((s, record) for record in timed for s in epoch_seconds(record))
    slept = list(_slept(epochs))
    yield from slept or _identical(epochs, "epochs", "s")
    whole = [(float(s), r) for r in timed if (s := r.metrics.get("train_seconds")) is not None]
    yield from _identical(_sorted(whole), "trainings", "s")
    rates = [r for r in timed if kind(r.kind).throughput and len(r.samples) > 1]
    speeds = {id(r): np.concatenate(speeds_of(r)) for r in rates}
    medians = [(float(np.median(speeds[id(r)])), r) for r in rates]
    spreads = [(float(np.std(s := speeds[id(r)]) / np.mean(s)), r) for r in rates]
    yield from _identical(_sorted(medians), "speeds", "images/s", long=np.inf)
    # Of samples that are all the same there is no spread: that is a finding of its own.
    yield from _identical(_sorted(s for s in spreads if s[0] > 0), "spreads", "", long=np.inf)
    yield from _repeated(timed)


def _sorted(values: Iterable[tuple[float, Record]]) -> Measured:
    return sorted((value, without_seed(record.case).id) for value, record in values)


def _slept(measured: Measured) -> Found:
    for group in _windows(measured, [value * (1 + SAME) for value, _ in measured], MANY):
        names = {name for _, name in group}
        low, high = group[0][0], group[-1][0]
        others = [s for s, name in measured if name in names and abs(s / low - 1) > APART]
        by_chance = _chance(group, measured, low * SAME) >= BY_CHANCE
        if len(names) >= SEVERAL and others and not by_chance:
            yield (
                "",
                f"{len(group)} of {len(measured)} epochs of {len(names)} cases last "
                f"{low:.3f} to {high:.3f} s, other epochs of these cases {min(others):.3f} to "
                f"{max(others):.3f} s: a sleep or a quantised clock",
            )


def _identical(measured: Measured, what: str, unit: str, long: float = LONG) -> Found:
    """Values of several experiments that are the same to the millisecond, or to the last digits.

    Next to many others they may be so by chance: a group is found where, as densely as the others
    lie around it, hardly any run has one of its size.

    Args:
        measured: Values with the ids of their experiments.
        what: What they are, in the plural.
        unit: Of the values.
        long: From which value on they are compared to the millisecond.
    """
    ends = [v + IDENTICAL if v >= long else v * (1 + DIGITS) for v, _ in measured]
    for group in _windows(measured, ends, SEVERAL):
        names = {name for _, name in group}
        low, high = group[0][0], group[-1][0]
        width = IDENTICAL if low >= long else low * DIGITS
        if len(names) >= SEVERAL and _chance(group, measured, width) < BY_CHANCE:
            yield (
                "",
                f"{len(group)} of {len(measured)} {what} of {len(names)} cases are the same: "
                f"{low:.6g} to {high:.6g} {unit}".rstrip(),
            )


def _chance(group: Measured, measured: Measured, width: float) -> float:
    """Expected number of groups as large as this one among values as dense as those around it."""
    low, high = group[0][0], group[-1][0]
    density = 0.0
    for reach in (SAME, APART):
        near = sum(low * (1 - reach) <= value <= high * (1 + reach) for value, _ in measured)
        density = max(density, (near - len(group)) / (2 * reach * low))
    others = len(group) - 1
    return float(len(measured) * (density * width) ** others / math.factorial(min(others, 99)))


def _windows(measured: Measured, limits: Sequence[float], least: int) -> Iterable[Measured]:
    """The fullest groups of sorted values that reach up to a limit of their first, disjoint."""
    values = [value for value, _ in measured]
    ends = [bisect_right(values, limit) for limit in limits]
    taken: set[int] = set()
    for start in sorted(range(len(measured)), key=lambda i: i - ends[i]):
        if ends[start] - start >= least and taken.isdisjoint(range(start, ends[start])):
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


def named(found: Record | Experiment) -> str:
    """The id of a case, with its kind."""
    return f"{found.case.id} {found.kind}"
