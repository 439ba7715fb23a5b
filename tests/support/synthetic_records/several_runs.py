"""Synthetic runs of one case over several days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.analysis.runs import Run
from bench.core.records import Record
from bench.core.samples import by_process
from bench.stats.summaries import summary_of
from tests.support.synthetic_records.synthetic import make_record


def a_run(name: str, *records: Record) -> Run:
    """A run whose records began at a time of its own: no two are copies of one measurement."""
    second = f":05.{sum(map(ord, name)):06}+"
    own = (replace(r, run=name, started_at=r.started_at.replace(":05+", second)) for r in records)
    return Run(name, tuple(own), Path(name))


def timed(seconds: float, day: int = 1, processes: int = 2, **changed: Any) -> Record:
    """Ten blocks of training around so many seconds, on a day of January."""
    changed = {"kind": "train_throughput", **changed}
    samples = tuple(seconds * (1 + 0.01 * ((7 * i) % 10 - 4.5) / 4.5) for i in range(10))
    record = make_record(samples=samples, started_at=f"2025-01-{day:02}T03:04:05+00:00", **changed)
    blocks = [[process, turn, 1] for process in range(processes) for turn in range(10 // processes)]
    group = {"group": f"day {day}", "blocks": blocks}
    record = replace(record, metrics={**record.metrics, "interleaving": group})
    summary = summary_of(record.kind, by_process(record), record.images_per_sample)
    return replace(record, summary=summary)


def over_days(seconds: Sequence[float], **changed: Any) -> list[Run]:
    return [
        a_run(f"run-{day}", timed(value, day, **changed)) for day, value in enumerate(seconds, 1)
    ]
