"""Jobs to records: workers measure, and their checked results become records."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from bench.core import signals
from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.records import Record
from bench.core.samples import Timed
from bench.core.system.devices import accelerated
from bench.core.system.environment import capture
from bench.core.system.machine import machine_metrics
from bench.core.text import headline, without_folders
from bench.harness import batch_sizes
from bench.harness.batch_sizes import Fits
from bench.harness.interleaving.interleave import InterleavedRun, TaskResults, group_limit
from bench.harness.interleaving.pooling import pooled
from bench.harness.interleaving.stopping import stopping_reason
from bench.harness.listener import Listener
from bench.harness.matrix import Job, Task
from bench.harness.observer import MACHINE_STATE, Observer
from bench.harness.results import checked, checked_states
from bench.harness.resumption.checkpoints import RunFiles
from bench.harness.resumption.rounds import Conclusion, Rounds
from bench.stats.summaries import summary_of
from bench.training.frameworks import framework
from bench.worker.client import Worker, WorkerError

Keys = Set[tuple[str, str]]
"""(case id, kind) of records that are there already."""
NOTHING: Keys = frozenset()


def measure(
    jobs: Sequence[Job],
    data: Path,
    limits: Limits,
    listener: Listener,
    files: RunFiles | None = None,
    done: Keys = NOTHING,
) -> Generator[Record, None, None]:
    """The records of jobs that are measured together (`bench.harness.interleaving.grouping`).

    Who stops before the last one closes it: signals are held back between records of one group.

    Args:
        jobs: The whole group, those of its tasks among them that have a record.
        data: Folder of prepared data.
        limits: How long is measured.
        listener: Called with all that happens.
        files: What a stopped run has left, to go on from.
        done: (case id, kind) of the tasks that have a record.
    """
    rest = without(jobs, done)
    if not rest:
        return
    if not kind(jobs[0].tasks[0].kind).timed:
        for job in rest:
            yield from _measure_alone(job, data, limits, listener, files)
    elif files and rest != list(jobs) and (ended := _ended_before(jobs, listener, files, done)):
        yield from ended.records(data, limits, listener, done)
    else:
        yield from _measure_interleaved(rest, data, limits, listener, files)


def without(jobs: Sequence[Job], done: Keys) -> list[Job]:
    """The jobs with those tasks alone that have no record; none without a task."""
    found = []
    for job in jobs:
        tasks = tuple(task for task in job.tasks if task.key not in done)
        if tasks:
            found.append(job if tasks == job.tasks else dataclasses.replace(job, tasks=tasks))
    return found


@dataclass(frozen=True)
class _Ended:
    """A group whose rounds are done.

    Attributes:
        jobs: All of the group.
        results: Of each of its tasks.
        conclusion: Why it has ended.
        limits: Under which it was measured, as its records have them.
    """

    jobs: Sequence[Job]
    results: Sequence[TaskResults]
    conclusion: Conclusion
    limits: Limits

    def records(
        self, data: Path, limits: Limits, listener: Listener, done: Keys = NOTHING
    ) -> Iterator[Record]:
        """Its records that are not there yet.

        They are complete together, and pairs only together: a signal does not come between them.
        What did not fit on an accelerator comes after them: measured alone, or with the batch that
        fits.
        """
        without_room: list[tuple[TaskResults, Record]] = []
        with signals.held():
            for results, record in zip(self.results, self._made(), strict=True):
                if record.key in done:
                    continue
                if record.status == "oom" and accelerated(record.case.device):
                    without_room.append((results, record))
                else:
                    yield record
        fits = batch_sizes.tried(data, limits)
        for results, record in without_room:
            job = next(job for job in self.jobs if results.task in job.tasks)
            if len(self.jobs) > 1:
                only = dataclasses.replace(job, tasks=(results.task,))
                alone = _measure_interleaved([only], data, limits, listener, None)
                yield from map(_sequential, alone)
            else:
                yield _with_advice(record, job, fits)

    def _made(self) -> Iterator[Record]:
        within = self.conclusion.group_seconds
        if within is None:  # rounds of a version that did not keep it
            within = group_limit(self.results, self.limits)
        for results in self.results:
            interleaving = {
                "group": self.conclusion.group,
                "blocks": results.blocks,
                "stopped": self.conclusion.stopped,
                "precision_goal": self.limits.precision,
                "group_seconds": within,
            }
            yield _with_machine(_timed_record(results, interleaving), self.conclusion.machine)


def _ended_before(
    jobs: Sequence[Job], listener: Listener, files: RunFiles, done: Keys
) -> _Ended | None:
    """A group that lacks records because its run was killed between two of them.

    None where its rounds are not all there, or not of these conditions: what is left is then
    measured as a group of its own.
    """
    all_results = [TaskResults(task) for job in jobs for task in job.tasks]
    rounds = files.group([results.task for results in all_results])
    seconds, note = rounds.take(all_results)
    if note and (rounds.conclusion or not seconds):  # else they are of a group that is no more
        listener.note(f"{jobs[0].case.variant}: {note}")
    if rounds.conclusion is None:
        return None
    for results in all_results:
        if results.task.key not in done:
            listener.started(results.task)
    return _Ended(jobs, all_results, rounds.conclusion, files.limits)


def _measure_interleaved(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener, files: RunFiles | None
) -> Iterator[Record]:
    """Fresh processes of all jobs until the stopping criterion is met; then every record."""
    observer = Observer()
    interleaved = InterleavedRun(jobs, data, limits, listener.started, listener.progress)
    all_results = interleaved.all_results
    tasks = [task_results.task for task_results in all_results]
    rounds = files.group(tasks) if files else Rounds(None, {})
    seconds, note = rounds.take(all_results)
    if note:
        listener.note(f"{jobs[0].case.variant}: {note}")
    earlier = len(seconds)
    conclusion = rounds.conclusion
    stopped = stopping_reason(all_results, limits, seconds) if seconds else None
    while conclusion is None:
        if stopped is None:
            began = perf_counter()
            interleaved.run_process(len(seconds), sum(seconds))
            seconds.append(perf_counter() - began)
            stopped = stopping_reason(all_results, limits, seconds)
        if stopped is not None:
            # Rounds of a stopped run were not observed here; their blocks have their own states.
            machine = {} if earlier else observer.state()
            within = group_limit(all_results, limits)
            conclusion = Conclusion(uuid4().hex[:12], stopped, machine, within)
        rounds.keep(all_results, seconds, conclusion)
    yield from _Ended(jobs, all_results, conclusion, limits).records(data, limits, listener)
    rounds.remove()


def _sequential(record: Record) -> Record:
    """The record of a framework that was measured alone, since all do not fit on the device."""
    interleaving = record.metrics.get("interleaving")
    if interleaving is None:
        return record
    why = "out of memory next to the other frameworks of its group: measured alone"
    metrics = {**record.metrics, "interleaving": {**interleaving, "sequential": why}}
    return dataclasses.replace(record, metrics=metrics)


def _with_advice(record: Record, job: Job, fits: Fits) -> Record:
    """An out-of-memory row with the batch that would fit; no other worker may be alive."""
    words = batch_sizes.advice(job, fits) if record.status == "oom" else ""
    return dataclasses.replace(record, error=f"{record.error}; {words}") if words else record


def _with_machine(record: Record, state: dict[str, Any]) -> Record:
    """The record with its machine and software, and the machine's state while it was measured."""
    environment = capture(framework(record.case.framework).versions(), record.case.device)
    return dataclasses.replace(record, environment={**environment, MACHINE_STATE: state})


def _timed_record(task_results: TaskResults, interleaving: dict[str, Any]) -> Record:
    if not task_results.begun:
        record = _failure(task_results.task, task_results.error)
    else:
        # The first process has what is measured once per case.
        first, *_ = task_results.answers
        blocks, answer = task_results.blocks, {**first, "samples": task_results.samples}
        if task_results.error:
            lost = without_folders(headline(str(task_results.error)))
            interleaving = {**interleaving, "lost": lost}
        peaks = [a["peak_memory_bytes"] for a in task_results.answers if a["peak_memory_bytes"]]
        answer["peak_memory_bytes"] = max(peaks, default=None)
        metrics = pooled([a["metrics"] | _device_memory(a) for a in task_results.answers])
        machine = machine_metrics(task_results.states, task_results.repeated)
        answer["metrics"] = {**metrics, **machine, "interleaving": interleaving}
        answer["device_memory_bytes"] = None  # among the metrics already
        images = answer["images_per_sample"] or 1
        record = record_of(
            task_results.task, answer, Timed(task_results.samples, blocks, images).by_process()
        )
    return dataclasses.replace(
        record,
        started_at=task_results.started_at,
        seconds=task_results.seconds,
    )


def _measure_alone(
    job: Job, data: Path, limits: Limits, listener: Listener, files: RunFiles | None
) -> Iterator[Record]:
    """One fresh worker for each task, so that a training starts from nothing of another."""
    for task in job.tasks:
        listener.started(task)
        kept, note = files.training(task.case) if files else (None, None)
        if note:
            listener.note(note)
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        began, observer = perf_counter(), Observer()
        with Worker(job.case, data, limits, weights=job.weights) as worker:
            try:
                worker.open(listener.progress)
                answer = checked(worker.measure(task.kind, listener.progress, kept), task.kind)
                answer["metrics"] |= machine_metrics(checked_states(answer))
                record = record_of(task, answer, [answer["samples"]])
            except WorkerError as error:
                record = _failure(task, error)
        record = _with_advice(record, job, batch_sizes.tried(data, limits))
        record = dataclasses.replace(
            record,
            started_at=kept.started_at if kept else started_at,
            seconds=perf_counter() - began + (kept.seconds if kept else 0.0),
        )
        resumed = kept is not None and kept.resume is not None  # its first part was not observed
        yield _with_machine(record, {} if resumed else observer.state())


def _failure(task: Task, error: WorkerError | None) -> Record:
    assert error is not None, "a task without a result has an error"
    # A traceback names folders, and a record is published.
    return Record(task.case, task.kind, error.status, error=without_folders(str(error)))


def record_of(task: Task, answer: dict[str, Any], processes: Sequence[Sequence[float]]) -> Record:
    """The record of a worker's result.

    Args:
        task: What was measured.
        answer: The result as the worker reported it.
        processes: Its samples, by process.
    """
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
    """Its peak, where the framework reports one."""
    held = result.get("device_memory_bytes")
    return {} if held is None else {"device_memory_bytes": held}
