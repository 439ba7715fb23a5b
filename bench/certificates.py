"""Where parity certificates come from: the cache, else a worker per framework.

A certificate holds for one network in one framework as long as neither the code that computes it,
nor the versions of what it runs on, nor the processor change; its key is the digest of all that.
Only passed certificates are kept: what failed is tried again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.environment import capture
from bench.frameworks import Framework, framework
from bench.grouping import without_folders
from bench.launch import Worker, WorkerError
from bench.profiles import Limits
from bench.sources import cache_folder
from bench.spec import Architecture
from bench.variants import variant

Certificate = dict[str, Any]
Progress = Callable[[float, str], None]

PROVING_MODULES = (
    "case",
    "data",
    "errors",
    "initial",
    "parity",
    "plan",
    "proof",
    "recipes",
    "reference",
    "reference_training",
    "spec",
    "trainer",
    "weights",
)
"""Modules of this package that a proof runs through; a test holds the list against the imports."""

_LIMITS = Limits(timeout_seconds=1800)


@dataclass(frozen=True)
class Subject:
    """What is certified: a network in a framework."""

    variant: str
    framework: str
    head: str
    input_size: int
    classes: int

    @classmethod
    def of(cls, case: Case, classes: int) -> Subject:
        """What a case's certificate is about; seeds, batches and recipes share it."""
        return cls(case.variant, case.framework, case.head, case.input_size, classes)

    @property
    def architecture(self) -> Architecture:
        """The rows that are proven."""
        row = variant(self.variant)
        return row.architecture(self.classes, head=self.head, input_size=self.input_size)

    @property
    def key(self) -> str:
        """Digest of everything the certificate depends on."""
        row = framework(self.framework)
        facts = {
            "architecture": self.architecture.to_json(),
            "framework": self.framework,
            "environment": row.environment,
            "versions": _versions(row),
            "cpu": capture(row)["cpu"],
            "threads": len(os.sched_getaffinity(0)),
            "code": _code_digest(row.trainer),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _versions(row: Framework) -> dict[str, str]:
    return {**row.versions(), "numpy": version("numpy"), "python": platform.python_version()}


@cache
def _code_digest(trainer: str) -> str:
    digest = hashlib.sha256()
    for path in _code(trainer):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _code(trainer: str) -> Iterator[Path]:
    """Source files that decide what a certificate says."""
    here = Path(__file__).resolve().parent
    yield from (here / f"{name}.py" for name in PROVING_MODULES)
    # Keras's torch backend trains with the optimiser of models_torch.
    packages = dict.fromkeys(["models_torch", trainer.partition(":")[0].partition(".")[0]])
    for name in packages:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue
        origin = Path(found.origin)
        yield from sorted(origin.parent.glob("*.py")) if found.parent == name else [origin]


def obtain(
    subjects: Iterable[Subject], progress: Progress, *, fresh: bool = False
) -> Iterator[tuple[Subject, Certificate]]:
    """Every subject's certificate, framework by framework; ``fresh`` passes the cache over.

    A proof that could not be carried out (the worker died, say) is a failed one, with the reason.
    """
    wanted = dict.fromkeys(subjects)
    for name in dict.fromkeys(subject.framework for subject in wanted):
        missing = []
        for subject in (s for s in wanted if s.framework == name):
            kept = None if fresh else _read(subject)
            if kept is None:
                missing.append(subject)
            else:
                yield subject, kept
        yield from _prove(missing, progress)


def _prove(subjects: list[Subject], progress: Progress) -> Iterator[tuple[Subject, Certificate]]:
    """Proofs of one framework in one worker; after a death the rest get a fresh one."""
    remaining = list(subjects)
    while remaining:
        with Worker(Case(remaining[0].variant, remaining[0].framework), Path(), _LIMITS) as worker:
            while remaining:
                subject = remaining.pop(0)
                certificate = _facts(subject)
                try:
                    certificate |= _ask(worker, subject, progress)
                except WorkerError as error:
                    told = without_folders(str(error)).strip().splitlines()[-1]
                    certificate["problem"] = f"the proof could not be carried out: {told}"
                    yield subject, certificate
                    break
                if certificate["status"] == "pass":
                    _write(subject, certificate)
                yield subject, certificate


def _ask(worker: Worker, subject: Subject, progress: Progress) -> Certificate:
    def shown(done: float, note: str) -> None:
        progress(done, f"parity of {subject.variant} in {subject.framework}: {note}")

    found: Certificate = worker.certify(subject.architecture, shown)["certificate"]
    return found


def _facts(subject: Subject) -> Certificate:
    row = framework(subject.framework)
    return {
        "variant": subject.variant,
        "framework": subject.framework,
        "status": "fail",
        "problem": "",
        "head": subject.head,
        "logits_input_size": subject.input_size,
        "figures": {},
        "key": subject.key,
        "versions": _versions(row),
    }


def _path(subject: Subject) -> Path:
    return cache_folder() / "parity" / f"{subject.key}.json"


def _read(subject: Subject) -> Certificate | None:
    try:
        found = json.loads(_path(subject).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # Whatever else lies there under this name is no certificate of this subject.
    if not isinstance(found, dict) or found.get("key") != subject.key:
        return None
    return found if found.get("status") == "pass" else None


def _write(subject: Subject, certificate: Certificate) -> None:
    """Keep it for the next run; a cache that cannot be written only costs that run its time."""
    path = _path(subject)
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(certificate), encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
