"""Measurements of no time: the whole path of a case but its worker, for many cases.

The extension `tests.support.plugins.instant_framework` installs it in the command and on every
node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.records import Record
from bench.core.system.environment import capture
from bench.harness.listener import Listener
from bench.harness.matrix import Job, Task
from bench.harness.measure import NOTHING, Keys, without
from bench.harness.resumption.checkpoints import RunFiles
from bench.stats.summaries import summary_of
from bench.training.frameworks import framework


def measure(
    jobs: Sequence[Job],
    data: Path,
    limits: Limits,
    listener: Listener,
    files: RunFiles | None = None,
    done: Keys = NOTHING,
) -> Iterator[Record]:
    """A record for every task, as large as a small measurement's."""
    group = uuid4().hex[:12]
    return (record_of(task, group) for job in without(jobs, done) for task in job.tasks)


def record_of(task: Task, group: str = "") -> Record:
    """A record as a worker's result would give it."""
    row = kind(task.kind)
    samples = [0.5 + 0.001 * task.case.seed % 0.1] if row.trained else [0.010, 0.011, 0.0105]
    images = None if row.trained else task.case.batch_size
    processes = [samples, samples]
    return Record(
        task.case,
        task.kind,
        "ok",
        samples=tuple(samples),
        unit=row.unit,
        images_per_sample=images,
        summary=summary_of(task.kind, processes, images),
        metrics=_trained(samples[0]) if row.trained else _timed(group),
        settings={"threads": 1, "device": "cpu", "cpu_affinity": [0]},
        environment=capture(framework(task.case.framework).versions(), task.case.device),
        started_at="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        peak_memory_bytes=1 << 28,
    )


def _timed(group: str) -> dict[str, Any]:
    blocks = [[0, turn, 1] for turn in range(3)]
    return {
        "steps_per_sample": 1,
        "flops_per_image": 1e6,
        "interleaving": {"group": group, "blocks": blocks, "stopped": "time limit"},
    }


def _trained(accuracy: float) -> dict[str, Any]:
    points = [
        {"epoch": e, "step": 5 * e, "images": 80 * e, "seconds": float(e), "train_loss": 2.0}
        for e in range(1, 5)
    ]
    return {
        "test_accuracy": accuracy,
        "train_seconds": 4.0,
        "train_images": 320,
        "curve": [{**point, "test_accuracy": accuracy} for point in points],
        "classes": ["a", "b"],
        "per_class": {"a": accuracy, "b": accuracy},
    }


def install() -> None:
    """Take the place of the workers in this process."""
    from bench.executors import node  # noqa: PLC0415  # an extension is loaded before them
    from bench.harness import run  # noqa: PLC0415

    for module in (node, run):
        module.measure = measure  # type: ignore[attr-defined]
