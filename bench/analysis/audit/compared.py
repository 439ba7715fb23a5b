"""The audit of what tables compare: synchronisation, intervals, peaks, seeds, comparability."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.analysis.audit.durations import Found, named
from bench.analysis.caveats import answers
from bench.analysis.clock import MISSING_SYNC, NO_SLOPE, sync_audit_of
from bench.analysis.comparison.comparability import differences_between
from bench.analysis.comparison.pairing import is_pair
from bench.analysis.doubts import excess_of_peak
from bench.analysis.experiments import Experiment, by_dataset, experiments
from bench.analysis.speeds import versus
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.stats.verdicts import INCONCLUSIVE, speed_verdict
from bench.training.tracks import track

_AUDITED = next(name for name, row in KINDS.items() if row.judged)
"""The kind whose clock is audited: training, the first of what is judged. Inference needs no audit,
since its outputs are read in every block."""

_REASON = "ceiling_reason"


def synchronisation(records: Sequence[Record]) -> Found:
    """Training without a sync audit, or whose audit found a missing synchronisation."""
    for experiment in _experiments(records, lambda row: row.name == _AUDITED):
        if not experiment.ok:
            continue
        found = sync_audit_of(experiment)
        if found is None:
            if not _answered("synchronisation", experiment):
                yield named(experiment), "no sync audit was made"
        elif found.verdict in (MISSING_SYNC, NO_SLOPE):
            ratio = "" if found.verdict == NO_SLOPE else f" (synced / read {found.ratio.value:.2f})"
            yield named(experiment), f"{found.verdict}{ratio}"


def intervals(records: Sequence[Record]) -> Found:
    """Compared speeds whose interval is too wide for a verdict."""
    for one, reference in _compared(_experiments(records, lambda row: row.judged)):
        held = versus(one, reference)
        verdict = speed_verdict(held)
        # What is doubted is a finding of its own, which no caveat on intervals answers.
        if verdict.word != INCONCLUSIVE or held.doubt or _answered("interval", one, reference):
            continue
        value, low, high = held.ratio
        ends = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        size = "" if held.detectable is None else f", detectable ± {100 * held.detectable:.1f} %"
        yield (
            named(one),
            f"{value:.2f}x{ends} of {reference.case.framework}{size}: {verdict.reason}",
        )


def peaks(records: Sequence[Record]) -> Found:
    """Speeds above the fastest operation that was measured on the machine, or without such a peak
    and a reason for that."""
    for experiment in _experiments(records, lambda row: row.throughput):
        known = all(r.metrics.get("ceiling") or r.metrics.get(_REASON) for r in experiment.ok)
        if not known and not _answered("peak", experiment):
            yield named(experiment), "it has no measured peak, and does not say why"
        excess = excess_of_peak(experiment.ok)
        if excess is not None:
            achieved, peak = (flops / 1e9 for flops in excess)
            yield (
                named(experiment),
                f"{achieved:.3g} GFLOP/s are above the measured peak of {peak:.3g}",
            )


def seeds(records: Sequence[Record]) -> Found:
    """Seeds that a track promises to pair and that share no batches or weights."""
    trained = _experiments(records, lambda row: row.trained)
    for one, reference in _compared([e for e in trained if track(e.case.track).paired_seeds]):
        partners = {record.case.seed: record for record in reference.ok}
        alone = [
            str(r.case.seed)
            for r in one.ok
            if r.case.seed not in partners or not is_pair(r, partners[r.case.seed])
        ]
        if alone and not _answered("seeds", one, reference):
            yield (
                named(one),
                f"seeds {', '.join(alone)} share no batches or initial weights with "
                f"{reference.case.framework}",
            )


def comparisons(records: Sequence[Record]) -> Found:
    """Rows that a table refuses to compare with their reference."""
    for one, reference in _compared(_experiments(records, lambda row: row.timed or row.trained)):
        if _answered("comparability", one, reference):
            continue
        if unlike := differences_between(one, reference):
            words = "; ".join(difference.words for difference in unlike)
            yield named(one), f"not comparable with {reference.case.framework}: {words}"


def _answered(check: str, *found: Experiment) -> bool:
    """Whether the caveats of all seeds of one of these experiments name the check."""
    return any(all(answers(record, check) for record in one.ok) for one in found)


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
