"""CPUs of a node that one group has for itself.

Ray counts CPUs and binds nothing to them. A group takes a lock for every CPU it measures on, so
that two groups on one machine, also of two clusters, never share one. The kernel releases the locks
of a process that dies.
"""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.core.errors import UserError
from bench.core.system.resources import usable_cpus

_WAIT_SECONDS = 0.2


@contextmanager
def own_cores(count: int, wait_seconds: float = math.inf) -> Iterator[list[int]]:
    """Bind this process, and the workers it starts, to ``count`` CPUs that no other group has.

    Args:
        count: How many.
        wait_seconds: How long to wait for those that others have, who may train for hours.

    Raises:
        UserError: This node has not so many, or they do not become free.
    """
    before = os.sched_getaffinity(0)
    cpus = usable_cpus()
    if count > len(cpus):
        raise UserError(f"{count} CPUs were asked for, and {len(cpus)} can be used on this node")
    ends = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        while len(taken := _take(stack, cpus, count)) < count:
            stack.close()  # none is held while others wait for it
            if time.monotonic() > ends:
                raise UserError(f"{count} CPUs did not become free in {wait_seconds:g} s")
            time.sleep(_WAIT_SECONDS)
        os.sched_setaffinity(0, taken)
        try:
            yield taken
        finally:
            os.sched_setaffinity(0, before)


def _take(stack: ExitStack, cpus: list[int], count: int) -> list[int]:
    """Those of the CPUs whose locks are free, ``count`` at the most."""
    taken: list[int] = []
    for cpu in cpus:
        if len(taken) == count:
            break
        path = Path(tempfile.gettempdir()) / f"alexbench-cpu-{os.getuid()}-{cpu}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        stack.callback(os.close, descriptor)
        taken.append(cpu)
    return taken
