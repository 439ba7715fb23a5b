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
from bench.core.limits import Limits
from bench.core.records import Record
from bench.core.samples import Timed
from bench.core.text import headline, without_folders
from bench.harness.interleave import Match, Tally
from bench.harness.listener import Listener
from bench.harness.matrix import TIMED, Job, Task
from bench.harness.stopping import why_enough
from bench.stats.estimates import summary_of
from bench.training.frameworks import framework
from bench.worker.client import Worker, WorkerError
from bench.worker.energy import added


def measure(
    jobs: Sequence[Job], data: Path, limits: Limits, listener: Listener
) -> Iterator[Record]:
    """The records of jobs that are measured together (`bench.harness.matrix.matches`)."""
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
        record = record_of(tally.task, answer, Timed(tally.samples, blocks, images).by_process())
    return dataclasses.replace(
        record,
        started_at=tally.started_at,
        seconds=tally.seconds,
        environment=capture(framework(tally.task.case.framework).versions()),
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
