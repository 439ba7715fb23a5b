"""The history of cases as text for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.across.changes import LEAST, MISSING, History, can_find
from bench.core.text import many
from bench.report.across.words import (
    change_words,
    interval_of_point,
    kind_label,
    names_by_kind,
    value_of_point,
)
from bench.report.format import NOTHING


def history_text(found: Sequence[History]) -> str:
    """The history for a terminal: cases that are in several runs, point by point."""
    lines, names = [], names_by_kind((entry.series.case, entry.series.kind) for entry in found)
    for entry in found:
        if len(entry.series.points) < 2:
            continue
        name = names[entry.series.case, entry.series.kind]
        lines += ["", f"{name}, {kind_label(entry.series.kind)}"]
        changes = {change.place: change for change in entry.changes}
        for place, point in enumerate(entry.series.points):
            lines += [f"  -- break: {found.words}" for found in point.broken]
            if change := changes.get(place):
                lines.append(f"  ** {change.verdict}: {change_words(change, entry.series.kind)}")
            lines.append(
                f"  {point.begun[:10] or 'unknown   '}  {point.commit or NOTHING:13}  "
                f"{value_of_point(point):>16} {interval_of_point(point):20}  {point.run}"
            )
    once = sum(len(entry.series.points) == 1 for entry in found)
    lines += [
        "",
        f"{many(len(found), 'case')}, {once} of them in one run only",
        changes_found(found),
    ]
    return "\n".join(lines).strip()


def changes_found(found: Sequence[History]) -> str:
    """How many change points there are, among how many cases; else why there can be none."""
    if not can_find():
        return MISSING
    searched = sum(entry.long_enough for entry in found)
    if not searched:
        return f"No case has the {2 * LEAST} runs of equal conditions that a change point needs"
    changes = many(sum(len(entry.changes) for entry in found), "change point")
    return (
        f"{changes} in {many(searched, 'case')} with {2 * LEAST} or more runs of equal conditions"
    )


def history_json(found: Sequence[History]) -> list[dict[str, Any]]:
    """The history as JSON objects, one per case and kind."""
    return [
        {
            "case": entry.series.case.id,
            "kind": entry.series.kind,
            "points": [
                {
                    "run": point.run,
                    "started_at": point.started_at,
                    "commit": point.commit or None,
                    **dict(zip(("value", "low", "high"), point.estimate, strict=True)),
                    "repeats": point.repeats,
                    "conditions": point.conditions,
                    "broken": [found.words for found in point.broken],
                    "changed": list(point.changed),
                }
                for point in entry.series.points
            ],
            "changes": [
                {
                    "run": entry.series.points[change.place].run,
                    "verdict": change.verdict,
                    **dict(zip(("value", "low", "high"), change.estimate, strict=True)),
                }
                for change in entry.changes
            ],
            "missing": [f"{run}: {why}" for run, why in entry.series.missing],
        }
        for entry in found
    ]
