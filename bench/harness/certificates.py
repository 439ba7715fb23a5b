"""Where parity certificates come from: the cache, else a worker per framework.

A certificate holds for one network in one framework as long as neither the code that computes it,
nor the versions of what it runs on, nor the processor or accelerator change; its key is the digest
of all that. A certificate for an accelerator is computed on it.
Only passed certificates are cached: a failed check is repeated.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from queue import Queue
from threading import Lock
from typing import Any

from bench.core.cache import cache_folder, keep, recall
from bench.core.case import Case
from bench.core.limits import Limits
from bench.core.system.devices import accelerated
from bench.core.system.processor import processor
from bench.core.system.resources import usable_cpus, usable_memory
from bench.core.text import headline, without_folders
from bench.harness.devices import conditions_of
from bench.harness.source_code import code_digest
from bench.networks.architecture import Architecture
from bench.networks.variants import variant
from bench.training.frameworks import Framework, framework
from bench.worker.client import Worker, WorkerError

Certificate = dict[str, Any]
Progress = Callable[[float, str], None]

CERTIFIED_PACKAGES = ("core", "networks", "data", "training", "parity")
"""Packages of ``bench`` whose code a certificate depends on: the parity check and all below it."""

CHECK_BYTES = 6 << 30
"""Memory of one parity check: float64 weights, gradients and optimiser slots, in the framework and
in the reference."""

_LIMITS = Limits(timeout_seconds=1800)
_OF_THE_MACHINE = ("oom", "timeout")
"""What other checks may be the reason of: such a check is made once more, alone."""


@dataclass(frozen=True)
class Subject:
    """What is certified: a network in a framework on a device."""

    variant: str
    framework: str
    head: str
    input_size: int
    classes: int
    device: str = "cpu"
    execution: str = ""
    """Where it is not the framework's default."""
    devices: int = 1

    @classmethod
    def of(cls, case: Case, classes: int) -> Subject:
        """What a case's certificate is about; seeds, batches and recipes share it."""
        network = (case.variant, case.framework, case.head, case.input_size, classes)
        return cls(*network, case.device, case.unusual_execution, case.devices)

    @property
    def architecture(self) -> Architecture:
        """The layers that are checked."""
        row = variant(self.variant)
        return row.architecture(self.classes, head=self.head, input_size=self.input_size)

    @property
    def key(self) -> str:
        """Digest of everything the certificate depends on."""
        row = framework(self.framework)
        facts = {
            "architecture": self.architecture.to_json(),
            "framework": self.framework,
            **({"execution": self.execution} if self.execution else {}),
            **({"devices": self.devices} if self.devices > 1 else {}),
            "environment": row.environment,
            "versions": versions_of(row),
            "cpu": processor(),
            "code": code_digest(row.trainer, CERTIFIED_PACKAGES),
            **conditions_of(self.device, self.framework),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def versions_of(row: Framework) -> dict[str, str]:
    """Versions of a framework's packages and of what every result depends on."""
    return {**row.versions(), "numpy": version("numpy"), "python": platform.python_version()}


def obtain(
    subjects: Iterable[Subject], progress: Progress, *, fresh: bool = False
) -> Iterator[tuple[Subject, Certificate]]:
    """Every subject's certificate, in their order; ``fresh`` passes the cache over.

    A check that could not be carried out (the worker died, say) has failed, with the reason.
    """
    wanted = list(dict.fromkeys(subjects))
    known = {} if fresh else {s: found for s in wanted if (found := cached(s.key))}
    with _ParityChecks([s for s in wanted if s not in known], progress) as checks:
        for subject in wanted:
            yield subject, known[subject] if subject in known else checks.of(subject)


def uncached(subjects: Iterable[Subject]) -> int:
    """How many of these subjects have no certificate in the cache."""
    return sum(cached(subject.key) is None for subject in dict.fromkeys(subjects))


def _worker_of(subject: Subject) -> tuple[str | int, ...]:
    """What subjects share that are checked one after the other, in one worker.

    A network has a worker of its own: frameworks with fewer networks than others would leave cores
    unused, and a start takes a small part of a check.
    """
    shared = (subject.framework, subject.device, subject.devices)
    return (*shared, subject.variant, subject.head)


class _ParityChecks:
    """Parity checks of several frameworks at once, each in a worker with its own CPUs.

    A check is many small operations that gain little from a second core, and nothing is timed.
    """

    def __init__(self, subjects: list[Subject], progress: Progress) -> None:
        self._progress = progress
        self._found: dict[Subject, Future[Certificate]] = {s: Future() for s in subjects}
        self._workers: set[Worker] = set()
        self._stopped = False
        together: dict[tuple[str | int, ...], list[Subject]] = {}
        for subject in subjects:
            together.setdefault(_worker_of(subject), []).append(subject)
        groups = list(together.values())
        cpus = usable_cpus()
        # Two CPUs each for many checks on an accelerator: the reference computes here.
        most = max(1, len(cpus) // 2) if any(accelerated(s.device) for s in subjects) else len(cpus)
        # A check of several devices needs a CPU for each.
        devices = max((s.devices for s in subjects), default=1)
        most //= devices
        places = max(1, min(len(groups), most, usable_memory() // (CHECK_BYTES * devices)))
        self._again: list[Subject] = []
        self._groups, self._count = len(groups), Lock()
        self._shares: Queue[list[int]] = Queue()
        for place in range(places):
            self._shares.put(cpus[place::places])
        self._pool = ThreadPoolExecutor(places)
        for group in groups:
            self._pool.submit(self._check_all, group)

    def __enter__(self) -> _ParityChecks:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for worker in list(self._workers):
            worker.stop()  # its thread would wait for an answer
        self._pool.shutdown(cancel_futures=True)

    def of(self, subject: Subject) -> Certificate:
        """The certificate of a subject; waits until it is there."""
        return self._found[subject].result()

    def _check_all(self, subjects: list[Subject]) -> None:
        cpus = self._shares.get()
        self._check(list(subjects), cpus)
        self._shares.put(cpus)
        with self._count:
            self._groups -= 1
            last = not self._groups
        if last:  # alone now
            again, self._again = self._again, []
            for subject in again:  # a worker each: they are of several frameworks
                self._check([subject], usable_cpus(), again=True)

    def _check(self, remaining: list[Subject], cpus: list[int], *, again: bool = False) -> None:
        """Check subjects; those whose worker was killed or took too long are left for `again`."""
        try:
            while remaining and not self._stopped:
                self._check_in_one_worker(remaining, cpus, again=again)
        except BaseException as error:
            for subject in remaining:
                self._found[subject].set_exception(error)

    def _check_in_one_worker(
        self, remaining: list[Subject], cpus: list[int], *, again: bool
    ) -> None:
        """Check subjects until none remains or one fails to answer: the rest get a fresh worker."""
        first = remaining[0]
        where = {"device": first.device, "devices": first.devices}
        case = Case(first.variant, first.framework, **where)  # type: ignore[arg-type]
        with Worker(case, Path(), _LIMITS, cpus) as worker:
            self._workers.add(worker)
            alive = not self._stopped  # else it was started while the others were stopped
            while remaining and alive:
                certificate = _facts(remaining[0])
                try:
                    certificate |= _ask(worker, remaining[0], self._progress)
                    cache(certificate)
                except WorkerError as error:
                    alive = False
                    if error.status in _OF_THE_MACHINE and not again:
                        self._again.append(remaining.pop(0))
                        break
                    reason = headline(without_folders(str(error)).strip())
                    certificate["problem"] = f"the parity check could not be carried out: {reason}"
                self._found[remaining.pop(0)].set_result(certificate)
            self._workers.discard(worker)


def _ask(worker: Worker, subject: Subject, progress: Progress) -> Certificate:
    def shown(done: float, note: str) -> None:
        progress(done, f"parity of {subject.variant} in {subject.framework}: {note}")

    answer = worker.certify(subject.architecture, shown, subject.execution)
    found: Certificate = answer["certificate"]
    return found


def _facts(subject: Subject) -> Certificate:
    row = framework(subject.framework)
    return {
        "variant": subject.variant,
        "framework": subject.framework,
        "device": subject.device,
        **({"execution": subject.execution} if subject.execution else {}),
        "status": "fail",
        "problem": "",
        "head": subject.head,
        "logits_input_size": subject.input_size,
        "figures": {},
        "key": subject.key,
        "versions": versions_of(row),
    }


def cache(certificate: Certificate) -> None:
    """Write a certificate that has passed to the cache; of one that has not, remove what had
    passed before."""
    key = str(certificate["key"])
    if certificate["status"] == "pass":
        keep(_path(key), key, certificate)
    else:
        with suppress(OSError):
            _path(key).unlink(missing_ok=True)


def cached(key: str) -> Certificate | None:
    """The certificate in the cache that has this `Subject.key`; None where there is none."""
    found = recall(_path(key), key)
    return found if isinstance(found, dict) and found.get("status") == "pass" else None


def _path(key: str) -> Path:
    return cache_folder() / "parity" / f"{key}.json"
