"""Two runs case by case, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.analysis.across.entries import Entry, Key
from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.comparison.compare import DATA, REFUSED, Comparison, Sides, facts_of
from bench.analysis.comparison.gate import Rule, why_nothing
from bench.core.kinds import kind
from bench.core.records import Record
from bench.report.across.words import (
    NOT_INTERLEAVED,
    by_seeds,
    counted,
    kind_label,
    names_by_kind,
    order_of,
    verdict_of,
)


def heads(*runs: Sequence[Record]) -> list[str]:
    """A line for each run: name, the days on which it was measured, machines and versions."""
    return [f"{letter(place)}: {head(run)}" for place, run in enumerate(runs) if run]


def head(records: Sequence[Record]) -> str:
    """Name of a run, the days on which it was measured, machines and versions."""
    runs = ", ".join(dict.fromkeys(r.run for r in records if r.run)) or "records"
    return ", ".join([runs, when(records), *facts_in(records)])


def when(records: Sequence[Record]) -> str:
    """The days on which records were measured."""
    days = sorted({record.started_at[:10] for record in records if record.started_at})
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "unknown date"


def facts_in(records: Iterable[Record]) -> list[str]:
    """Machines and versions of records: ``cores 2``, ``torch 2.14.0 and 2.14.1``."""
    facts: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in facts_of(record).items():
            facts.setdefault(name, {})[value] = None
    return [f"{name} {' and '.join(values)}" for name, values in facts.items()]


def side_by_side_as_text(found: SideBySide) -> str:
    """Every run compared with the first: what the runs are, then a table for each."""
    lines = heads(*(run.records for run in found.runs))
    for place, some in enumerate(found.entries, start=1):
        if len(found.entries) > 1:
            lines.append("")
        lines.append(as_text(some, (letter(0), letter(place))))
    return "\n".join(lines)


def failures(found: SideBySide, rules: Iterable[Rule]) -> list[str]:
    """What a gate fails on, with the letter of the run where there are several."""
    return [
        _of_run(found, place, line)
        for rule in rules
        for place, some in enumerate(found.comparisons, start=1)
        for line in rule.failures(some, (letter(0), letter(place)))
    ]


def gate_lines(found: SideBySide, rules: Sequence[Rule]) -> list[str]:
    """What a gate says: warnings, failures, or that it passes. Without a rule only that nothing was
    compared."""
    if not rules:
        return [
            _of_run(found, place, f"warning: {line}")
            for place, line in nothing_compared(found).items()
        ]
    warnings = [
        f"warning: {_of_run(found, place, line)}"
        for rule in rules
        for place, some in enumerate(found.comparisons, start=1)
        for line in rule.warnings(some, (letter(0), letter(place)))
    ]
    failed = [f"FAILED {line}" for line in failures(found, rules)]
    passed = f"passed: {', '.join(rule.text for rule in rules)}"
    return [*warnings, *(failed or [passed])]


def nothing_compared(found: SideBySide) -> dict[int, str]:
    """By place of the run that shares no result with the first: that, and why."""
    rows = {
        place: [entry.comparison for entry in some]
        for place, some in enumerate(found.entries, start=1)
    }
    return {
        place: f"nothing was compared: {why_nothing(some, (letter(0), letter(place)))}"
        for place, some in rows.items()
        if not any(row.has_figure for row in some)
    }


def on_other_images(found: SideBySide) -> bool:
    """Whether accuracies were refused for the sole reason that the runs have other images."""
    rows = (row for some in found.comparisons for row in some if kind(row.kind).trained)
    why = f"different {DATA}"
    refused = [row.reasons for row in rows if row.verdict == REFUSED]
    unlike = [[r for r in reasons if r.startswith("different ")] for reasons in refused]
    return any(len(some) == 1 and some[0].startswith(why) for some in unlike)  # caveats apart


def _of_run(found: SideBySide, place: int, line: str) -> str:
    return line if len(found.comparisons) == 1 else f"{letter(place)}: {line}"


def as_text(entries: Sequence[Entry], sides: Sides = ("A", "B")) -> str:
    """A table for a terminal, its reading above it, each caveat once below it.

    Args:
        entries: Two runs, case by case.
        sides: What the two are called, as in the reasons.
    """
    if not entries:
        return "Neither run has a record."
    a, b = sides
    compared = [entry for entry in entries if entry.comparison.has_figure]
    lines = [
        f"Speed of {b} over speed of {a} (above 1: {b} is faster); accuracy: {b} minus {a} in "
        "points.",
        *(_table(compared, sides) if compared else ()),
        *_without_figure([entry for entry in entries if entry not in compared], sides),
    ]
    if any(entry.comparison.ratio is not None for entry in compared):
        lines.append(NOT_INTERLEAVED)
    differs = dict.fromkeys(words for entry in entries for words in entry.comparison.differs)
    if differs:
        lines.append(f"Not the same in {a} and {b}: {'; '.join(differs)}.")
    return "\n".join([*lines, counted(entries, sides)])


def _table(entries: Sequence[Entry], sides: Sides) -> list[str]:
    """The rows that have a figure, and the caveats that their signs stand for."""
    names = _by_key(entries)
    width = max(map(len, names.values()))
    kinds = max(len("measured"), *(len(kind_label(entry.comparison.kind)) for entry in entries))
    ratio = f"{sides[1]} / {sides[0]}"
    lines = [
        f"{'case':{width}}  {'measured':{kinds}}  {ratio:>9}  {'95 % interval':>18}  "
        f"{'detectable':>10}  verdict"
    ]
    signs: dict[str, int] = {}
    for entry in sorted(entries, key=lambda entry: order_of(entry.comparison.verdict)):
        row = entry.comparison
        marks = "".join(f" [{signs.setdefault(note, len(signs) + 1)}]" for note in row.reasons)
        words = ", ".join(filter(None, [verdict_of(entry, sides), by_seeds(entry)]))
        lines.append(
            f"{names[entry.key]:{width}}  {kind_label(row.kind):{kinds}}  {_figure(row):>9}  "
            f"{_interval(row):>18}  {_detectable(row):>10}  {words}{marks}"
        )
    return [*lines, *(f"[{sign}] {note}" for note, sign in signs.items())]


def _without_figure(entries: Sequence[Entry], sides: Sides) -> list[str]:
    """The rows that were not compared, by verdict and reasons, of which each has its line."""
    names, lines = _by_key(entries), []

    def why(entry: Entry) -> tuple[int, str, tuple[str, ...]]:
        row = entry.comparison
        return order_of(row.verdict), verdict_of(entry, sides), row.reasons

    for (_, verdict, reasons), some in groupby(sorted(entries, key=why), key=why):
        lines += [f"{verdict}: {reason}" for reason in reasons] or [f"{verdict}:"]
        lines += [f"    {names[e.key]}, {kind_label(e.comparison.kind)}" for e in some]
    return lines


def _by_key(entries: Sequence[Entry]) -> dict[Key, str]:
    names = names_by_kind((entry.case, entry.comparison.kind) for entry in entries)
    return {entry.key: names[entry.case, entry.comparison.kind] for entry in entries}


def _figure(row: Comparison) -> str:
    if row.difference is not None:
        return f"{row.difference:+.2f} pt"
    return "" if row.ratio is None else f"{row.ratio:.3f}"


def _interval(row: Comparison) -> str:
    if row.low is None or row.high is None:
        return ""
    sign, digits = ("+", 2) if row.difference is not None else ("", 3)
    return f"[{row.low:{sign}.{digits}f}, {row.high:{sign}.{digits}f}]"


def _detectable(row: Comparison) -> str:
    return "" if row.detectable is None else f"± {100 * row.detectable:.1f} %"
