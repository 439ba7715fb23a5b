"""One run of thousands of tiny cases: what it leaves of processes, descriptors, folders and memory.

Of the run's own process descriptors, children, temporary folders and memory are read while it
measures, and none of them may grow with the number of cases; at its end nothing may be left.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.records import FILE
from tests.reliability.support import Figures, Place, Started, main, place

FRAMEWORKS = ("fake", "fake-two")
WARM = 0.1
"""Share of the cases after which growth is counted: what a process needs is there by then."""
GROWTH = 8 << 20
"""Bytes by which the run's process may grow over all further cases."""
HANGS_SECONDS = 3600
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Reading:
    """The run's process at one moment."""

    cases: int
    descriptors: int
    children: int
    folders: int
    memory: int


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """One run, read while it measures."""
    with place() as plain:
        here = replace(plain, workers=given.fresh)
        seeds = -(-given.cases // len(FRAMEWORKS))
        names = ",".join(FRAMEWORKS)
        what = ("--frameworks", names, "--kinds", "accuracy", "--tracks", "closed", "--no-parity")
        process = here.start(
            here.command(
                "--profile", "tiny", *what, "--seeds", str(seeds), "--run", "many",
                "--data", str(here.data),
            )
        )  # fmt: skip
        readings, peak = _watch(here, process, seeds * len(FRAMEWORKS))
        code, _, err = here.finish(process)
        records = here.records("many")
        _judge(here, given, figures, readings, code, err, len(records))
        figures.tried = seeds * len(FRAMEWORKS)
        figures.survived = sum(record.ok for record in records)
        figures.lost = figures.tried - figures.survived
        figures.notes["MiB of the run's process at most, its report included"] = peak >> 20


def _watch(here: Place, process: Started, wanted: int) -> tuple[list[Reading], int]:
    """Readings until all cases have their record, and the peak of memory until the end."""
    readings: list[Reading] = []
    path = here.results / "many" / FILE
    peak, ends = 0, time.monotonic() + HANGS_SECONDS
    cases, read = 0, 0
    while process.poll() is None and time.monotonic() < ends:
        time.sleep(_POLL_SECONDS)
        if path.exists() and path.stat().st_size > read:
            with path.open("rb") as file:
                file.seek(read)
                new = file.read()
            cases, read = cases + new.count(b"\n"), read + len(new)
        memory = memory_of(process.pid, "VmRSS") or 0
        peak = max(peak, memory_of(process.pid, "VmHWM") or 0)
        if not memory or cases >= wanted:
            continue
        if not readings or cases > readings[-1].cases:
            found = Reading(
                cases, _descriptors(process.pid), _children(process.pid),
                len(here.temporaries()), memory,
            )  # fmt: skip
            readings.append(found)
            if cases // 200 > (readings[-2].cases if len(readings) > 1 else 0) // 200:
                print(f"  {found}", flush=True)
    return readings, peak


def _judge(
    here: Place,
    given: argparse.Namespace,
    figures: Figures,
    readings: list[Reading],
    code: int,
    err: str,
    records: int,
) -> None:
    later = [reading for reading in readings if reading.cases >= WARM * given.cases]
    if code or not later:
        figures.faults.append(f"exit {code} with {records} records: {err[-300:]}")
        return
    first = later[0]
    # A reading may fall between the start of a worker and its end.
    limits = {"descriptors": 16, "children": 4, "folders": 4, "memory": GROWTH}
    for name, limit in limits.items():
        grown = max(getattr(reading, name) for reading in later) - getattr(first, name)
        if grown > limit:
            figures.faults.append(f"{name} grew by {grown} over {records - first.cases} cases")
    growth = max(reading.memory for reading in later) - first.memory
    figures.notes["kiB of growth of the run's process"] = growth >> 10
    figures.notes["descriptors of the run's process at most"] = max(r.descriptors for r in later)
    left = here.left()
    folders = here.temporaries()
    if left or folders:
        figures.faults.append(f"{left or 'no process left'}; temporary folders {folders[:3]}")
    figures.notes["temporary folders left"] = len(folders)
    figures.notes["processes left"] = 0 if left is None else int(left.split()[0])
    figures.notes["fresh workers among the cases"] = (
        given.cases // given.fresh if given.fresh else 0
    )


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _children(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return 0
    return len(text.split())


def memory_of(pid: int, name: str) -> int | None:
    """A size in bytes from ``/proc/<pid>/status``."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return None


if __name__ == "__main__":
    main(run, cases=2000, fresh=10)
