"""What this process may use of the machine: CPUs and memory, by affinity and control group.

A container sees the host's cores and memory. Its quota (``cpu.max``) and its limit
(``memory.max``) count instead: threads beyond a quota are throttled, memory beyond a limit is
killed. Versions 1 and 2 of Linux's control groups are read; elsewhere there is no limit.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import UserError
from bench.core.text import many

ROOT = Path("/")
"""Where ``proc`` and ``sys`` are."""

_NO_LIMIT = 1 << 60
"""Bytes. Version 1 writes "no limit" as the largest number of whole pages."""


def usable_cpus() -> list[int]:
    """The CPUs that a measurement uses: those of the affinity, as many as the quota pays for.

    A quota of 1.5 CPUs gives one: two threads would be throttled for a quarter of the time.
    """
    cpus = affinity()
    quota = cpu_quota()
    return cpus if quota is None else cpus[: max(1, math.floor(quota))]


def affinity() -> list[int]:
    """The CPUs that this process may run on; all where the system binds no process (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind(cpus: Iterable[int]) -> None:
    """Bind this process to CPUs; without effect where the system binds no process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


@contextmanager
def bound(cpus: Iterable[int]) -> Iterator[None]:
    """A block in which this thread, and what it starts, is bound to CPUs."""
    before = affinity()
    bind(cpus)
    try:
        yield
    finally:
        bind(before)


def check_measuring() -> None:
    """Raise UserError on a system where processes cannot be bound to CPUs."""
    if not hasattr(os, "sched_setaffinity"):
        raise UserError(
            f"measuring needs Linux, where processes can be bound to CPUs, and this is "
            f"{platform.system()}; predict, embed, explain, convert, report and compare work here"
        )


def use_threads(count: int) -> None:
    """Bind this process, and every worker it starts, to ``count`` of the usable CPUs.

    Raises:
        UserError: There are not so many.
    """
    cpus = usable_cpus()
    if not 1 <= count <= len(cpus):
        raise UserError(
            f"{count} threads: this process may use {many(len(cpus), 'CPU')} "
            f"({_why(len(cpus))}); give 1 to {len(cpus)}"
        )
    bind(cpus[:count])


def _why(count: int) -> str:
    return "its CPU quota" if count < len(affinity()) else "its affinity"


def usable_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or the limit of its group."""
    limit, there = memory_limit(), physical_memory()
    return there if limit is None else min(limit, there)


def physical_memory() -> int:
    """Bytes of memory of the machine, as far as its kernel gives it out."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpu_quota() -> float | None:
    """CPUs' worth of time that the control group may use; None where it is not limited."""
    quotas = [quota for folder in _folders("cpu") if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def _quota(folder: Path) -> float | None:
    words = _words(folder / "cpu.max") or [
        *_words(folder / "cpu.cfs_quota_us"),
        *_words(folder / "cpu.cfs_period_us"),
    ]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    return int(words[0]) / int(words[1])


def memory_limit() -> int | None:
    """Bytes of memory that the control group may use; None where it is not limited."""
    found = []
    for folder in _folders("memory"):
        words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        if words and words[0] != "max" and int(words[0]) < _NO_LIMIT:
            found.append(int(words[0]))
    return min(found, default=None)


def throttle_files() -> list[Path]:
    """The files that count how long the quota has held this process back."""
    return [path for folder in _folders("cpu") if (path := folder / "cpu.stat").exists()]


def throttled_seconds(files: list[Path]) -> float | None:
    """CPU seconds of being held back so far, by `throttle_files`; None where nothing counts it."""
    found = []
    for path in files:
        words = _words(path)
        counts = dict(zip(words[::2], words[1::2], strict=False))
        if "throttled_usec" in counts:
            found.append(int(counts["throttled_usec"]) / 1e6)
        elif "throttled_time" in counts:
            found.append(int(counts["throttled_time"]) / 1e9)
    return sum(found) if found else None


def _folders(controller: str) -> Iterator[Path]:
    """The group of this process and all groups above it, whose limits hold as well."""
    for line in _text(ROOT / "proc/self/cgroup").splitlines():
        number, names, path = line.split(":", 2)
        if number == "0":
            yield from _upwards(ROOT / "sys/fs/cgroup", path)
        elif controller in names.split(","):
            yield from _upwards(ROOT / "sys/fs/cgroup" / controller, path)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A container may see its path on the host, which is not there; its own mount always is."""
    folder = mount / path.strip("/")
    while True:
        if folder.is_dir():
            yield folder
        if folder == mount:
            return
        folder = folder.parent


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
