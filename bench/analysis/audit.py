"""The audit of a run before it is published: reasons not to trust its figures.

Every check looks at records alone and names what it found, so that a run is measured again,
carries a caveat, or is published. A caveat on a record's seconds (or on all of it) answers the
findings about its durations: then every table and plot that uses them says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.analysis.certified import is_certified, problem_of
from bench.analysis.clock import MISSING_SYNC, NO_SLOPE, sync_audit_of
from bench.analysis.comparability import differences_between
from bench.analysis.experiments import Experiment, by_dataset, experiments, without_seed
from bench.analysis.pairing import is_pair
from bench.analysis.speeds import speeds, versus
from bench.analysis.utilisation import utilisation
from bench.core.kinds import KINDS, kind
from bench.core.machine import is_disturbed
from bench.core.records import Record
from bench.core.text import flatten, without_folders
from bench.stats import estimates
from bench.stats.verdicts import INCONCLUSIVE, speed_verdict
from bench.training.tracks import track

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
_FACTS = ("cpu", "cores", "memory_bytes", "gpu", "os", "python", "alexbench", "commit")
_AUDITED = next(name for name, row in KINDS.items() if row.judged)
"""The kind whose clock is audited: training, the first of what is judged. Inference needs no audit,
since its outputs are read in every block."""

SECONDS, ACCURACY, ALL = "seconds", "accuracy", "all"
"""What a caveat is on."""


@dataclass(frozen=True)
class Finding:
    """One reason not to publish a run as it is.

    Attributes:
        check: Name of the check, as in ``CHECKS``.
        where: Id of the case, with its kind; empty where the run as a whole is meant.
        reason: What was found, in one sentence with its figures.
    """

    check: str
    where: str
    reason: str

    @property
    def line(self) -> str:
        """The finding in one line."""
        return ": ".join(part for part in (self.check, self.where, self.reason) if part)


def audit(records: Iterable[Record]) -> list[Finding]:
    """All findings about the records of one run, check by check.

    Args:
        records: The records of the run.

    Returns:
        Empty where nothing speaks against publishing the run.
    """
    run = list(records)
    if not run:
        return [Finding("records", "", "the run has no record")]
    return [
        Finding(name, where, reason)
        for name, check in CHECKS.items()
        for where, reason in check(run)
    ]


Found = Iterable[tuple[str, str]]
"""(where, reason) of each finding of a check."""


def _failures(records: Sequence[Record]) -> Found:
    for record in records:
        if not record.ok:
            last = (record.error or "no reason was recorded").strip().splitlines()[-1]
            yield _at(record), f"{record.status}: {without_folders(last)}"


def _durations(records: Sequence[Record]) -> Found:
    """Equal durations across experiments: a sleep, a quantised clock, or a copied record."""
    timed = [r for r in records if r.ok and not has_caveat(r, SECONDS)]
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
            yield _at(record), f"the same {len(record.samples)} durations as {_at(other)}"
        seen.setdefault(record.samples, record)
        distinct = len(set(record.samples))
        if len(record.samples) >= MANY - 1 and distinct < FEW_DISTINCT * len(record.samples):
            yield (
                _at(record),
                f"{len(record.samples)} durations have {distinct} different values: a quantised "
                "clock",
            )


def _sync(records: Sequence[Record]) -> Found:
    for experiment in _experiments(records, lambda row: row.name == _AUDITED):
        if not experiment.ok or _excused(experiment):
            continue
        found = sync_audit_of(experiment)
        if found is None:
            yield _named(experiment), "no sync audit was made"
        elif found.verdict in (MISSING_SYNC, NO_SLOPE):
            ratio = "" if found.verdict == NO_SLOPE else f" (synced / read {found.ratio.value:.2f})"
            yield _named(experiment), f"{found.verdict}{ratio}"


def _certificates(records: Sequence[Record]) -> Found:
    for record in records:
        if record.ok and not is_certified(record):
            yield _at(record), f"uncertified: {without_folders(problem_of(record) or '')}"


def _environments(records: Sequence[Record]) -> Found:
    """Machine facts and versions that are not the same in all records."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        facts = {name: record.environment.get(name) for name in _FACTS}
        facts |= flatten({"versions": record.environment.get("versions") or {}})
        for key, value in facts.items():
            if value is not None:
                values.setdefault(key, {})[str(value)] = None
    for key, found in values.items():
        if len(found) > 1:
            yield "", f"{key} differs within the run: {', '.join(found)}"


def _intervals(records: Sequence[Record]) -> Found:
    """Compared speeds whose interval is too wide for a verdict."""
    for one, reference in _compared(_experiments(records, lambda row: row.judged)):
        held = versus(one, reference)
        verdict = speed_verdict(held)
        if verdict.word != INCONCLUSIVE or _excused(one) or _excused(reference):
            continue
        value, low, high = held.ratio
        ends = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        size = "" if held.detectable is None else f", detectable ± {100 * held.detectable:.1f} %"
        yield (
            _named(one),
            f"{value:.2f}x{ends} of {reference.case.framework}{size}: {verdict.reason}",
        )


def _peaks(records: Sequence[Record]) -> Found:
    for experiment in _experiments(records, lambda row: row.throughput):
        flops = [r.metrics.get("flops_per_image") for r in experiment.ok]
        if not experiment.ok or not flops[0] or _excused(experiment):
            continue
        rate = estimates.median_estimate(speeds(experiment)).value
        found = utilisation(experiment.ok, rate * flops[0])
        if found["above_peak"]:
            peak = found["ceiling_flops_per_second"]
            yield (
                _named(experiment),
                f"{rate * flops[0] / 1e9:.3g} GFLOP/s are above the measured peak of "
                f"{peak / 1e9:.3g}",
            )


def _seeds(records: Sequence[Record]) -> Found:
    """Seeds that a track promises to pair and that share no batches or weights."""
    trained = _experiments(records, lambda row: row.trained)
    for one, reference in _compared([e for e in trained if track(e.case.track).paired_seeds]):
        partners = {record.case.seed: record for record in reference.ok}
        alone = [
            str(r.case.seed)
            for r in one.ok
            if r.case.seed not in partners or not is_pair(r, partners[r.case.seed])
        ]
        if alone:
            yield (
                _named(one),
                f"seeds {', '.join(alone)} share no batches or initial weights with "
                f"{reference.case.framework}",
            )


def _comparisons(records: Sequence[Record]) -> Found:
    """Rows that a table refuses to compare with their reference."""
    for one, reference in _compared(_experiments(records, lambda row: row.timed or row.trained)):
        if unlike := differences_between(one, reference):
            words = "; ".join(difference.words for difference in unlike)
            yield _named(one), f"not comparable with {reference.case.framework}: {words}"


def _caveats(records: Sequence[Record]) -> Found:
    """What is known to need a caveat and has none."""
    for record in records:
        if not record.ok:
            continue
        if is_disturbed(record.metrics) and not has_caveat(record, SECONDS):
            yield _at(record), "the machine was disturbed, and no caveat on seconds says so"
        interleaving = record.metrics.get("interleaving") or {}
        lost = interleaving.get("lost")
        if lost and not has_caveat(record, SECONDS):
            yield _at(record), f"{lost}, and no caveat on seconds says so"
        trained = kind(record.kind).trained and _is_synthetic(record.dataset)
        if trained and not has_caveat(record, ACCURACY):
            yield _at(record), "trained on synthetic images, and no caveat on accuracy says so"


CHECKS: dict[str, Callable[[Sequence[Record]], Found]] = {
    "result": _failures,
    "durations": _durations,
    "synchronisation": _sync,
    "certificate": _certificates,
    "environment": _environments,
    "interval": _intervals,
    "peak": _peaks,
    "seeds": _seeds,
    "comparability": _comparisons,
    "caveat": _caveats,
}
"""The checks by name, in the order of a report."""


def epoch_seconds(record: Record) -> list[float]:
    """Seconds of each stretch between two evaluations, without the first one (which compiles)."""
    curve = record.metrics.get("curve") or []
    return [after["seconds"] - before["seconds"] for before, after in pairwise(curve)]


def has_caveat(record: Record, on: str) -> bool:
    """Whether a record carries a caveat on ``on`` (``seconds`` or ``accuracy``) or on all."""
    caveats: Sequence[Mapping[str, Any]] = getattr(record, "caveats", ())
    return any(caveat.get("on") in (on, ALL) for caveat in caveats)


def _excused(experiment: Experiment) -> bool:
    return any(has_caveat(record, SECONDS) for record in experiment.ok)


def _is_synthetic(dataset: Mapping[str, Any]) -> bool:
    return str(dataset.get("name", "")).startswith(("generated", "synthetic"))


def _experiments(records: Sequence[Record], wanted: Callable[[Any], bool]) -> list[Experiment]:
    names = [name for name, row in KINDS.items() if wanted(row)]
    return [e for _, some in by_dataset(records) for e in experiments(some, names)]


def _compared(found: Sequence[Experiment]) -> Iterable[tuple[Experiment, Experiment]]:
    """Certified experiments with a result, each with the reference of its table."""
    first: dict[Any, Experiment] = {}
    for experiment in found:
        if experiment.ok and experiment.certified:
            fingerprint = experiment.ok[0].dataset.get("fingerprint")
            key = (experiment.peers, experiment.kind, fingerprint)
            if key in first:
                yield experiment, first[key]
            first.setdefault(key, experiment)


def _at(record: Record) -> str:
    return f"{record.case.id} {record.kind}"


def _named(experiment: Experiment) -> str:
    return f"{experiment.case.id} {experiment.kind}"
