"""Which records of a certified track are checked to be the same network and arithmetic.

A record carries its parity certificate. Without a passed one it is shown apart: next to the others
it would read as a comparison of frameworks, which it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.records import Record
from bench.training.tracks import track

PASS, UNCHECKED = "pass", "unchecked"


def status_of(record: Record) -> str:
    """``pass``, ``fail`` or ``unchecked`` (also where a record has no certificate at all)."""
    return str(record.parity.get("status") or UNCHECKED)


def is_certified(record: Record) -> bool:
    """Whether a record may stand with the others of its track; most tracks ask no certificate."""
    return not track(record.case.track).certified or status_of(record) == PASS


def problem_of(record: Record) -> str | None:
    """Why a record is uncertified, in one line; None when it is not."""
    if is_certified(record):
        return None
    problem = " ".join(str(record.parity.get("problem") or "").split())
    if problem:
        return problem
    if status_of(record) == UNCHECKED:
        return "no certificate was made"
    return f"its certificate says {status_of(record)!r}, and not why"


def is_certified_row(row: Mapping[str, Any]) -> bool:
    """The same of a row of a table; one without a parity column claims nothing."""
    return bool(not track(row["track"]).certified or row.get("parity", PASS) == PASS)
