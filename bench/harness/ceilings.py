"""The peak FLOP/s of this machine: measured in every framework, and cached.

A ceiling holds for a processor, the CPUs that a worker may use, and a framework in a version; these
are its key in the cache. A ceiling that cannot be measured is recorded with a reason; it is never
an error, since no measurement depends on it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.cache import cache_folder, keep, recall
from bench.core.case import Case
from bench.core.environment import processor
from bench.core.limits import Limits
from bench.core.text import headline, without_folders
from bench.training.frameworks import Framework, framework
from bench.training.interfaces import Operation
from bench.worker.ceilings import OPERATIONS, PRECISIONS, OperationResult, to_json
from bench.worker.client import OnProgress, Worker, WorkerError

_FORMAT = 1
"""Raised when cached ceilings must not be used any more."""

_LIMITS = Limits(timeout_seconds=300)
"""Many times what it takes; a slower or busier machine has no ceiling worth recording."""


@dataclass(frozen=True)
class Found:
    """The ceilings of one framework, or why there are none."""

    framework: str
    ceilings: tuple[OperationResult, ...] = ()
    measured_at: str = ""
    """UTC, ISO 8601."""
    cached: bool = False
    reason: str | None = None
    """Why there is none."""


def obtain(
    name: str,
    progress: OnProgress = lambda done, note: None,
    *,
    fresh: bool = False,
    operations: Sequence[Operation] = OPERATIONS,
) -> Found:
    """A framework's ceilings: from the cache, else measured (some 10 s); ``fresh`` ignores
    the cache."""
    row = framework(name)
    if row.ceiling is None:
        return Found(name, reason="it has no function that measures one")
    if missing := row.missing():
        return Found(name, reason=missing)
    key = _key(row, operations)
    if not fresh and (cached_file := _read(key, operations)):
        return cached_file
    progress(0.0, f"ceiling of {name}")
    try:
        with Worker(Case("", name), Path(), _LIMITS) as worker:
            answers = worker.ceiling(operations, progress)
    except (WorkerError, OSError) as error:
        return Found(name, reason=without_folders(headline(str(error))))
    if not _whole(answers, operations):
        return Found(name, reason="the worker's result lacks an operation")
    found = Found(name, tuple(answers), datetime.now(UTC).isoformat(timespec="seconds"))
    _write(key, found)
    return found


def best(found: Iterable[Found], operation: str | None = None) -> dict[str, dict[str, Any]]:
    """The fastest operation of all frameworks by precision, with framework, name and shape.

    ``operation`` looks at one kind alone. Operations without a figure are left out.
    """
    answers = [
        {"framework": one.framework, **answer}
        for one in found
        for answer in one.ceilings
        if answer["flops_per_second"] is not None and operation in (None, answer["operation"])
    ]
    # In ascending order: in the dictionary the last, fastest one remains.
    answers.sort(key=lambda answer: float(answer["flops_per_second"]))
    return {answer["precision"]: answer for answer in answers}


@dataclass
class RunCeilings:
    """The ceilings of one run: each framework is measured at most once."""

    _found: dict[str, Found] = field(default_factory=dict)

    def prepare(self, frameworks: Iterable[str], progress: OnProgress) -> None:
        """Read or measure what is not known yet. Nothing else may be measured meanwhile."""
        for name in frameworks:
            if name not in self._found:
                self._found[name] = obtain(name, progress)

    def metrics(self, case: Case) -> dict[str, Any]:
        """``ceiling``, and ``ceiling_reason`` where that is None."""
        if case.device != "cpu":
            return {"ceiling": None, "ceiling_reason": "ceilings are measured on the CPU alone"}
        winner = best(self._found.values()).get(case.precision)
        if winner:
            return {"ceiling": winner}
        reasons = [f"{one.framework}: {_why(one, case.precision)}" for one in self._found.values()]
        return {"ceiling": None, "ceiling_reason": "; ".join(reasons) or "none was measured"}


def _why(found: Found, precision: str) -> str:
    if found.reason:
        return found.reason
    own = [one for one in found.ceilings if one["precision"] == precision]
    reasons = [one["reason"] for one in own if one.get("reason")]
    return reasons[0] if reasons else f"no operation in {precision}"


def _key(row: Framework, operations: Sequence[Operation]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "framework": row.name,
        "versions": row.versions(),
        "environment": row.environment,
        "processor": processor(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "operations": [to_json(operation) for operation in operations],
    }


def _path(key: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "ceilings" / f"{key['framework']}-{digest[:16]}.json"


def _read(key: dict[str, Any], operations: Sequence[Operation]) -> Found | None:
    """None where nothing is cached, or the file is damaged or has another key."""
    cached_file = recall(_path(key), key)
    if not isinstance(cached_file, dict):
        return None
    answers: Any = cached_file.get("ceilings")
    date = cached_file.get("measured_at")
    if not isinstance(date, str) or not _whole(answers, operations):
        return None
    return Found(key["framework"], tuple(answers), date, cached=True)


def _whole(answers: Any, operations: Sequence[Operation]) -> bool:
    """Whether every operation is answered in every precision, with a pace or a reason."""
    if not isinstance(answers, list) or not all(isinstance(a, dict) for a in answers):
        return False
    wanted = {(o.operation, o.text, precision) for o in operations for precision in PRECISIONS}
    given = {tuple(a.get(k) for k in ("operation", "shape", "precision")) for a in answers}
    return given == wanted and all(map(_plausible, answers))


def _plausible(answer: OperationResult) -> bool:
    pace = answer.get("flops_per_second")
    if pace is None:
        return isinstance(answer.get("reason"), str)
    return isinstance(pace, int | float) and math.isfinite(pace) and pace > 0


def _write(key: dict[str, Any], found: Found) -> None:
    """Cache it."""
    cached_file = {"measured_at": found.measured_at, "ceilings": found.ceilings}
    keep(_path(key), key, cached_file)
