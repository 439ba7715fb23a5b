"""Workers that are forked from their parent in the place of fresh ones, for scripts of many runs.

All that a worker does from its first line on is the same: its session, its pipes, how it dies with
its parent. It skips only the imports, which take half a second of CPU. Fakes alone can be
measured so: a framework's import must not be shared.
"""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import IO, Any

from bench.core.signals import STOPPING


def install(every: int) -> None:
    """Have this process fork its workers; with ``every`` each so many-th is a fresh process."""
    process = importlib.import_module("bench.worker.process")
    importlib.import_module("bench.worker.__main__")
    started = 0

    def popen(command: Sequence[str], **options: Any) -> Any:
        nonlocal started
        started += 1
        if every and started % every == 0:
            return subprocess.Popen(command, **options)
        return ForkedWorker(command, **options)

    process.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
        Popen=popen, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )


class ForkedWorker:
    """The part of `subprocess.Popen` that `bench.worker.process` uses."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: IO[bytes] | None,
        env: Mapping[str, str],
        start_new_session: bool,
    ) -> None:
        self.returncode: int | None = None
        commands, mine = os.pipe()
        events, theirs = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(commands, theirs, 2 if stderr is None else stderr.fileno(), env, command[-1])
        os.close(commands)
        os.close(theirs)
        self.stdin: IO[bytes] | None = os.fdopen(mine, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(events, "rb", buffering=0)

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
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            time.sleep(0.002)
        return code


def _become(commands: int, events: int, errors: int, env: Mapping[str, str], parent: str) -> None:
    """Be the worker, and end with its exit code."""
    code = 1
    try:
        os.setsid()
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        atexit._clear()
        # Copies first: a target may be one of the sources.
        copies = [os.dup(source) for source in (commands, events, errors)]
        for target, source in enumerate(copies):
            os.dup2(source, target)
        os.closerange(3, 512)
        os.environ.clear()
        os.environ.update(env)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        sys.argv = ["bench.worker", parent]
        importlib.import_module("bench.worker.__main__").main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    try:
        sys.stderr.flush()
    finally:
        os._exit(code)
