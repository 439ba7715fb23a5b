"""What the operating system says of a process. Linux; None or no effect elsewhere."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def peak_memory_bytes() -> int | None:
    """Highest resident memory of this process since it was started.

    From VmHWM: ``ru_maxrss`` would count the parent's memory too, which a forked child inherits.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def thread_affinities() -> list[list[int]]:
    """The sets of CPUs that threads of this process are bound to, each once, in order.

    One set, that of the process, unless something has bound threads: a framework, or OpenMP by a
    variable of the environment.
    """
    try:
        threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    except OSError:
        return [sorted(os.sched_getaffinity(0))]
    found = set()
    for thread in threads:
        try:
            found.add(tuple(sorted(os.sched_getaffinity(thread))))
        except ProcessLookupError:
            pass  # it has ended meanwhile
    return sorted(map(list, found))


def oom_kills() -> int:
    """How often the kernel has killed a process for memory since it was booted."""
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    counts = dict(line.split() for line in text.splitlines())
    return int(counts.get("oom_kill", 0))
