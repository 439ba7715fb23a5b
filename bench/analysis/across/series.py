"""Each case over several runs: its results in the order of time, and where they cannot be joined.

Points are comparable where data, certificate, machine and settings are those of the rule for two
runs (`bench.analysis.comparison.comparability.RUNS`); else there is a break between them, which no
line and no change point crosses. Versions and commits may differ: that is what a history is looked
at for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.analysis.across.entries import Entry, entries_of
from bench.analysis.caveats import is_removed
from bench.analysis.comparison.compare import breaks, facts_of, is_same_measurement
from bench.analysis.experiments import (
    data_of,
    framework_place,
    latest,
    place,
    variant_place,
    without_seed,
)
from bench.analysis.runs import Run
from bench.analysis.values import value_of
from bench.core.case import Case
from bench.core.kinds import KINDS, kind
from bench.core.records import Record
from bench.core.samples import by_process
from bench.core.text import headline, without_folders
from bench.stats.estimates import Estimate
from bench.training.tracks import TRACKS


@dataclass(frozen=True)
class Break:
    """A fact that keeps two points from being joined.

    Attributes:
        what: ``data``, ``parity``, ``machine`` or ``settings``.
        key: The setting or the fact about the machine; else as `what`.
        before: Its value at the point before.
        now: Its value at the point after the break.
    """

    what: str
    key: str
    before: str
    now: str

    @property
    def name(self) -> str:
        """``data``, or ``machine: cpu``."""
        return self.what if self.key == self.what else f"{self.what}: {self.key}"

    @property
    def words(self) -> str:
        """``machine: cores 2 → 64``."""
        return f"{self.name}{':' if self.key == self.what else ''} {self.before} → {self.now}"


@dataclass(frozen=True)
class Point:
    """The result of a case in one run.

    Attributes:
        run: Name of the run.
        records: Of all seeds, with a result.
        conditions: Number of its data, certificate, machine and settings in the series: points
            with one number may be compared.
        broken: What is not as at the point before; empty where the two may be joined.
        changed: Versions and commit that are not as at the last point before it with the same
            conditions (of new ones: at the point before), in words.
        begun: When the first measurement of the whole run began (UTC, ISO 8601); empty where it is
            unknown.
    """

    run: str
    records: tuple[Record, ...]
    conditions: int = 0
    broken: tuple[Break, ...] = ()
    changed: tuple[str, ...] = ()
    begun: str = ""

    @cached_property
    def estimate(self) -> Estimate:
        """The value in images/s, seconds or as a fraction, with its 95 % interval."""
        return value_of(self.records)

    @property
    def started_at(self) -> str:
        """When the first of its measurements began (UTC, ISO 8601); empty where it is unknown."""
        return min(record.started_at for record in self.records)

    @property
    def commit(self) -> str:
        """Of alexbench's checkout; empty where it is unknown."""
        return str(self.records[0].environment.get("commit") or "")

    @property
    def repeats(self) -> int:
        """Number of processes; of seeds for accuracy."""
        timed = kind(self.records[0].kind).timed
        return sum(len(by_process(record)) if timed else 1 for record in self.records)


@dataclass(frozen=True)
class Series:
    """A case over several runs.

    Attributes:
        case: With seed 0.
        kind: Kind of measurement.
        points: In the order of time.
        missing: The runs in which it has no result, each with the reason.
    """

    case: Case
    kind: str
    points: tuple[Point, ...]
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def last(self) -> Entry | None:
        """The last point compared with the one before; None where the two cannot be joined.

        An accuracy is compared by the seeds that both have.
        """
        if len(self.points) < 2 or self.points[-1].broken:
            return None
        before, now = self.points[-2:]
        found = entries_of(before.records, now.records, (before.run, now.run))
        return next((entry for entry in found if entry.comparison.has_figure), None)


def series_of(runs: Sequence[Run]) -> list[Series]:
    """Every case and kind of the runs, in the order of tables.

    A measurement that two runs have counts once, in the first of them.
    """
    measured: dict[tuple[Case, str], list[Point]] = {}
    missing: dict[tuple[Case, str], list[tuple[str, str]]] = {}
    counted: dict[tuple[str, str], list[tuple[str, Record]]] = {}
    for run in runs:
        begun = min((r.started_at for r in run.records if r.started_at), default="")
        groups: dict[tuple[Case, str, str], list[Record]] = {}
        for record in latest(run.records)[0]:
            case = without_seed(record.case)
            seen = counted.setdefault(record.key, [])
            if why := _no_result(record) or _counted_in(seen, record):
                missing.setdefault((case, record.kind), []).append((run.name, why))
            else:
                seen.append((run.name, record))
                groups.setdefault((case, record.kind, data_of(record).fingerprint), []).append(
                    record
                )
        for (case, name, _), records in groups.items():
            point = Point(run.name, tuple(records), begun=begun)
            measured.setdefault((case, name), []).append(point)
    found = [
        Series(*key, _joined(measured.get(key, ())), tuple(missing.get(key, ())))
        for key in {**measured, **missing}
    ]
    return sorted(found, key=_order)


def _no_result(record: Record) -> str | None:
    if not record.ok:
        return f"{record.status} ({without_folders(headline(record.error or 'no reason'))})"
    if kind(record.kind).timed and is_removed(record):
        return "its seconds are no measurement"
    return None


def _counted_in(seen: Iterable[tuple[str, Record]], record: Record) -> str | None:
    for run, other in seen:
        if is_same_measurement(other, record) and other.samples == record.samples:
            return f"the measurement of {run}, counted once"
    return None


def _order(series: Series) -> tuple[object, ...]:
    case = series.case
    return (
        place(case.track, tuple(TRACKS)),
        place(series.kind, tuple(KINDS)),
        variant_place(case),
        framework_place(case.framework),
        case.batch_size,
        case.input_size,
        case.devices,
        case.id,
    )


def _joined(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points in the order of time, each with what differs from the one before."""
    found: list[Point] = []
    newest: dict[int, Point] = {}
    for point in sorted(points, key=lambda point: point.started_at):
        if found:
            broken = _broken(found[-1], point)
            alike = [n for n, other in newest.items() if not _broken(other, point)]
            conditions = found[-1].conditions if not broken else next(iter(alike), len(newest))
            changed = _changed(newest.get(conditions, found[-1]), point)
            point = replace(point, conditions=conditions, broken=broken, changed=changed)
        found.append(point)
        newest[point.conditions] = point
    return tuple(found)


def _broken(before: Point, now: Point) -> tuple[Break, ...]:
    a, b, same_seed = _pair(before, now)
    found = breaks(a, b, same_seed=same_seed)
    return tuple(Break(what, d.key, d.one, d.other) for what, d in found)


def _pair(before: Point, now: Point) -> tuple[Record, Record, bool]:
    """Two records to look at, and whether they have one seed."""
    seeds = {record.case.seed: record for record in before.records}
    for record in now.records:
        if record.case.seed in seeds:
            return seeds[record.case.seed], record, True
    return before.records[0], now.records[0], False


def _changed(before: Point, now: Point) -> tuple[str, ...]:
    left, right = (facts_of(point.records[0]) for point in (before, now))
    return tuple(
        f"{name} {left[name]} → {right[name]}"
        for name in left
        if name in right and left[name] != right[name]
    )
