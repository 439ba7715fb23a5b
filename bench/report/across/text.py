"""Two runs case by case, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.comparison.compare import Comparison, Sides, facts_of
from bench.analysis.comparison.gate import Rule, why_nothing
from bench.core.records import Record
from bench.report.across.words import counted, verdict_of


def heads(*runs: Sequence[Record]) -> list[str]:
    """A line for each run: name, the days on which it was measured, machines and versions."""
    return [f"{letter(place)}: {head(run)}" for place, run in enumerate(runs) if run]


def head(records: Sequence[Record]) -> str:
    """Name of a run, the days on which it was measured, machines and versions."""
    facts: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in facts_of(record).items():
            facts.setdefault(name, {})[value] = None
    days = sorted({record.started_at[:10] for record in records if record.started_at})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else "unknown date"
    runs = ", ".join(dict.fromkeys(r.run for r in records if r.run)) or "records"
    told = [f"{name} {' and '.join(values)}" for name, values in facts.items()]
    return ", ".join([runs, when, *told])


def side_by_side_as_text(found: SideBySide) -> str:
    """Every run compared with the first: what the runs are, then a table for each."""
    lines = heads(*(run.records for run in found.runs))
    for place, some in enumerate(found.comparisons, start=1):
        if len(found.comparisons) > 1:
            lines.append("")
        lines.append(as_text(some, (letter(0), letter(place))))
    return "\n".join(lines)


def failures(found: SideBySide, rules: Iterable[Rule]) -> list[str]:
    """What a gate fails on, with the letter of the run where there are several."""
    return [
        _of_run(found, place, line)
        for rule in rules
        for place, some in enumerate(found.comparisons, start=1)
        for line in rule.failures(some)
    ]


def gate_lines(found: SideBySide, rules: Sequence[Rule]) -> list[str]:
    """What a gate says: warnings, failures, or that it passes. Without a rule only that nothing was
    compared."""
    if not rules:
        return [
            _of_run(found, place, f"warning: nothing was compared: {why_nothing(some)}")
            for place, some in enumerate(found.comparisons, start=1)
            if not any(row.has_figure for row in some)
        ]
    warnings = [
        f"warning: {_of_run(found, place, line)}"
        for rule in rules
        for place, some in enumerate(found.comparisons, start=1)
        for line in rule.warnings(some)
    ]
    failed = [f"FAILED {line}" for line in failures(found, rules)]
    passed = f"passed: {', '.join(rule.text for rule in rules)}"
    return [*warnings, *(failed or [passed])]


def _of_run(found: SideBySide, place: int, line: str) -> str:
    return line if len(found.comparisons) == 1 else f"{letter(place)}: {line}"


def as_text(comparisons: Sequence[Comparison], sides: Sides = ("A", "B")) -> str:
    """A table for a terminal, its reading above it; reasons stand below their row.

    Args:
        comparisons: Two runs, case by case.
        sides: What the two are called, as in the reasons.
    """
    if not comparisons:
        return "Neither run has a record."
    a, b = sides
    width = max(len(row.case) for row in comparisons)
    lines = [
        f"Speed of {b} over speed of {a} (above 1: {b} is faster); accuracy: {b} minus {a} in "
        "points.",
        f"{'case':{width}}  {'kind':16}  {f'{b} / {a}':>9}  {'95 % interval':>18}  "
        f"{'detectable':>10}  verdict",
    ]
    for row in comparisons:
        lines.append(
            f"{row.case:{width}}  {row.kind:16}  {_figure(row):>9}  {_interval(row):>18}  "
            f"{_detectable(row):>10}  {verdict_of(row, sides)}"
        )
        if row.reason:
            lines.append(f"    {row.reason}")
    differs = dict.fromkeys(words for row in comparisons for words in row.differs)
    if differs:
        lines.append(f"Not the same in {a} and {b}: {'; '.join(differs)}.")
    return "\n".join([*lines, counted(comparisons, sides)])


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
