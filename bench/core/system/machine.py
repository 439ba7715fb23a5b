"""The state of the machine during a block: who else used the CPUs that were measured on.

Readings are taken before and after the timed seconds, never in them, and cost some 0.05 ms. What
a system does not show is None, and nothing that is unknown makes a block disturbed.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench.core.system import resources
from bench.core.system.resources import throttle_files, throttled_seconds

OTHERS = 0.10
"""Share of the CPUs that others may use during a block. A step that is spread over N threads waits
for the slowest of them, so others slow it by their share or by more: at 10 % by as much as the
margin of a tie. An idle machine stays below 2 %."""
STEAL = 0.02
"""The same of the time that a hypervisor takes away, which no scheduler here can move elsewhere:
all threads of a step wait for the one that lost its CPU."""
THROTTLED = 0.02
"""The same of the time that the quota of a control group holds the process back: then all of its
threads stand still until the next period of 100 ms."""
TOLERATED = 0.2
"""Share of a measurement's blocks that may be disturbed, also when measured again. The median of
the others is then still one of the undisturbed; with more there is no verdict."""

_TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds in which Linux counts the time of each CPU. A share of a short block is not known better
than this, and a block is disturbed only where it is known to be."""


@dataclass(frozen=True)
class BlockState:
    """The machine during one block.

    Attributes:
        seconds: Wall time of the block.
        cpu_seconds: CPU time of the measuring process in it, all threads together.
        threads: CPUs that it may use, as many as its threads.
        others: Share of the time of these CPUs that other processes used. The harness's own
            process does not count, nor do workers that are paused.
        steal: Share that a hypervisor gave to other machines.
        throttled: Share that the control group's quota took.
        load: Load average of the last minute.
    """

    seconds: float
    cpu_seconds: float
    threads: int
    others: float | None = None
    steal: float | None = None
    throttled: float | None = None
    load: float | None = None

    @property
    def excess(self) -> float:
        """The largest share over what is tolerated of it: above 1 is disturbed."""
        unsure = _TICK / self.seconds  # throttling is counted in microseconds
        counted = (
            (self.others, unsure, OTHERS),
            (self.steal, unsure, STEAL),
            (self.throttled, 0.0, THROTTLED),
        )
        return max(((share or 0.0) - less) / limit for share, less, limit in counted)

    @property
    def disturbed(self) -> bool:
        """Whether others used more of the CPUs than is tolerated."""
        return self.excess > 1

    def to_json(self) -> dict[str, Any]:
        """All fields, as a worker sends them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> BlockState:
        """The state that `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        names = (*COLUMNS, "threads")
        if not isinstance(value, Mapping) or value.keys() != set(names):
            raise ValueError(f"no state of the machine: {str(value)[:60]!r}")
        if not all(_is_share(value[name], optional=name in _UNKNOWABLE) for name in names):
            raise ValueError(f"a state of the machine with a wrong number: {str(value)[:200]!r}")
        if not value["seconds"] > 0:
            raise ValueError("a state of the machine without seconds")
        return cls(**value)


_UNKNOWABLE = ("others", "steal", "throttled", "load")
COLUMNS = ("seconds", "cpu_seconds", *_UNKNOWABLE)


def _is_share(value: Any, *, optional: bool) -> bool:
    if value is None:
        return optional
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class _Reading:
    """Seconds counted so far; None where they are not shown."""

    clock: float
    own: float
    family: float
    busy: float | None
    steal: float | None
    throttled: float | None


class Monitor:
    """Reads the machine before and after each block.

    >>> monitor = Monitor(cpus)
    >>> work()
    >>> state = monitor.end()
    """

    def __init__(self, cpus: Sequence[int], harness: int | None = None) -> None:
        """Begin a block.

        Args:
            cpus: The CPUs that the measurement uses.
            harness: Id of the process that waits for this one, and is no other process.
        """
        self._cpus = [f"cpu{cpu}" for cpu in cpus]
        self._stat = resources.ROOT / "proc/stat"
        self._shown = not _is_of_a_container(resources.ROOT / "proc/self/mountinfo")
        self._harness = None if harness is None else resources.ROOT / f"proc/{harness}/stat"
        self._children: list[Path] = []
        self._throttle = throttle_files()
        self._before = self._read()

    def include(self, processes: Iterable[int]) -> None:
        """Count processes as this one: the other ranks of a data-parallel training.

        A block that has begun goes on: they were started in it, and all of their time is our own.
        """
        self._children = [resources.ROOT / f"proc/{pid}/stat" for pid in processes]

    def begin(self) -> None:
        """Begin another block."""
        self._before = self._read()

    def end(self) -> BlockState:
        """The state since the block began."""
        before, after = self._before, self._read()
        seconds = max(after.clock - before.clock, 1e-6)
        capacity = seconds * len(self._cpus)
        others = None
        if before.busy is not None and after.busy is not None:
            used = after.busy - before.busy - (after.family - before.family)
            others = min(max(0.0, used) / capacity, 1.0)
        return BlockState(
            seconds,
            max(0.0, after.own - before.own),
            len(self._cpus),
            others,
            _share(before.steal, after.steal, capacity),
            _share(before.throttled, after.throttled, capacity),
            _load(),
        )

    def _read(self) -> _Reading:
        # The counts of the whole machine first: what the rest of this costs is then our own.
        busy, steal = _counted(self._stat, self._cpus) if self._shown else (None, None)
        own = process_time() + sum(os.times()[2:4])  # with children that have ended
        own += sum(map(_used_by, self._children))
        harness = 0.0 if self._harness is None else _used_by(self._harness)
        throttled = throttled_seconds(self._throttle)
        return _Reading(perf_counter(), own, own + harness, busy, steal, throttled)


def _is_of_a_container(mounts: Path) -> bool:
    """Whether /proc/stat is lxcfs's, which shows what the container itself uses and nothing of the
    rest of the machine; see proc_pid_mountinfo(5)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    found = (line.split(" - ", 1) for line in lines if " /proc/stat " in line)
    return any(source.startswith("fuse.lxcfs") for _, source in found)


def _share(before: float | None, after: float | None, capacity: float) -> float | None:
    return None if before is None or after is None else max(0.0, after - before) / capacity


def _counted(path: Any, cpus: Sequence[str]) -> tuple[float | None, float | None]:
    """Seconds that these CPUs were busy, and that a hypervisor took; see proc_stat(5)."""
    busy = steal = 0
    found = 0
    try:
        with path.open(encoding="ascii") as lines:
            for line in lines:
                name, *counts = line.split()
                if not name.startswith("cpu"):
                    break
                if name in cpus:
                    user, nice, system, _, _, irq, softirq, stolen = map(int, counts[:8])
                    busy += user + nice + system + irq + softirq
                    steal += stolen
                    found += 1
    except (OSError, ValueError):
        return None, None
    return (busy * _TICK, steal * _TICK) if found == len(cpus) else (None, None)


def _used_by(path: Any) -> float:
    """CPU seconds of a process with its threads and its ended children; see proc_pid_stat(5)."""
    try:
        fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * _TICK
    except (OSError, ValueError):
        return 0.0


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def machine_metrics(states: Sequence[BlockState | None], repeated: int = 0) -> dict[str, Any]:
    """The metrics ``machine`` and ``disturbed`` of a record; empty where no block has a state.

    Args:
        states: Of each block, in the order of the record's blocks.
        repeated: Blocks that were measured again; what they had replaced is not among the states.
    """
    known = [state for state in states if state is not None]
    if not known:
        return {}
    columns = {
        name: [None if s is None else _rounded(getattr(s, name)) for s in states]
        for name in COLUMNS
    }
    share = sum(state.disturbed for state in known) / len(known)
    return {
        "machine": {**columns, "threads": known[0].threads, "repeated": repeated},
        "disturbed": share,
    }


def is_disturbed(metrics: Mapping[str, Any]) -> bool:
    """Whether so many blocks of a record were disturbed that its seconds say nothing."""
    return disturbed_share(metrics) > TOLERATED


def disturbed_share(metrics: Mapping[str, Any]) -> float:
    """Share of the blocks of a record that were disturbed; 0 where it is not known."""
    return float(metrics.get("disturbed") or 0.0)
