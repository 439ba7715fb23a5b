"""The part that runs on a node: it reports the node's facts, checks parity, and measures groups.

Each function takes one request and returns one answer, both plain data, so that any engine can
carry them. It runs in the main thread of a process of the engine and starts the workers itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bench.core import extensions
from bench.core.cache import cache_folder, writable
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.run_paths import WEIGHTS
from bench.core.system import nvml
from bench.core.system.devices import accelerated, parse
from bench.core.system.environment import gpu_line
from bench.core.system.processor import processor
from bench.core.system.resources import physical_memory, usable_cpus, usable_memory
from bench.core.text import many, without_folders
from bench.data.dataset import Dataset, load
from bench.executors.cores import own_cores
from bench.executors.parcels import data_folder, weights_file
from bench.executors.requests import (
    OTHER_CODE,
    Answer,
    CertificateRequest,
    GroupRequest,
    NodeFacts,
    NodeRequest,
    Setting,
    label_of,
)
from bench.harness.ceilings import RunCeilings
from bench.harness.certificates import Certificate, Subject, obtain
from bench.harness.matrix import Job, Task
from bench.harness.measure import measure
from bench.harness.measurer import Measurer
from bench.harness.observer import look
from bench.harness.plan import TimePlan
from bench.harness.profiles import Profile
from bench.harness.resumption import checkpoints
from bench.harness.resumption.checkpoints import RunFiles
from bench.harness.resumption.run_settings import MEASURING, MODULES
from bench.harness.source_code import digest_of
from bench.training.frameworks import framework
from bench.training.tracks import track
from bench.worker.client import unheard
from bench.worker.device.probing import probe
from bench.worker.environment import KEPT

_KEPT_SECONDS = 7 * 24 * 3600.0
"""For checkpoints of a run that nobody goes on with; one is written every few minutes."""


def code() -> str:
    """Digest of the code that measures here."""
    return digest_of(MEASURING, MODULES)[:16]


def describe(request: NodeRequest) -> NodeFacts:
    """What this node is and which frameworks can measure here."""
    _enter(request.setting)
    cpus = min(request.cpus or len(usable_cpus()), len(usable_cpus()))
    kind_of, words = _kind(cpus, request.device)
    return NodeFacts(
        kind=kind_of,
        words=words,
        cpus=cpus,
        memory=_memory(),
        code=code(),
        versions={name: framework(name).versions() for name in request.frameworks},
        unusable={
            name: why for name in request.frameworks if (why := _unusable(name, request.device))
        },
        keys={subject: subject.key for subject in request.subjects},
    )


def certify(request: CertificateRequest) -> list[tuple[Subject, Certificate]]:
    """The certificates of this kind of node: from its cache, or made here."""
    _enter(request.setting)
    with own_cores(request.cpus):
        return list(obtain(request.subjects, unheard))


def measure_group(request: GroupRequest, node: str) -> Answer:
    """Measure a group; what keeps this node from it is an answer, too.

    Args:
        request: The group, and what it needs.
        node: The engine's name of this node; records have an opaque label of it.
    """
    _enter(request.setting)
    if request.setting.code not in ("", code()):  # Slurm has not said which node it takes
        return Answer(refused=OTHER_CODE)
    try:
        with own_cores(request.cpus):
            return _measured(request, label_of(node))
    except UserError as error:
        return Answer(refused=without_folders(" ".join(str(error).split())))


def _measured(request: GroupRequest, label: str) -> Answer:
    folder, received = data_folder(request.data)
    weights = {path: weights_file(parcel) for path, parcel in request.weights.items()}
    group = [
        dataclasses.replace(job, weights=job.weights and weights[job.weights])
        for job in request.jobs
    ]
    kind_of, _ = _kind(request.cpus, group[0].case.device)
    notes = _Notes()
    measurer = NodeMeasurer.of(request, folder)
    if request.parity:
        measurer.certify((job.case for job in group), notes)
    run = request.folder or _run_folder(request.setting)
    records = []
    for record in measurer.measure(group, run, notes, save_weights=request.save_weights):
        here = {**record.environment, "node": {"label": label, "kind": kind_of}}
        records.append(dataclasses.replace(record, environment=here))
    trained = [r.case.id for r in records if r.ok and kind(r.kind).trained]
    files = {} if request.folder else _saved(records, run)
    if request.folder is None:
        checkpoints.prune(run, trained)
    # As a line of a file has them: blocks are named tuples until then.
    values = json.loads(json.dumps([r.to_json() for r in records]))
    return Answer(values, kind_of, "", received, tuple(notes.lines), files)


@dataclass
class NodeMeasurer(Measurer):
    """A node of a cluster that measures groups of a run."""

    profile: Profile
    dataset: Dataset
    data_folder: Path
    certificates: dict[Subject, Certificate]
    frameworks: tuple[str, ...]
    ceilings: RunCeilings = field(default_factory=RunCeilings)
    before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, request: GroupRequest, folder: Path) -> NodeMeasurer:
        """The measurer of a group, with the certificates that hold on this node."""
        dataset = load(folder)
        given = {certificate["key"]: certificate for certificate in request.certificates}
        certified = [job.case for job in request.jobs if track(job.case.track).certified]
        subjects = {Subject.of(case, len(dataset.classes)) for case in certified if given}
        held = {s: given[key] for s in subjects if (key := s.key) in given}
        before = _before(request.setting.run)
        return cls(request.profile, dataset, folder, held, request.frameworks, before=before)

    def measure(
        self, group: list[Job], run: Path, notes: _Notes, *, save_weights: bool
    ) -> Iterator[Record]:
        """The complete records of a group."""
        for job in group:
            self.prepare_ceilings(job, notes)
        limits = self.profile.limits
        files = RunFiles(run, self.dataset, limits, save_weights)
        for record in measure(group, self.data_folder, limits, notes, files):
            yield self.completed(record, notes)


class _Notes:
    """The listener of a node: it keeps what the user should know."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def planned(self, plan: TimePlan) -> None:
        """A node has no time plan."""

    def started(self, task: Task) -> None:
        """Not reported."""

    def progress(self, done: float, note: str) -> None:
        """Not reported: a message would be sent while something is timed."""

    def finished(self, record: Record) -> None:
        """Records go back all together."""

    def certifying(self, done: float, note: str) -> None:
        """Not reported."""

    def certificate_done(self, certificate: Certificate) -> None:
        """It is in the records."""

    def waiting(self, done: float, note: str) -> None:
        """Nothing waits on a node."""


def _enter(setting: Setting) -> None:
    """Take over the command's extensions and kept variables."""
    os.environ.setdefault("ALEXBENCH_EXTENSIONS", setting.extensions)
    os.environ |= setting.kept
    os.environ[KEPT] = ",".join(setting.kept)  # not what another run has left in this process
    extensions.load()
    _sweep()


@cache
def _before(run: str) -> dict[str, Any]:
    """The machine before this process measured for a run."""
    return look()[0]


def _memory() -> int:
    """Bytes that a group may take. A job of Slurm has a limit of its own, for which it asks: that
    of the job that describes the node is none of the others."""
    return physical_memory() if "SLURM_JOB_ID" in os.environ else usable_memory()


def _kind(cpus: int, device: str) -> tuple[str, str]:
    """Digest and words of what a group's speed depends on, as far as the machine has it."""
    facts: dict[str, Any] = {
        "cpu": processor(),
        "cpus": cpus,
        # Not its limit here, which each task may have another of; machines of one model differ by
        # some pages.
        "memory": round(physical_memory() / 2**30),
    }
    if accelerated(device):
        facts["gpu"] = nvml.card(device).facts()
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    card = gpu_line(facts) if accelerated(device) else ""
    words = f"{facts['cpu']}, {many(cpus, 'CPU')}" + (f", {card}" if card else "")
    return digest, words


def _unusable(name: str, device: str) -> str | None:
    """Why a framework cannot measure here; None where it can."""
    if missing := framework(name).missing():
        return missing
    try:
        wanted = parse(device)
        if accelerated(device):
            wanted.check(nvml.count())
    except UserError as error:
        return str(error)
    return probe(name, device).reason


def _run_folder(setting: Setting) -> Path:
    """Where this node keeps checkpoints and rounds of a run whose folder it does not share."""
    return writable(cache_folder()) / "runs" / setting.run


@cache
def _sweep() -> None:
    """Remove what runs left here that were given up: nothing has changed in it for a week."""
    oldest = time.time() - _KEPT_SECONDS
    for run in (cache_folder() / "runs").glob("*"):
        with suppress(OSError):  # another process removes it, too
            if max(path.stat().st_mtime for path in (run, *run.rglob("*"))) < oldest:
                shutil.rmtree(run, ignore_errors=True)


def _saved(records: list[Record], run: Path) -> dict[str, bytes]:
    names = [(record.metrics.get("saved_weights") or {}).get("file") for record in records]
    return {name: (run / WEIGHTS / name).read_bytes() for name in names if name}
