"""Two runs side by side, case by case: is B faster than A, or more accurate?

Only like is compared with like. A pair whose data, parity status, machine or settings differ is
refused, and the reason says what differs; so is one where a side has no result. What must be the
same is listed in `bench.analysis.comparison.comparability`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bench.analysis.caveats import SECONDS, footnotes_on, reasons
from bench.analysis.certified import status_of
from bench.analysis.comparison.comparability import RUNS, Difference, differences
from bench.analysis.comparison.pairing import AccuracyDifference, accuracy_difference
from bench.analysis.experiments import data_of, data_words, latest
from bench.analysis.speeds import speeds_of, with_conditions
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import group_of
from bench.core.system.environment import gpu_line
from bench.core.text import last_line, without_folders
from bench.stats.estimates import Ratio, noise_of, unpaired
from bench.stats.verdicts import speed_verdict, without_verdict

ONLY_A, ONLY_B, REFUSED = "only in A", "only in B", "refused"
_FACTS = ("cpu", "cores", "governor", "os", "python", "alexbench", "commit")
"""Facts of an environment that a comparison names where they differ, next to versions."""
_DIGEST = 12

Sides = tuple[str, str]
"""What the reasons of a comparison call the earlier and the later run."""


def only_in(verdict: str, sides: Sides) -> str:
    """A verdict, with the run's own letter where only one of the two has the case."""
    return {ONLY_A: f"only in {sides[0]}", ONLY_B: f"only in {sides[1]}"}.get(verdict, verdict)


@dataclass(frozen=True)
class Comparison:
    """One case and kind of two runs.

    Attributes:
        case: Id of the case.
        kind: Kind of measurement.
        verdict: ``faster``, ``slower``, ``tie`` (the interval lies within ± 10 %) or
            ``inconclusive``; for accuracy ``higher``, ``lower``, ``tie`` (within ± 1 point) or
            ``inconclusive``; ``refused``, ``only in A``, ``only in B``.
        ratio: Speed of B over speed of A, above 1 where B is faster; None for accuracy. Speed is
            images/s, for latencies and start-ups one over the seconds.
        difference: Accuracy of B minus that of A, in percentage points, of this seed; None for
            everything timed.
        low: Lower end of the 95 % interval of the ratio; for accuracy, in points, of the mean
            difference over all seeds.
        high: Upper end of that interval.
        detectable: The smallest relative difference in speed that these processes can find.
        noise: Relative spread of the samples of one process (`bench.stats.estimates.noise_of`), of
            the side that has more; None for accuracy.
        reasons: Why it is inconclusive or refused, and what else a reader must know.
        differs: Versions and facts about the machine that are known of both sides and not equal.
        mean: The mean difference over all seeds, in points; None for everything timed.
        doubt: Why its speeds give no verdict, whatever the interval says; None where they may.
        runs: Processes (seeds for accuracy) of the side that has fewer; None where not compared.
        run: Name of B's run; empty where it is unknown.
    """

    case: str
    kind: str
    verdict: str
    ratio: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None
    reasons: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    noise: float | None = None
    mean: float | None = None
    runs: int | None = None
    doubt: str | None = None
    run: str = field(default="", compare=False)

    @property
    def has_figure(self) -> bool:
        """Whether the two sides were compared, with whatever verdict."""
        return self.ratio is not None or self.difference is not None

    @property
    def reason(self) -> str | None:
        """All reasons in one line; None without one."""
        return "; ".join(self.reasons) or None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; ``ratio`` is null for accuracy, ``difference`` for everything else."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        lists = {"reasons": list(self.reasons), "differs": list(self.differs)}
        return found | lists | {"reason": self.reason}


def compare(
    a: Iterable[Record],
    b: Iterable[Record],
    sides: Sides = ("A", "B"),
    *,
    across_data: bool = False,
) -> list[Comparison]:
    """One comparison per case and kind that is in either run, in the order of A, then of B.

    Args:
        a: Records of the earlier run; of several with one key the last started counts.
        b: Records of the later run.
        sides: What reasons call the two.
        across_data: Whether accuracies on different images are compared, too.
    """
    old, new = (by_key(run) for run in (a, b))
    differences = _differences(old, new, across_data)
    run = next((record.run for record in new.values()), "")
    rows = []
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in old or key not in new:
            rows.append(Comparison(*key, verdict=ONLY_A if key in old else ONLY_B))
        elif why := refusal(old[key], new[key], sides, across_data=across_data):
            rows.append(Comparison(*key, verdict=REFUSED, reasons=why))
        else:
            timed = kind(old[key].kind).timed
            row = (
                _timed(old[key], new[key]) if timed else _accuracy(old[key], new[key], differences)
            )
            rows.append(_with_conditions(row, old[key], new[key], sides))
    return [replace(row, run=run) for row in rows]


def _with_conditions(row: Comparison, a: Record, b: Record, sides: Sides) -> Comparison:
    """The comparison with what differs between the two sides, and their caveats."""
    told = [f"{side}: {why}" for side, r in zip(sides, (a, b), strict=True) for why in _caveats(r)]
    return replace(row, reasons=(*row.reasons, *told), differs=tuple(_differs(a, b, sides)))


def _caveats(record: Record) -> list[str]:
    return footnotes_on([record], timed=kind(record.kind).timed)


def _differs(a: Record, b: Record, sides: Sides) -> list[str]:
    """Versions and facts about the machine that both know and that are not equal."""
    left, right = (facts_of(record) for record in (a, b))
    if data_of(a).fingerprint != data_of(b).fingerprint:
        left["data"], right["data"] = data_words(a, b)
    return [
        f"{name} {left[name]} in {sides[0]}, {right[name]} in {sides[1]}"
        for name in left
        if name in right and left[name] != right[name]
    ]


def facts_of(record: Record) -> dict[str, str]:
    """Versions and facts about the machine that are known of a record."""
    found = {**(record.environment.get("versions") or {})}
    found |= {name: record.environment.get(name) for name in _FACTS}
    found["gpu"] = gpu_line(record.environment) or None
    return {name: str(value) for name, value in found.items() if value is not None}


def by_key(run: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """Records by case and kind; of several with one key the last started counts."""
    newest, _ = latest(run)
    return {record.key: record for record in sorted(newest, key=lambda r: r.started_at)}


def refusal(
    a: Record, b: Record, sides: Sides = ("A", "B"), *, across_data: bool = False
) -> tuple[str, ...]:
    """Why two records of the same case must not be compared; empty when they may.

    Args:
        a: One record.
        b: The other one.
        sides: What the reasons call the two.
        across_data: Whether accuracies may be on different images.
    """
    for side, record in zip(sides, (a, b), strict=True):
        if not record.ok:
            last = without_folders(last_line(record.error))
            return (f"{side} has no result: {record.status} ({last})",)
        if kind(record.kind).timed and (why := reasons([record], SECONDS)):
            return (f"the seconds of {side} are no measurement: {'; '.join(why)}",)
    if is_same_measurement(a, b):
        return (f"the same measurement in {sides[0]} and {sides[1]}, begun at {a.started_at}",)
    accuracies = not kind(a.kind).timed
    found = [(w, d) for w, d in breaks(a, b) if not (w == DATA and accuracies and across_data)]
    return _unlike(found, sides)


def is_same_measurement(a: Record, b: Record) -> bool:
    """Whether two records of one case in two runs are copies of one measurement.

    Two measurements of a case do not begin in the same second of the same group.
    """
    copied = bool(a.run and b.run and a.started_at) and a.started_at == b.started_at
    return copied and group_of(a) == group_of(b)


def _unlike(found: Iterable[tuple[str, Difference]], sides: Sides) -> tuple[str, ...]:
    """What differs in data, parity status, machine and settings, a line each."""
    lines: dict[str, list[str]] = {}
    for what, d in found:
        words = f"{d.one} in {sides[0]}, {d.other} in {sides[1]}"
        lines.setdefault(what, []).append(words if d.key == what else f"{d.key} is {words}")
    return tuple(
        f"different {_IN_FULL.get(what, what)}: {'; '.join(some)}" for what, some in lines.items()
    )


DATA = "data"
"""What `breaks` calls different images."""

_IN_FULL = {"parity": "parity status"}


def breaks(a: Record, b: Record, *, same_seed: bool = True) -> list[tuple[str, Difference]]:
    """What keeps two records of a case from being compared, each with what it is of: ``data``,
    ``parity``, ``machine`` or ``settings``.

    Args:
        a: A record with a result.
        b: The other one.
        same_seed: Whether the two have the same seed.
    """
    found = []
    other_data = data_of(a).fingerprint != data_of(b).fingerprint
    if other_data:
        found.append((DATA, Difference(DATA, *data_words(a, b), "dataset")))
    parity = status_of(a), status_of(b)
    if parity[0] != parity[1]:
        found.append(("parity", Difference("parity", *parity, "parity")))
    for difference in differences(a, b, RUNS, same_seed=same_seed):
        if other_data and difference.key == _BATCHES:
            continue  # other images are in other batches
        machine = difference.where == "environment"
        found.append(("machine" if machine else "settings", difference))
    return found


_BATCHES = "batch_plan_sha256"


def ratio_of_speeds(a: Record, b: Record) -> Ratio:
    """Speed of B over speed of A; a run with longer blocks is not slower for that."""
    return with_conditions(unpaired(speeds_of(b), speeds_of(a)), (a, b))


def _timed(a: Record, b: Record) -> Comparison:
    found = ratio_of_speeds(a, b)
    verdict = speed_verdict(found)
    return Comparison(
        *a.key,
        verdict=verdict.word,
        ratio=found.ratio.value,
        low=found.ratio.low,
        high=found.ratio.high,
        detectable=found.detectable,
        noise=max(filter(None, map(noise_of, map(speeds_of, (a, b)))), default=None),
        runs=found.processes,
        doubt=without_verdict(found),
        reasons=(verdict.reason,) if verdict.reason else (),
    )


def _differences(
    old: Mapping[tuple[str, str], Record], new: Mapping[tuple[str, str], Record], across_data: bool
) -> dict[Case, AccuracyDifference]:
    """Accuracy of B minus A of each case, over all of its seeds that may be compared."""
    seeds: dict[Case, list[tuple[Record, Record]]] = {}
    for key, a in old.items():
        if kind(a.kind).timed or key not in new:
            continue
        if not refusal(a, new[key], across_data=across_data):
            seeds.setdefault(replace(a.case, seed=0), []).append((a, new[key]))
    return {
        case: accuracy_difference([b for _, b in pairs], [a for a, _ in pairs])
        for case, pairs in seeds.items()
    }


def _accuracy(a: Record, b: Record, differences: Mapping[Case, AccuracyDifference]) -> Comparison:
    mean = differences[replace(a.case, seed=0)]
    value, low, high = mean.estimate
    verdict = mean.verdict
    method = "paired by seed" if mean.pairs else "Welch"
    over = f"mean over {mean.seeds} seeds: {100 * value:+.2f} points ({method})"
    notes = [over if mean.seeds > 1 else None, verdict.reason, identical(a, b)]
    return Comparison(
        *a.key,
        verdict=verdict.word,
        difference=100 * (b.samples[0] - a.samples[0]),
        low=None if low is None else 100 * low,
        high=None if high is None else 100 * high,
        mean=100 * value,
        runs=mean.seeds,
        reasons=tuple(note for note in notes if note),
    )


def identical(a: Record, b: Record) -> str | None:
    """Says so where both trainings ended in the same weights, bit for bit."""
    digests = [record.metrics.get("trained_weights_sha256") for record in (a, b)]
    if digests[0] is None or digests[0] != digests[1]:
        return None
    return f"identical training: both ended in the weights {str(digests[0])[:_DIGEST]}"
