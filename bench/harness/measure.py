"""Jobs to records: have workers measure, and say in a record what came back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import numpy as np

from bench.core.environment import capture
from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.records import Record
from bench.core.samples import Timed
from bench.core.text import headline, without_folders
from bench.harness.interleave import InterleavedRun, TaskResults
from bench.harness.listener import Listener
from bench.harness.matrix import Job, Task
from bench.harness.stopping import stopping_reason
from bench.stats.estimates import summary_of
from bench.training.frameworks import framework
from bench.worker.client import Worker, WorkerError
from bench.worker.energy import added


def measure(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener
) -> Iterator[Record]:
    """The records of jobs that are measured together (`bench.harness.matrix.matches`)."""
    if kind(jobs[0].tasks[0].kind).timed:
        return _measure_interleaved(jobs, data, limits, listener)
    return (record for job in jobs for record in _measure_alone(job, data, limits, listener))


def _measure_interleaved(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener
) -> Iterator[Record]:
    """Relay after relay, until it is enough; then every record."""
    match = InterleavedRun(jobs, data, limits, listener.started, listener.progress)
    process_seconds: list[float] = []
    enough = None
    while enough is None:
        began = perf_counter()
        match.run_process(len(process_seconds))
        process_seconds.append(perf_counter() - began)
        enough = stopping_reason(match.all_results, limits, process_seconds)
    name = uuid4().hex[:12]  # joins the records of a match, whatever run they are read from
    for task_results in match.all_results:
        turns = {
            "group": name,
            "blocks": task_results.blocks,
            "stopped": enough,
            "precision_goal": limits.precision,
            "group_seconds": limits.group_seconds,
        }
        yield _timed_record(task_results, turns)


def _timed_record(task_results: TaskResults, turns: dict[str, Any]) -> Record:
    if not task_results.begun:
        record = _failure(task_results.task, task_results.error)
    else:
        # What once per case is measured, the first process has.
        first, *_ = task_results.answers
        blocks, answer = task_results.blocks, {**first, "samples": task_results.samples}
        if task_results.error:
            turns = {**turns, "lost": without_folders(headline(str(task_results.error)))}
        peaks = [a["peak_memory_bytes"] for a in task_results.answers if a["peak_memory_bytes"]]
        answer["peak_memory_bytes"] = max(peaks, default=None)
        answer["metrics"] = {**_typical(task_results.answers), "interleaving": turns}
        images = answer["images_per_sample"] or 1
        record = record_of(
            task_results.task, answer, Timed(task_results.samples, blocks, images).by_process()
        )
    return dataclasses.replace(
        record,
        started_at=task_results.started_at,
        seconds=task_results.seconds,
        environment=capture(framework(task_results.task.case.framework).versions()),
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
                record = record_of(task, answer, [answer["samples"]])
            except WorkerError as error:
                record = _failure(task, error)
        yield dataclasses.replace(
            record,
            started_at=started_at,
            seconds=perf_counter() - began,
            environment=capture(framework(task.case.framework).versions()),
        )


def _failure(task: Task, error: WorkerError | None) -> Record:
    assert error is not None, "what has no answer has a reason"
    # A traceback names folders, and a record is published.
    return Record(task.case, task.kind, error.status, error=without_folders(str(error)))


def record_of(task: Task, answer: dict[str, Any], processes: Sequence[Sequence[float]]) -> Record:
    """What a worker answered, with its samples by process, as a record."""
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
