"""Which records of a certified track are checked to be the same network and arithmetic.

A record carries its parity certificate. Without a passed one it is shown apart: next to the others
it would read as a comparison of frameworks, which it is not. A certificate that says ``pass`` and
denies it itself, or that belongs to something else, is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.records import Record
from bench.training.tracks import track

PASS, FAIL, UNCHECKED = "pass", "fail", "unchecked"
_OWNERS = ("variant", "framework")
"""Fields of a certificate that are those of the record's case; older ones have them not."""


def status_of(record: Record) -> str:
    """``pass``, ``fail`` or ``unchecked`` (also where a record has no certificate at all)."""
    status = str(record.parity.get("status") or UNCHECKED)
    return FAIL if status == PASS and certificate_contradiction(record) else status


def certificate_contradiction(record: Record) -> str | None:
    """Why a passed certificate is not the record's, or did not pass; None where all agrees."""
    parity = record.parity
    if parity.get("status") != PASS:
        return None
    for name in _OWNERS:
        found, own = parity.get(name), getattr(record.case, name)
        if found not in (None, own):
            return f"its certificate is that of the {name} {found}"
    versions = record.environment.get("versions") or {}
    for name, version in (parity.get("versions") or {}).items():
        if versions.get(name, version) != version:
            return f"its certificate is of {name} {version}, and {versions[name]} was measured"
    above = above_bound(parity)
    return f"its certificate passed with {above}" if above else None


def above_bound(parity: Mapping[str, Any]) -> str | None:
    """The first figure of a certificate that is above its own bound; None where there is none."""
    for name, figure in (parity.get("figures") or {}).items():
        worst, bound = figure.get("worst"), figure.get("bound")
        if worst is not None and bound is not None and not worst <= bound:
            return f"{name} {worst:.2g}, bound {bound:.2g}"
    return None


def is_certified(record: Record) -> bool:
    """Whether a record may stand with the others of its track; most tracks ask no certificate."""
    return not track(record.case.track).certified or status_of(record) == PASS


def problem_of(record: Record) -> str | None:
    """Why a record is uncertified, in one line; None when it is not."""
    if is_certified(record):
        return None
    problem = " ".join(str(record.parity.get("problem") or "").split())
    if problem := problem or certificate_contradiction(record) or "":
        return problem
    if status_of(record) == UNCHECKED:
        return "no certificate was made"
    return f"its certificate says {status_of(record)!r}, and not why"


def is_certified_row(row: Mapping[str, Any]) -> bool:
    """The same of a row of a table; one without a parity column claims nothing."""
    return bool(not track(row["track"]).certified or row.get("parity", PASS) == PASS)
