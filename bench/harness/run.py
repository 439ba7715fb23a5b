"""A run: its folder, its data, its certificates, and every record as it comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.core.cache import cache_folder
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import FILE, Record, RecordStore
from bench.data.contact_sheet import write_contact_sheet
from bench.data.dataset import Dataset
from bench.data.sources import open_dataset, prepared
from bench.harness import checkpoints
from bench.harness.ceilings import RunCeilings
from bench.harness.certificates import Certificate, Subject, obtain
from bench.harness.checkpoints import RunFiles
from bench.harness.grouping import groups
from bench.harness.listener import Listener
from bench.harness.matrix import Job
from bench.harness.measure import measure
from bench.harness.observer import MACHINE_STATE, look
from bench.harness.profiles import Profile
from bench.training.frameworks import REFERENCE, installed
from bench.training.tracks import track

Keys = Set[tuple[str, str]]
"""(case id, kind) of records that are there already."""
NOTHING: Keys = frozenset()
_ALL_USABLE: Mapping[str, str] = MappingProxyType({})


@dataclass
class Run:
    """One folder under ``results``: its data, its records, its report."""

    folder: Path
    profile: Profile
    data: str = "auto"
    validation: bool = False
    """Whether a part of the training set stands in for the test set, which is then not touched."""
    certificates: dict[Subject, Certificate] = field(default_factory=dict)
    """Filled by ``certify``; a closed case without one is recorded as unchecked."""
    frameworks: tuple[str, ...] = ()
    """Whose ceilings are asked for; empty means the profile's. Those of a job are always."""
    ceilings: RunCeilings = field(default_factory=RunCeilings)
    save_weights: bool = False
    """Whether the final weights of trainings are saved."""

    before: dict[str, Any] = field(default_factory=dict)
    """The machine before the run (`bench.harness.observer.Observer.state`)."""

    def __post_init__(self) -> None:
        self.store = RecordStore(self.folder)

    def look_at_machine(self) -> str | None:
        """Note how busy the machine is before anything is measured; a warning where it is."""
        self.before, warning = look()
        return warning

    @cached_property
    def dataset(self) -> Dataset:
        """The images, cut to the numbers of this profile."""
        whole = open_dataset(self.data)
        if self.validation:
            whole = whole.validation()
        train = self.profile.train_images or len(whole.train.labels)
        test = self.profile.test_images or len(whole.test.labels)
        return whole.subset(train, test)

    @cached_property
    def data_folder(self) -> Path:
        """Folder that workers map the images from."""
        return prepared(self.dataset, cache_folder())

    def create(self) -> None:
        """Make the folder and the contact sheet; UserError before anything is measured."""
        dataset = self.dataset  # opened first: a wrong path leaves no empty run behind
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / ".writable").touch()
            (self.folder / ".writable").unlink()
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder}: {error.strerror}; "
                "give a folder that can be written to with --results"
            ) from error
        write_contact_sheet(dataset, self.folder / "contact_sheet.png")

    def certify(self, cases: Iterable[Case], listener: Listener) -> None:
        """Get the certificates of the closed cases, before anything is measured."""
        classes = len(self.dataset.classes)
        wanted = {Subject.of(case, classes): None for case in cases if track(case.track).certified}
        missing = [subject for subject in wanted if subject not in self.certificates]
        for subject, certificate in obtain(missing, listener.certifying):
            self.certificates[subject] = certificate
            listener.certificate_done(certificate)

    def _parity(self, case: Case) -> dict[str, Any]:
        if not track(case.track).certified:
            return {"status": "not applicable"}
        subject = Subject.of(case, len(self.dataset.classes))
        unchecked = {"status": "unchecked", "problem": "no parity certificate was made in this run"}
        return self.certificates.get(subject, unchecked)

    def execute(self, group: Sequence[Job], listener: Listener) -> Iterator[Record]:
        """Measure jobs together; yield each record when it is on the disk."""
        for job in group:
            self._prepare_ceilings(job, listener)
        limits = self.profile.limits
        files = RunFiles(self.folder, self.dataset, limits, self.save_weights)
        for record in measure(group, self.data_folder, limits, listener, files):
            parity = self._parity(record.case)
            complete = dataclasses.replace(record, dataset=self.dataset.describe(), parity=parity)
            complete = self._with_ceiling(self._with_state_before(complete), listener)
            self.store.append(complete)
            if complete.ok and kind(complete.kind).trained:
                checkpoints.prune(self.folder, [complete.case.id])
            listener.finished(complete)
            yield complete

    def skip(self, job: Job, reason: str) -> list[Record]:
        """Write a row without a result for every task of a job that cannot be measured here."""
        found = [
            Record(task.case, task.kind, "skipped", error=reason, dataset=self.dataset.describe())
            for task in job.tasks
        ]
        for record in found:
            self.store.append(record)
        return found

    def _with_state_before(self, record: Record) -> Record:
        if not self.before:
            return record
        state = {**record.environment.get(MACHINE_STATE, {}), "before": self.before}
        return dataclasses.replace(record, environment={**record.environment, MACHINE_STATE: state})

    def _prepare_ceilings(self, job: Job, listener: Listener) -> None:
        """Before the first throughput of the run; the cache has them after the first run."""
        if any(kind(task.kind).throughput for task in job.tasks):
            names = self.frameworks or installed(self.profile.frameworks)
            wanted = sorted([*names, job.case.framework], key=lambda name: name != REFERENCE)
            self.ceilings.prepare(wanted, listener.progress, job.case.device)

    def _with_ceiling(self, record: Record, listener: Listener) -> Record:
        if not kind(record.kind).throughput or not record.ok:
            return record
        speed = float(record.summary["images_per_second"] or 0.0)
        flops = speed * float(record.metrics.get("flops_per_image") or 0.0)
        tf32 = bool(record.settings.get("tf32"))
        ceiling = self.ceilings.metrics(record.case, flops, listener.progress, tf32=tf32)
        return dataclasses.replace(record, metrics={**record.metrics, **ceiling})


def run_all(
    run: Run,
    jobs: list[Job],
    listener: Listener,
    *,
    done: Keys = NOTHING,
    parity: bool = True,
    unusable: Mapping[str, str] = _ALL_USABLE,
) -> None:
    """Every job whose records are not there yet, in order; their certificates first.

    Args:
        run: Where the records go.
        jobs: What is measured.
        listener: Called with all that happens.
        done: What is there already.
        parity: Whether certificates are made.
        unusable: Frameworks that cannot use the device, with the reason: their rows are skipped.
    """
    checkpoints.prune(run.folder, {case_id for case_id, name in done if kind(name).trained})
    remaining = [
        dataclasses.replace(job, tasks=tasks)
        for job in jobs
        if (tasks := tuple(task for task in job.tasks if task.key not in done))
    ]
    for job in remaining:
        if job.case.framework in unusable:
            for record in run.skip(job, unusable[job.case.framework]):
                listener.finished(record)
    remaining = [job for job in remaining if job.case.framework not in unusable]
    measured = (job.case.framework for job in jobs if job.case.framework not in unusable)
    run.frameworks = tuple(dict.fromkeys(measured))
    if parity:
        run.certify((job.case for job in remaining), listener)
    for group in groups(remaining, run.profile.together):
        for _ in run.execute(group, listener):
            pass


def open_run(
    results: Path,
    name: str | None,
    resume: bool,
    profile: Profile,
    data: str,
    *,
    validation: bool = False,
) -> tuple[Run, Keys]:
    """A new run's folder, or an old one to go on with and what it has already.

    Raises UserError when a new run's name is taken, when there is nothing to resume, or when the
    data of the old run is another.
    """
    folder = _folder_to_resume(results, name) if resume else results / (name or _name_now())
    run = Run(folder, profile, data, validation)
    if not resume and run.store.path.exists():
        raise UserError(
            f"{folder} holds a run already; go on with it with --resume, or name another"
        )
    _same_data(run)  # before anything in the folder is touched
    if not resume:
        checkpoints.clear(run.folder)
    run.create()
    return run, run.store.set_aside_failures()


def _name_now() -> str:
    """UTC to the second: names sort by age."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _folder_to_resume(results: Path, name: str | None) -> Path:
    if name:
        if not (results / name).is_dir():
            raise UserError(f"no run {name!r} to resume in {results}; start it without --resume")
        return results / name
    runs = sorted(results.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise UserError(f"no run to resume in {results}; start one without --resume")
    return runs[-1].parent


def _same_data(run: Run) -> None:
    if not run.store.path.exists():
        return
    for record in run.store.read():
        known = str(record.dataset.get("fingerprint"))
        if known != run.dataset.fingerprint:
            name = record.dataset.get("name")
            raise UserError(
                f"{run.folder} was measured on {name} ({known[:12]}), --data is "
                f"{run.dataset.name} ({run.dataset.fingerprint[:12]}); resume with the same data"
            )
