"""Reading of untrusted files in a child process with limits on memory and time.

For readers in C that a damaged file may crash. The child is forked, so that it has its imports, and
dies with its parent. What it returns is JSON; arrays are left in a folder.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import resource
import select
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from bench.core import signals
from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.core.system.process import die_with_parent

MEMORY = 8 << 30
"""Bytes of addresses that the child may take on top of its parent's: four times the largest file of
weights that is read."""
SECONDS = 600.0
"""After which the child is killed."""
_POLL_SECONDS = 0.2


class TooLargeError(ValueError):
    """What is read takes more memory than it may have."""


@contextmanager
def confined(
    work: Callable[[Path], Any], seconds: float = SECONDS, cpu_seconds: float | None = None
) -> Iterator[tuple[Path, Any]]:
    """A folder, and what ``work`` has returned in a child process after writing into it.

    Args:
        work: Called with the folder; returns a JSON value.
        seconds: Limit on the time that it takes.
        cpu_seconds: Limit on the CPU time that it takes, whatever else the machine does; None: the
            same.

    Raises:
        UserError: As ``work`` raised it.
        TooLargeError: ``work`` had not the memory that it needs.
        ValueError: ``work`` raised another error, crashed, or exceeded a limit; one line says what.
        OSError: There can be no folder or process.
    """
    with temporary_directory() as name:
        folder = Path(name)
        cpu_seconds = seconds if cpu_seconds is None else cpu_seconds
        yield folder, _returned(lambda: work(folder), seconds, cpu_seconds)


def _returned(work: Callable[[], Any], seconds: float, cpu_seconds: float) -> Any:
    reading, writing = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        # Of threads, from Python 3.12 on and by JAX in a user's own script; the child runs code of
        # this one alone and never JAX.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        child = os.fork()
    if child == 0:
        _run(work, writing, parent, cpu_seconds)
    os.close(writing)
    try:
        content = _read(reading, monotonic() + seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # it has ended, or has to
        _, status, used = os.wait4(child, 0)
    if content is None:
        raise ValueError(f"reading it takes more than {seconds:g} s")
    if not content and used.ru_utime + used.ru_stime >= cpu_seconds:
        raise ValueError(f"reading it takes more than {cpu_seconds:g} s of CPU time")
    if not content:
        code = os.waitstatus_to_exitcode(status)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise ValueError(f"the process that read it ended with {how}")
    kind, value = json.loads(content)
    if kind == "refused":
        raise UserError(value)
    if kind == "large":
        raise TooLargeError(value)
    if kind == "failed":
        raise ValueError(value)
    return value


def _read(descriptor: int, ends: float) -> bytes | None:
    """All that the child writes; None where it takes too long."""
    content = bytearray()
    while True:
        signals.check()
        left = ends - monotonic()
        if left <= 0:
            return None
        ready, _, _ = select.select([descriptor], [], [], min(left, _POLL_SECONDS))
        if ready:
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                return bytes(content)
            content += chunk


def _run(work: Callable[[], Any], descriptor: int, parent: int, cpu_seconds: float) -> None:
    """Be the child: write what the work returns, or why it fails, and end."""
    try:
        faulthandler.disable()  # a crash is an answer here
        die_with_parent(parent)
        _limit(cpu_seconds)
        try:
            answer = ["returned", work()]
            content = json.dumps(answer)
        except UserError as error:
            content = json.dumps(["refused", str(error)])
        except MemoryError:
            content = json.dumps(["large", "MemoryError"])
        except Exception as error:  # damaged files raise nearly every type there is
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            content = json.dumps(["failed", reason])
        with os.fdopen(descriptor, "wb") as pipe:
            pipe.write(content.encode())
        os._exit(0)
    except BaseException:
        os._exit(1)


def _limit(cpu_seconds: float) -> None:
    try:
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return
    wanted = {
        resource.RLIMIT_AS: taken * resource.getpagesize() + MEMORY,
        resource.RLIMIT_CPU: math.ceil(cpu_seconds),
        resource.RLIMIT_CORE: 0,
    }
    for name, limit in wanted.items():
        _, most = resource.getrlimit(name)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(name, (limit, limit))
