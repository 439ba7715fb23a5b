"""Jobs to records: open the data, have workers measure, write what comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from bench.case import Case
from bench.ceilings import OF_THROUGHPUT, Beside
from bench.certificates import Certificate, Subject, obtain
from bench.contact_sheet import write_contact_sheet
from bench.data import Dataset
from bench.energy import added
from bench.enough import why_enough
from bench.environment import capture
from bench.errors import UserError
from bench.frameworks import framework, installed
from bench.grouping import without_folders
from bench.launch import Worker, WorkerError, headline
from bench.matrix import TIMED, Job, Task, matches
from bench.pairs import Timed
from bench.profiles import Limits, Profile
from bench.records import FILE, Record, RecordStore
from bench.relay import Match, Tally
from bench.sources import cache_folder, open_dataset, prepared
from bench.stats import summary_of

Keys = Set[tuple[str, str]]
"""(case id, kind) of records that are there already."""
NOTHING: Keys = frozenset()


class Listener(Protocol):
    """Whoever shows what is going on."""

    def started(self, task: Task) -> None:
        """A measurement begins."""

    def progress(self, done: float, note: str) -> None:
        """Its done fraction."""

    def finished(self, record: Record) -> None:
        """Its record is written."""

    def proving(self, done: float, note: str) -> None:
        """A parity certificate is being made."""

    def proven(self, certificate: Certificate) -> None:
        """It is made, or was there."""


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
    ceilings: Beside = field(default_factory=Beside)

    def __post_init__(self) -> None:
        self.store = RecordStore(self.folder)

    @cached_property
    def dataset(self) -> Dataset:
        """The pictures as this profile takes them."""
        whole = open_dataset(self.data)
        if self.validation:
            whole = whole.validation()
        train = self.profile.train_images or len(whole.train.labels)
        test = self.profile.test_images or len(whole.test.labels)
        return whole.subset(train, test)

    @cached_property
    def data_folder(self) -> Path:
        """Where workers map the pictures from."""
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
        wanted = {Subject.of(case, classes): None for case in cases if case.track == "closed"}
        missing = [subject for subject in wanted if subject not in self.certificates]
        for subject, certificate in obtain(missing, listener.proving):
            self.certificates[subject] = certificate
            listener.proven(certificate)

    def _parity(self, case: Case) -> dict[str, Any]:
        if case.track != "closed":
            return {"status": "not applicable"}
        subject = Subject.of(case, len(self.dataset.classes))
        unchecked = {"status": "unchecked", "problem": "no parity certificate was made in this run"}
        return self.certificates.get(subject, unchecked)

    def execute(self, match: Sequence[Job], listener: Listener) -> Iterator[Record]:
        """Measure jobs together; yield each record when it is on the disk."""
        for job in match:
            self._prepare_ceilings(job, listener)
        for record in measure(match, self.data_folder, self.profile.limits, listener):
            parity = self._parity(record.case)
            complete = dataclasses.replace(record, dataset=self.dataset.describe(), parity=parity)
            complete = self._with_ceiling(complete)
            self.store.append(complete)
            listener.finished(complete)
            yield complete

    def _prepare_ceilings(self, job: Job, listener: Listener) -> None:
        """Before the first throughput of the run; the cache has them after the first run."""
        if any(task.kind in OF_THROUGHPUT for task in job.tasks):
            names = self.frameworks or installed(self.profile.frameworks)
            self.ceilings.prepare([*names, job.case.framework], listener.progress)

    def _with_ceiling(self, record: Record) -> Record:
        if record.kind not in OF_THROUGHPUT or not record.ok:
            return record
        beside = self.ceilings.metrics(record.case)
        return dataclasses.replace(record, metrics={**record.metrics, **beside})

    def write_report(self) -> Path:
        """Tables, plots and report of all records in the folder."""
        # Here, since pytest imports this module wherever alexbench is installed, and the plots
        # take seconds to import.
        from bench.report import write_results  # noqa: PLC0415

        return write_results(self.store.read(), self.folder)


def measure(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener
) -> Iterator[Record]:
    """The records of jobs that are measured together (`bench.matrix.matches`)."""
    if jobs[0].tasks[0].kind in TIMED:
        return _measure_in_turns(jobs, data, limits, listener)
    return (record for job in jobs for record in _measure_alone(job, data, limits, listener))


def _measure_in_turns(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener
) -> Iterator[Record]:
    """Relay after relay, until it is enough; then every record."""
    match = Match(jobs, data, limits, listener.started, listener.progress)
    relays: list[float] = []
    enough = None
    while enough is None:
        began = perf_counter()
        match.relay(len(relays))
        relays.append(perf_counter() - began)
        enough = why_enough(match.tallies, limits, relays)
    name = uuid4().hex[:12]  # joins the records of a match, whatever run they are read from
    for tally in match.tallies:
        turns = {
            "match": name,
            "blocks": tally.blocks,
            "stopped": enough,
            "precision_goal": limits.precision,
            "match_seconds": limits.match_seconds,
        }
        yield _timed_record(tally, turns)


def _timed_record(tally: Tally, turns: dict[str, Any]) -> Record:
    if not tally.begun:
        record = _failure(tally.task, tally.error)
    else:
        # What once per case is measured, the first process has.
        first, *_ = tally.answers
        blocks, answer = tally.blocks, {**first, "samples": tally.samples}
        if tally.error:
            turns = {**turns, "lost": without_folders(headline(str(tally.error)))}
        peaks = [a["peak_memory_bytes"] for a in tally.answers if a["peak_memory_bytes"]]
        answer["peak_memory_bytes"] = max(peaks, default=None)
        answer["metrics"] = {**_typical(tally.answers), "turns": turns}
        images = answer["images_per_sample"] or 1
        record = _record(tally.task, answer, Timed(tally.samples, blocks, images).by_process())
    return dataclasses.replace(
        record,
        started_at=tally.started_at,
        seconds=tally.seconds,
        environment=capture(framework(tally.task.case.framework)),
    )


def _typical(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first process's metrics, but the median over processes of what each one timed once."""
    metrics = dict(answers[0]["metrics"])
    for name in metrics:
        if name.endswith("_seconds"):
            metrics[name] = float(np.median([answer["metrics"][name] for answer in answers]))
    if "energy" in metrics:
        parts = [answer["metrics"]["energy"] for answer in answers]
        metrics["energy"] = added(parts) | {"images": sum(part["images"] for part in parts)}
    return metrics


def _measure_alone(job: Job, data: Path, limits: Limits, listener: Listener) -> Iterator[Record]:
    """One worker for each task: a training leaves nothing behind that another could start from."""
    for task in job.tasks:
        listener.started(task)
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        began = perf_counter()
        with Worker(job.case, data, limits, weights=job.weights) as worker:
            try:
                worker.open(listener.progress)
                answer = worker.measure(task.kind, listener.progress)
                record = _record(task, answer, [answer["samples"]])
            except WorkerError as error:
                record = _failure(task, error)
        yield dataclasses.replace(
            record,
            started_at=started_at,
            seconds=perf_counter() - began,
            environment=capture(framework(task.case.framework)),
        )


def _failure(task: Task, error: WorkerError | None) -> Record:
    assert error is not None, "what has no answer has a reason"
    # A traceback names folders, and a record is published.
    return Record(task.case, task.kind, error.status, error=without_folders(str(error)))


def _record(task: Task, answer: dict[str, Any], processes: Sequence[Sequence[float]]) -> Record:
    images = answer["images_per_sample"]
    return Record(
        task.case,
        task.kind,
        "ok",
        samples=tuple(answer["samples"]),
        unit=answer["unit"],
        images_per_sample=images,
        summary=summary_of(task.kind, processes, images),
        metrics=answer["metrics"] | _device_memory(answer),
        settings=answer["settings"],
        peak_memory_bytes=answer["peak_memory_bytes"],
    )


def _device_memory(result: dict[str, Any]) -> dict[str, Any]:
    """Its peak, where the framework tells one."""
    held = result.get("device_memory_bytes")
    return {} if held is None else {"device_memory_bytes": held}


def run_all(
    run: Run, jobs: list[Job], listener: Listener, *, done: Keys = NOTHING, parity: bool = True
) -> None:
    """Every job whose records are not there yet, in order; their certificates first."""
    remaining = [
        dataclasses.replace(job, tasks=tasks)
        for job in jobs
        if (tasks := tuple(task for task in job.tasks if task.key not in done))
    ]
    run.frameworks = tuple(dict.fromkeys(job.case.framework for job in jobs))
    if parity:
        run.certify((job.case for job in remaining), listener)
    for match in matches(remaining):
        for _ in run.execute(match, listener):
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
