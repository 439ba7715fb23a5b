"""Jobs to records: workers measure, and their checked results become records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

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
from bench.harness.interleave import InterleavedRun, TaskResults, group_seconds
from bench.harness.listener import Listener
from bench.harness.matrix import Job, Task
from bench.harness.observer import MACHINE_STATE, Observer
from bench.harness.pooling import pooled
from bench.harness.results import checked, checked_states
from bench.harness.resumption.checkpoints import RunFiles
from bench.harness.resumption.rounds import Rounds
from bench.harness.stopping import stopping_reason
from bench.harness.summaries import summary_of
from bench.training.frameworks import framework
from bench.worker.client import Worker, WorkerError


def measure(
    jobs: Sequence[Job],
    data: Path,
    limits: Limits,
    listener: Listener,
    files: RunFiles | None = None,
) -> Iterator[Record]:
    """The records of jobs that are measured together (`bench.harness.grouping.groups`).

    With ``files`` they go on from what a stopped run has left.
    """
    if kind(jobs[0].tasks[0].kind).timed:
        return _measure_interleaved(jobs, data, limits, listener, files)
    return (record for job in jobs for record in _measure_alone(job, data, limits, listener, files))


def _measure_interleaved(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener, files: RunFiles | None
) -> Iterator[Record]:
    """Fresh processes of all jobs until the stopping criterion is met; then every record."""
    observer = Observer()
    interleaved = InterleavedRun(jobs, data, limits, listener.started, listener.progress)
    tasks = [task_results.task for task_results in interleaved.all_results]
    rounds = files.group(tasks) if files else Rounds(None, {})
    process_seconds, note = rounds.take(interleaved.all_results)
    if note:
        listener.note(f"{jobs[0].case.variant}: {note}")
    fits = batch_sizes.tried(data, limits)
    earlier = len(process_seconds)
    stopped = (
        stopping_reason(interleaved.all_results, limits, process_seconds)
        if process_seconds
        else None
    )
    while stopped is None:
        began = perf_counter()
        interleaved.run_process(len(process_seconds), sum(process_seconds))
        process_seconds.append(perf_counter() - began)
        rounds.keep(interleaved.all_results, process_seconds)
        stopped = stopping_reason(interleaved.all_results, limits, process_seconds)
    # Where all rounds are those of a stopped run, there is nothing here that was observed.
    machine = observer.state() if len(process_seconds) > earlier else {}
    name = uuid4().hex[:12]  # joins the records of one group
    for task_results in interleaved.all_results:
        interleaving = {
            "group": name,
            "blocks": task_results.blocks,
            "stopped": stopped,
            "precision_goal": limits.precision,
            "group_seconds": group_seconds(interleaved.all_results, limits),
        }
        record = _timed_record(task_results, interleaving)
        job = next(job for job in jobs if task_results.task in job.tasks)
        if record.status == "oom" and len(jobs) > 1 and accelerated(job.case.device):
            only = dataclasses.replace(job, tasks=(task_results.task,))
            yield from map(_sequential, _measure_interleaved([only], data, limits, listener, None))
            continue
        yield _with_machine(_with_advice(record, job, fits), machine)
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
                answer = checked(worker.measure(task.kind, listener.progress, kept))
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
        yield _with_machine(record, observer.state())


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
