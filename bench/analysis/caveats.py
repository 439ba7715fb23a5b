"""Caveats of records: what a table, plot or headline must say of a figure, and what it must drop.

A caveat on ``speed`` is a footnote on speeds and times, one on ``accuracy`` on accuracies, one on
``all`` wherever the record is used. One on ``seconds`` says that the seconds are no measurement: a
timed record leaves all tables and plots, and a training keeps its accuracies alone. What was
dropped is listed with the reason.

An audit's finding is answered by a caveat that names its check (``answers``), and by no other one;
a finding about seconds also by a caveat that takes them out of all tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench.core.kinds import kind
from bench.core.records import Record

SECONDS, SPEED, ACCURACY, ALL = "seconds", "speed", "accuracy", "all"
"""What a caveat is on."""

_TIMED_METRICS = ("train_seconds", "startup", "tutorial_loop", "article_loop", "features")
"""Metrics of a training that are or hold seconds."""
_TIMED_LISTS = ("curve", "thresholds")
"""Metrics of a training whose entries have ``seconds`` next to other facts."""


def answers(record: Record, check: str) -> bool:
    """Whether a caveat of a record names this check of an audit (`bench.analysis.audit`)."""
    return any(check in caveat.get("answers", ()) for caveat in record.caveats)


def footnotes_on(records: Iterable[Record], *, timed: bool) -> list[str]:
    """Why the caveats that a mark or a name has a sign for were given.

    Args:
        records: The records of the mark.
        timed: Whether a speed or time is shown.
    """
    return reasons(records, ACCURACY, ALL, *([SPEED, SECONDS] if timed else []))


LEFT_OUT = "seconds are left out: "
"""What a reader is told of a caveat on `SECONDS`, before its words."""


def reasons(records: Iterable[Record], *on: str) -> list[str]:
    """Why the caveats of these records were given, each once.

    Args:
        records: The records of a row.
        on: What the caveats are on: one or several of `SECONDS`, `SPEED`, `ACCURACY` and `ALL`.
    """
    found = (c["why"] for record in records for c in record.caveats if c.get("on") in on)
    return list(dict.fromkeys(found))


def is_removed(record: Record) -> bool:
    """Whether the seconds of a record are no measurement."""
    return record.ok and bool(reasons([record], SECONDS))


def with_valid_seconds(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Records whose seconds may be used, and those whose seconds were dropped.

    Returns:
        All records but the timed ones that carry a caveat on seconds, trainings with such a caveat
        without their seconds; and the records that are concerned, as they were.
    """
    removed = [record for record in records if is_removed(record)]
    if not removed:
        return list(records), []
    rest = (
        _without_seconds(record) if is_removed(record) else record
        for record in records
        if not (is_removed(record) and kind(record.kind).timed)
    )
    return list(rest), removed


def _without_seconds(record: Record) -> Record:
    metrics: dict[str, Any] = {
        name: value for name, value in record.metrics.items() if name not in _TIMED_METRICS
    }
    for name in _TIMED_LISTS:
        entries = metrics.get(name) or []
        metrics[name] = [
            {key: value for key, value in entry.items() if key != "seconds"} for entry in entries
        ]
    return replace(record, metrics=metrics)
