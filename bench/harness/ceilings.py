"""The peak FLOP/s of this machine: measured in every framework, and cached.

A ceiling holds for a processor or an accelerator, the CPUs that a worker may use, and a framework
in a version; these are its key in the cache. A ceiling that cannot be measured is recorded with a
reason; it is never an error, since no measurement depends on it.

A peak is the best of all measurements: other processes can only make it too low. It is measured
again, and can only rise, where it was measured on a busy machine and where a row comes close to it.
A row that still exceeds it has no share of it, and is the peak of the rows after it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.cache import cache_folder, keep, recall
from bench.core.case import Case
from bench.core.limits import Limits
from bench.core.system.devices import accelerated
from bench.core.system.machine import OTHERS
from bench.core.system.processor import processor
from bench.core.system.resources import usable_cpus
from bench.core.text import headline, without_folders
from bench.harness.devices import conditions_of
from bench.harness.observer import Observer
from bench.training.frameworks import Framework, framework
from bench.training.interfaces import Operation
from bench.worker.ceilings import OperationResult, operations_of, precisions_of, to_json
from bench.worker.client import OnProgress, Worker, WorkerError, unheard

_FORMAT = 2
"""Raised when cached ceilings must not be used any more."""

CLOSE = 0.95
"""Share of a peak from which on it is measured again: no network is that close to the best single
operation, so the peak is likely to be too low."""
_AGAIN = 2
"""How often a run measures its peaks again; some 10 s per framework each time."""

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
    disturbed: bool = False
    """Whether others used the CPUs whenever it was measured: then it may be too low."""
    reason: str | None = None
    """Why there is none."""


def obtain(
    name: str,
    progress: OnProgress = unheard,
    *,
    fresh: bool = False,
    device: str = "cpu",
    operations: Sequence[Operation] | None = None,
) -> Found:
    """A framework's ceilings on a device: from the cache, else measured (some 10 s).

    Args:
        name: Name of the framework.
        progress: Called with the share that is done, and a note.
        fresh: Whether to measure in any case; the best of this and what is cached counts.
        device: As a case has it.
        operations: What is measured; by default the operations of the device.
    """
    operations = operations_of(device) if operations is None else operations
    row = framework(name)
    if row.ceiling is None:
        return Found(name, reason="it has no function that measures one")
    if missing := row.missing():
        return Found(name, reason=missing)
    key = _key(row, operations, device)
    known = _read(key, operations, device)
    if known and not fresh and not known.disturbed:
        return known
    progress(0.0, f"ceiling of {name}")
    observer = Observer()
    try:
        with Worker(Case("", name, device=device), Path(), _LIMITS) as worker:
            answers = worker.ceiling(operations, progress)
    except (WorkerError, OSError) as error:
        return known or Found(name, reason=without_folders(headline(str(error))))
    if not _whole(answers, operations, device):
        return known or Found(name, reason="the worker's result lacks an operation")
    busy = (observer.state()["others"] or 0.0) > OTHERS
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found = _better(Found(name, tuple(answers), now, disturbed=busy), known)
    _write(key, found)
    return found


def cached(name: str, device: str = "cpu") -> bool:
    """Whether nothing has to be measured for a framework's ceilings on a device."""
    row, operations = framework(name), operations_of(device)
    if row.ceiling is None or row.missing():
        return True
    known = _read(_key(row, operations, device), operations, device)
    return known is not None and not known.disturbed


def _better(found: Found, known: Found | None) -> Found:
    """The best of two measurements, operation by operation."""
    if known is None:
        return found
    pairs = zip(found.ceilings, known.ceilings, strict=True)
    best_of = tuple(max(pair, key=lambda one: one["flops_per_second"] or 0.0) for pair in pairs)
    return replace(found, ceilings=best_of, disturbed=found.disturbed and known.disturbed)


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
    """The ceilings of one run: each framework is measured at most once on each device."""

    _found: dict[tuple[str, str], Found] = field(default_factory=dict)
    _exceeded: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """By device and precision: the fastest row above every measured operation."""
    _measured_again: int = 0

    def prepare(self, frameworks: Iterable[str], progress: OnProgress, device: str = "cpu") -> None:
        """Read or measure what is not known yet. Nothing else may be measured meanwhile.

        On an accelerator one framework is enough, the first that gives figures: all of them call
        the vendor's library.
        """
        for name in dict.fromkeys(frameworks):
            if accelerated(device) and any(one.ceilings for one in self._on(device)):
                return
            if (name, device) not in self._found:
                self._found[name, device] = obtain(name, progress, device=device)

    def known(self, name: str, device: str) -> bool:
        """Whether a framework's ceilings take no time."""
        return (name, device) in self._found or cached(name, device)

    def _on(self, device: str) -> list[Found]:
        return [found for (_, where), found in self._found.items() if where == device]

    def metrics(
        self,
        case: Case,
        flops_per_second: float = 0.0,
        progress: OnProgress = unheard,
        *,
        tf32: bool = False,
    ) -> dict[str, Any]:
        """``ceiling``, and ``ceiling_reason`` where that is None.

        Args:
            case: Its device and precision decide; a peak of the CPU is none of an accelerator.
            flops_per_second: Its speed. Where it comes close to the ceiling, that is measured
                again; where it exceeds it all the same, it is the ceiling of the rows after it.
            progress: Called with the share that is done, and a note.
            tf32: Whether float32 products may be rounded, as it was read back.
        """
        device, precision = case.device, case.precision
        number = case.devices if accelerated(device) else 1  # a peak of the CPU is of all of it
        flops_per_second /= number
        if tf32 and accelerated(device) and precision == "float32":
            precision = "tf32"
        winner = self._best(device, precision)
        while winner and self._is_close(flops_per_second, winner):
            self._measured_again += 1
            for name in [one.framework for one in self._on(device) if not one.reason]:
                self._found[name, device] = obtain(name, progress, fresh=True, device=device)
            winner = self._best(device, precision)
        if winner:
            if flops_per_second > winner["flops_per_second"]:
                self._exceeded[device, precision] = {
                    "framework": case.framework,
                    "operation": case.variant,
                    "shape": f"batch {case.batch_size}, {case.input_size} px",
                    "precision": precision,
                    "flops_per_second": flops_per_second,
                }
            return {"ceiling": _of_several(winner, number)}
        reasons = [f"{one.framework}: {_why(one, precision)}" for one in self._on(device)]
        return {"ceiling": None, "ceiling_reason": "; ".join(reasons) or "none was measured"}

    def _best(self, device: str, precision: str) -> dict[str, Any] | None:
        """The fastest operation, or the row that was faster."""
        winner = best(self._on(device)).get(precision)
        row = self._exceeded.get((device, precision))
        known = [one for one in (winner, row) if one]
        return max(known, key=lambda one: float(one["flops_per_second"]), default=None)

    def _is_close(self, flops_per_second: float, winner: Mapping[str, Any]) -> bool:
        again = self._measured_again < _AGAIN
        return again and flops_per_second > CLOSE * float(winner["flops_per_second"])


def _of_several(ceiling: dict[str, Any], number: int) -> dict[str, Any]:
    """The ceiling of several devices: that of one, so many times."""
    if number == 1:
        return ceiling
    together = float(ceiling["flops_per_second"]) * number
    shape = f"{ceiling['shape']}, on each of {number} devices"
    return {**ceiling, "shape": shape, "flops_per_second": together}


def _why(found: Found, precision: str) -> str:
    if found.reason:
        return found.reason
    own = [one for one in found.ceilings if one["precision"] == precision]
    reasons = [one["reason"] for one in own if one.get("reason")]
    return reasons[0] if reasons else f"no operation in {precision}"


def _key(row: Framework, operations: Sequence[Operation], device: str) -> dict[str, Any]:
    return {
        **conditions_of(device, row.name),
        "format": _FORMAT,
        "framework": row.name,
        "versions": row.versions(),
        "environment": row.environment,
        "processor": processor(),
        "cpus": usable_cpus(),
        "operations": [to_json(operation) for operation in operations],
    }


def _path(key: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "ceilings" / f"{key['framework']}-{digest[:16]}.json"


def _read(key: dict[str, Any], operations: Sequence[Operation], device: str) -> Found | None:
    """The cached ceilings; None without any, or if the file is damaged or of another key."""
    cached_file = recall(_path(key), key)
    if not isinstance(cached_file, dict):
        return None
    answers: Any = cached_file.get("ceilings")
    date = cached_file.get("measured_at")
    if not isinstance(date, str) or not _whole(answers, operations, device):
        return None
    disturbed = cached_file.get("disturbed") is True
    return Found(key["framework"], tuple(answers), date, cached=True, disturbed=disturbed)


def _whole(answers: Any, operations: Sequence[Operation], device: str = "cpu") -> bool:
    """Whether every operation is answered in every precision, with a pace or a reason."""
    if not isinstance(answers, list) or not all(isinstance(a, dict) for a in answers):
        return False
    precisions = precisions_of(device)
    wanted = {(o.operation, o.text, precision) for o in operations for precision in precisions}
    given = {tuple(a.get(k) for k in ("operation", "shape", "precision")) for a in answers}
    return given == wanted and all(map(_plausible, answers))


def _plausible(answer: OperationResult) -> bool:
    pace = answer.get("flops_per_second")
    if pace is None:
        return isinstance(answer.get("reason"), str)
    return isinstance(pace, int | float) and math.isfinite(pace) and pace > 0


def _write(key: dict[str, Any], found: Found) -> None:
    """Write the ceilings to the cache."""
    cached_file = {
        "measured_at": found.measured_at,
        "disturbed": found.disturbed,
        "ceilings": found.ceilings,
    }
    keep(_path(key), key, cached_file)
