"""The audit of a run before it is published: reasons not to trust its figures.

Every check looks at records (and at what the run was begun with) alone and names what it found, so
that a run is measured again, carries a caveat, or is published. A caveat answers the checks that it
names. One on seconds answers all checks of seconds as well, since it takes them out of all tables
and plots (`bench.analysis.caveats`). What makes a figure untrue is answered by no words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.audit.begun import data, matrix, versions
from bench.analysis.audit.compared import comparisons, intervals, peaks, seeds, synchronisation
from bench.analysis.audit.contradictions import contradictions
from bench.analysis.audit.copies import copies
from bench.analysis.audit.durations import Found, durations, named
from bench.analysis.caveats import answers, is_removed
from bench.analysis.certified import is_certified, problem_of
from bench.analysis.experiments import data_of
from bench.core.errors import UserError, reason_of
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.system.machine import is_disturbed
from bench.core.text import flatten, last_line, many, without_folders

CAVEATS = "**Caveats**"
"""What begins the caveats in the notes about a run."""
_FACTS = ("cpu", "cores", "memory_bytes", "gpu", "os", "python", "alexbench", "commit")
_MACHINE = "machine"
"""The metric that has the state of the machine during each block."""


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


def audit(
    records: Iterable[Record], notes: str = "", begun: Mapping[str, Any] | None = None
) -> list[Finding]:
    """All findings about the records of one run, check by check.

    Args:
        records: The records of the run.
        notes: What is written about the run, as in ``results/README.md``; see `notes_of`.
        begun: What the run was begun with; see `bench.analysis.audit.begun.begun_of`.

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
    found += [
        Finding(name, where, reason)
        for name, check in BEGUN.items()
        for where, reason in check(run, begun or {})
    ]
    if CAVEATS in notes and not any(record.caveats for record in run):
        found.append(Finding("caveat", "", "its notes name caveats, and no record carries one"))
    return found


def notes_of(run: Path) -> str:
    """The section about a run in the ``README.md`` next to its folder; empty where there is none.

    Its heading is the name of the folder, or several with commas between them.

    Raises:
        UserError: There is such a file, and it cannot be read.
    """
    page = run.resolve().parent / "README.md"
    try:
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{page}: cannot be read ({reason_of(error)})") from error
    for section in f"\n{text}".split("\n## ")[1:]:
        names, _, notes = section.partition("\n")
        if run.resolve().name in [name.strip() for name in names.split(",")]:
            return notes
    return ""


def _shown(check: Callable[[Sequence[Record]], Found]) -> Callable[[Sequence[Record]], Found]:
    """A check of what tables show: timed records whose seconds are no measurement are in none."""
    return lambda run: check([r for r in run if not (is_removed(r) and kind(r.kind).timed)])


def _failures(records: Sequence[Record]) -> Found:
    for record in records:
        if not record.ok:
            yield named(record), f"{record.status}: {without_folders(last_line(record.error))}"


def _load(records: Sequence[Record]) -> Found:
    """Seconds of records that do not say what else ran on the machine."""
    timed = [r for r in records if r.ok and (kind(r.kind).timed or kind(r.kind).trained)]
    unknown = [
        r
        for r in timed
        if not _says_what_else_ran(r) and not is_removed(r) and not answers(r, "load")
    ]
    if unknown:
        names = {kind(record.kind).label for record in unknown}
        yield (
            "",
            f"{len(unknown)} of {many(len(timed), 'record')} ({', '.join(sorted(names))}) "
            f"{'does' if len(unknown) == 1 else 'do'} not say what else ran on the "
            "machine, and no caveat answers it",
        )


def _says_what_else_ran(record: Record) -> bool:
    """Whether a block at least has a share: a container may show its own use alone."""
    machine = record.metrics.get(_MACHINE) or {}
    others = machine.get("others")
    return bool(machine) and (others is None or any(share is not None for share in others))


def _certificates(records: Sequence[Record]) -> Found:
    for record in records:
        if record.ok and not is_certified(record) and not answers(record, "certificate"):
            yield named(record), f"uncertified: {without_folders(problem_of(record) or '')}"


def _environments(records: Sequence[Record]) -> Found:
    """Machine facts and versions that are not the same in all records."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        if answers(record, "environment"):
            continue
        facts = {name: record.environment.get(name) for name in _FACTS}
        facts |= flatten({"versions": record.environment.get("versions") or {}})
        for key, value in facts.items():
            if value is not None:
                values.setdefault(key, {})[str(value)] = None
    for key, found in values.items():
        if len(found) > 1:
            yield "", f"{key} differs within the run: {', '.join(found)}"


def _disturbances(records: Sequence[Record]) -> Found:
    for record in records:
        answered = is_removed(record) or answers(record, "disturbance")
        if record.ok and is_disturbed(record.metrics) and not answered:
            yield named(record), "the machine was disturbed, and no caveat answers it"


def _incomplete(records: Sequence[Record]) -> Found:
    """Groups in which a later process failed."""
    for record in records:
        lost = (record.metrics.get("interleaving") or {}).get("lost")
        if record.ok and lost and not answers(record, "incomplete"):
            yield named(record), f"{lost}, and no caveat answers it"


def _synthetic(records: Sequence[Record]) -> Found:
    for record in records:
        trained = record.ok and kind(record.kind).trained
        if trained and data_of(record).is_synthetic and not answers(record, "synthetic"):
            yield named(record), "trained on synthetic images, and no caveat answers it"


CHECKS: dict[str, Callable[[Sequence[Record]], Found]] = {
    "result": _failures,
    "contradiction": contradictions,
    "copy": copies,
    "durations": durations,
    "load": _load,
    "disturbance": _disturbances,
    "incomplete": _shown(_incomplete),
    "synchronisation": _shown(synchronisation),
    "certificate": _shown(_certificates),
    "environment": _environments,
    "interval": _shown(intervals),
    "peak": _shown(peaks),
    "seeds": seeds,
    "comparability": _shown(comparisons),
    "synthetic": _synthetic,
}
"""The checks by name, in the order of a report; a caveat may name those of
`bench.core.schema.record_fields.ANSWERABLE`."""

BEGUN: dict[str, Callable[[Sequence[Record], Mapping[str, Any]], Found]] = {
    "data": data,
    "environment": versions,
    "matrix": matrix,
}
"""Checks that compare the records with what the run was begun with."""
