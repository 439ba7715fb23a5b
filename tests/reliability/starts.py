"""Processes of ``alexbench`` under test: fresh ones, or forked from one that has its imports.

A forked one begins where a fresh one is after a second of imports, and costs no CPU until then.
Its signals, descriptors, environment and arguments are those of a fresh process; its report has
the plots of its first tables alone.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import psutil

import bench
from bench.core.signals import STOPPING
from tests.reliability import forked_workers

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

IMPORTED = (
    "bench.cli.main", "bench.cli.run", "bench.cli.report", "bench.cli.measuring",
    "bench.cli.resuming", "bench.harness.run", "bench.harness.devices", "bench.report.html",
)  # fmt: skip
DRAWN = 2
"""Tables that have their plots in the report of a forked command."""
_POLL_SECONDS = 0.005


class Started(Protocol):
    """The part of `subprocess.Popen` that the scripts use."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int) -> None: ...
    def kill(self) -> None: ...
    def communicate(self, timeout: float | None = None) -> tuple[str, str]: ...


def become_reaper() -> None:
    """Have processes whose parent was killed become children of this one, which can see them."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> list[int]:
    """Reap processes that have ended of those that this one has inherited; the ids of the others,
    and of their children."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                if process.ppid() == os.getpid() and process.pid not in _started:
                    os.waitpid(process.pid, os.WNOHANG)
                continue
            found.append(process.pid)
        except (psutil.Error, ChildProcessError):
            continue
    return found


_started: set[int] = set()
"""Ids of the commands that the script has started and not waited for: it reaps them itself."""


def default_signals() -> None:
    """As a terminal leaves them to a command."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def fresh(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Started:
    """A command in a process of its own."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
        preexec_fn=default_signals,
    )
    _started.add(process.pid)
    return process


class Forked:
    """``python -m bench`` with these arguments in a process forked from this one."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        first: Callable[[], object] = lambda: None,
        workers: int = 0,
    ) -> None:
        """Start it.

        Args:
            arguments: Of the command.
            environment: All its variables.
            folder: Where it works.
            first: Called in the new process before the command: a limit, say.
            workers: Every so many of its workers is a fresh process, the others are forked; 0 has
                all of them forked.
        """
        for name in IMPORTED:
            importlib.import_module(name)
        self.returncode: int | None = None
        self._out, self._err = _file(), _file()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        _started.add(self.pid)
        if self.pid == 0:
            forked_workers.install(workers)
            _become(arguments, environment, folder, self._out, self._err, first)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        ends = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if ends is not None and time.monotonic() >= ends:
                raise subprocess.TimeoutExpired("alexbench", timeout or 0)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        return texts[0], texts[1]


def _draw_less() -> None:
    """Draw the plots of a few tables alone: four fifths of a short run would be its plots."""
    plots = importlib.import_module("bench.report.plots")
    plots.TABLES = plots.TABLES[:DRAWN]  # type: ignore[attr-defined]


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile("w+b")


def _become(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    out: IO[bytes],
    err: IO[bytes],
    first: Callable[[], object],
) -> None:
    """Be the command, and end with its exit code."""
    code = 1
    try:
        default_signals()
        atexit._clear()  # what the script has registered is the script's
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nowhere, 0), (out.fileno(), 1), (err.fileno(), 2)):
            os.dup2(source, target)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = [str(Path(bench.__file__).parent / "__main__.py"), *arguments]
        _draw_less()
        first()
        main = importlib.import_module("bench.__main__").main
        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
