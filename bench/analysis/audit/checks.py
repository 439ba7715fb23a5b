"""The audit of a run before it is published: reasons not to trust its figures.

Every check looks at records alone and names what it found, so that a run is measured again,
carries a caveat, or is published. A caveat answers the findings about what it is on: one on seconds
those about durations, one on accuracy those about trainings, one on all every finding of its
record. Then every table and plot either drops the figure or says so (`bench.analysis.caveats`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.audit.durations import Found, durations, named
from bench.analysis.caveats import ACCURACY, ALL, SECONDS, has_caveat
from bench.analysis.certified import is_certified, problem_of
from bench.analysis.clock import MISSING_SYNC, NO_SLOPE, sync_audit_of
from bench.analysis.comparison.comparability import differences_between
from bench.analysis.comparison.pairing import is_pair
from bench.analysis.experiments import Experiment, by_dataset, experiments
from bench.analysis.speeds import speeds, versus
from bench.analysis.utilisation import utilisation
from bench.core.errors import UserError
from bench.core.kinds import KINDS, kind
from bench.core.records import Record
from bench.core.system.machine import is_disturbed
from bench.core.text import flatten, without_folders
from bench.stats import estimates
from bench.stats.verdicts import INCONCLUSIVE, speed_verdict
from bench.training.tracks import track

CAVEATS = "**Caveats**"
"""What begins the caveats in the notes about a run."""
_FACTS = ("cpu", "cores", "memory_bytes", "gpu", "os", "python", "alexbench", "commit")
_MACHINE = "machine"
"""The metric that has the state of the machine during each block."""
_AUDITED = next(name for name, row in KINDS.items() if row.judged)
"""The kind whose clock is audited: training, the first of what is judged. Inference needs no audit,
since its outputs are read in every block."""


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


def audit(records: Iterable[Record], notes: str = "") -> list[Finding]:
    """All findings about the records of one run, check by check.

    Args:
        records: The records of the run.
        notes: What is written about the run, as in ``results/README.md``; see `notes_of`.

    Returns:
        Empty where nothing speaks against publishing the run.
    """
    run = list(records)
    if not run:
        return [Finding("records", "", "the run has no record")]
    found = [
        Finding(name, where, reason)
        for name, check in CHECKS.items()
        for where, reason in check(run)
    ]
    if CAVEATS in notes and not any(record.caveats for record in run):
        found.append(Finding("caveat", "", "its notes name caveats, and no record carries one"))
    return found


def notes_of(run: Path) -> str:
    """The section about a run in the ``README.md`` next to its folder; empty where there is none.

    Raises:
        UserError: There is such a file, and it cannot be read.
    """
    page = run.resolve().parent / "README.md"
    try:
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {page}: {error}") from error
    _, found, rest = text.partition(f"\n## {run.resolve().name}\n")
    return rest.partition("\n## ")[0] if found else ""


def _failures(records: Sequence[Record]) -> Found:
    for record in records:
        if not record.ok:
            last = (record.error or "no reason was recorded").strip().splitlines()[-1]
            yield named(record), f"{record.status}: {without_folders(last)}"


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


def _load(records: Sequence[Record]) -> Found:
    """Seconds of records that do not say what else ran on the machine."""
    timed = [r for r in records if r.ok and (kind(r.kind).timed or kind(r.kind).trained)]
    unknown = [r for r in timed if not r.metrics.get(_MACHINE) and not has_caveat(r, SECONDS)]
    if unknown:
        names = {kind(record.kind).label for record in unknown}
        yield (
            "",
            f"{len(unknown)} of {len(timed)} records ({', '.join(sorted(names))}) do not say what "
            "else ran on the machine, and no caveat on seconds or all says so",
        )


def _certificates(records: Sequence[Record]) -> Found:
    for record in records:
        about = ACCURACY if kind(record.kind).trained else SECONDS
        if record.ok and not is_certified(record) and not has_caveat(record, about):
            yield named(record), f"uncertified: {without_folders(problem_of(record) or '')}"


def _environments(records: Sequence[Record]) -> Found:
    """Machine facts and versions that are not the same in all records."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        if has_caveat(record, ALL):
            continue
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
        if alone and not (_excused(one, ACCURACY) or _excused(reference, ACCURACY)):
            yield (
                _named(one),
                f"seeds {', '.join(alone)} share no batches or initial weights with "
                f"{reference.case.framework}",
            )


def _comparisons(records: Sequence[Record]) -> Found:
    """Rows that a table refuses to compare with their reference."""
    for one, reference in _compared(_experiments(records, lambda row: row.timed or row.trained)):
        about = ACCURACY if kind(one.kind).trained else SECONDS
        if _excused(one, about) or _excused(reference, about):
            continue
        if unlike := differences_between(one, reference):
            words = "; ".join(difference.words for difference in unlike)
            yield _named(one), f"not comparable with {reference.case.framework}: {words}"


def _caveats(records: Sequence[Record]) -> Found:
    """What is known to need a caveat and has none."""
    for record in records:
        if not record.ok:
            continue
        if is_disturbed(record.metrics) and not has_caveat(record, SECONDS):
            yield named(record), "the machine was disturbed, and no caveat on seconds says so"
        interleaving = record.metrics.get("interleaving") or {}
        lost = interleaving.get("lost")
        if lost and not has_caveat(record, SECONDS):
            yield named(record), f"{lost}, and no caveat on seconds says so"
        trained = kind(record.kind).trained and _is_synthetic(record.dataset)
        if trained and not has_caveat(record, ACCURACY):
            yield named(record), "trained on synthetic images, and no caveat on accuracy says so"


CHECKS: dict[str, Callable[[Sequence[Record]], Found]] = {
    "result": _failures,
    "durations": durations,
    "load": _load,
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


def _excused(experiment: Experiment, on: str = SECONDS) -> bool:
    return any(has_caveat(record, on) for record in experiment.ok)


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


def _named(experiment: Experiment) -> str:
    return f"{experiment.case.id} {experiment.kind}"
