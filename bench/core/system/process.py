"""Facts about processes from the operating system, and their end with their parent. Linux; None or
no effect elsewhere."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.core.system.resources import affinity

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_START_FIELD = 19
"""Of /proc/<pid>/stat after the name: start of the process in ticks since the boot (``man proc``,
field 22)."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however the parent dies.

    Args:
        parent: Its process id; where it has died before this call, the process ends now.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def keep_niceness() -> None:
    """Have ``nice`` count in a session of its own.

    Linux schedules every session as a group (autogroup) and starts its group at nice 0: a worker
    of ``nice -n 19 alexbench run`` would take as much of the CPUs as any other program.
    """
    niceness = os.nice(0)
    if niceness > 0:
        with suppress(OSError):  # a kernel without these groups
            Path("/proc/self/autogroup").write_text(str(niceness))


def die_with_pipe(descriptor: int) -> None:
    """End this process and its children when nothing can be written to a pipe any more.

    A thread sleeps until then: the main thread may be in a computation of hours, and reads the
    pipe only after it.

    Args:
        descriptor: Of the pipe's end that this process reads.
    """
    threading.Thread(target=_await_end, args=(descriptor,), daemon=True).start()


def _await_end(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, 0)  # of no other event than the hang-up, which always comes
    poller.poll()
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def identity() -> str:
    """A name of this process that no other has: id, start, and the namespace of the id."""
    return _identity(os.getpid())


@functools.cache
def _identity(pid: int) -> str:
    return f"{pid}-{_started(pid) or 0}-{_namespace()}"


def lives(identity: str) -> bool:
    """Whether the process with this `identity` runs; True where that cannot be known."""
    pid, started, namespace = map(int, identity.split("-"))
    if namespace != _namespace():  # of another container that shares the folder
        return True
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> int | None:
    """Start of a process in ticks since the boot; None where it is dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[_START_FIELD - 1])


@functools.cache
def _namespace() -> int:
    """A number of this machine and its namespace of processes: the first namespace has the same
    number on every machine, and machines share folders."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
    machine = os.uname().nodename
    with suppress(OSError):
        machine += Path("/etc/machine-id").read_text(encoding="utf-8", errors="replace")
    digest = hashlib.sha256(f"{namespace} {machine}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def peak_memory_bytes(others: Iterable[int] = ()) -> int | None:
    """Highest resident memory of this process since it was started, and of others added to it.

    From VmHWM: ``ru_maxrss`` would count the parent's memory too, which a forked child inherits.

    Args:
        others: Their ids; the peaks of all need not have been at one time.
    """
    found = [_peak_of(str(pid)) for pid in ("self", *others)]
    return sum(filter(None, found)) or None


def _peak_of(process: str) -> int | None:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
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
        return [affinity()]
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
