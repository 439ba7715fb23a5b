"""A worker process and its pipe: start, one request at a time, and the end, however it comes.

The parent sleeps in ``select`` while the worker measures: on two cores a busy parent would take
one from what is being measured.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

from bench.core import signals
from bench.core.case import Case
from bench.core.files import temporary_directory
from bench.core.system.process import oom_kills
from bench.worker.environment import environment
from bench.worker.events import LONGEST_LINE, Event, Fields, parse

OnProgress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and a few words."""


def unheard(done: float, note: str) -> None:
    """Progress that nobody shows."""


_TAIL_LINES = 12
_TAIL_BYTES = 1 << 16
_POLL_SECONDS = 1.0
"""How often a silent worker is checked for life: when it dies, a child of its own may hold the pipe
open, and no end of file would ever come."""


class _Orphans:
    seconds = 0.0


def orphan_seconds() -> float:
    """CPU seconds of what workers had started, as the other ranks of a data-parallel training, and
    that was killed with them: nobody waits for it, so that no count of ended children has it."""
    return _Orphans.seconds


def _seconds_of_children(pid: int) -> float:
    import psutil  # noqa: PLC0415  # only a training on several devices needs it

    found = 0.0
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                times = child.cpu_times()
                found += times.user + times.system
    return found


class WorkerError(Exception):
    """A worker failed, died, or was stopped.

    Attributes:
        status: As a record has it: ``failed``, ``oom``, ``timeout`` or ``skipped``.
        reported: Whether the worker reported the error itself and is still alive.
    """

    def __init__(self, status: str, message: str, *, reported: bool = False) -> None:
        super().__init__(message)
        self.status, self.reported = status, reported


class WorkerProcess:
    """A child process that takes commands. A context manager: it never outlives the block."""

    def __init__(
        self, case: Case, threads: int, timeout_seconds: float, *, show_stderr: bool
    ) -> None:
        """Start it in the environment of the case (:func:`bench.worker.environment.environment`).

        ``timeout_seconds`` is for one request; then the worker is killed.
        """
        self._timeout_seconds = timeout_seconds
        self._has_ranks = case.devices > 1
        self._stderr = tempfile.TemporaryFile("w+b")  # noqa: SIM115  closed in close()
        self._home = temporary_directory()
        self._oom_kills = oom_kills()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if show_stderr else self._stderr,
            env=environment(case, Path(self._home.name), threads),
            start_new_session=True,
        )
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pause(self) -> None:
        """Pause all its threads with SIGSTOP: a pool that spins for work would burn a core."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue them with SIGCONT."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill the process; a request that another thread waits for raises WorkerError."""
        self._kill()

    def close(self) -> None:
        """End the process, its children and its temporary files."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        self._kill()
        self._stderr.close()
        self._home.cleanup()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # it is dead, and the next request reports that

    def _kill(self) -> None:
        if self._has_ranks and self._process.returncode is None:
            _Orphans.seconds += _seconds_of_children(self._process.pid)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _request(
        self,
        command: dict[str, Any],
        reply: str,
        fields: Fields,
        on_progress: OnProgress = unheard,
    ) -> Event:
        """Send a command and wait for its reply, whose fields are checked."""
        deadline = monotonic() + self._timeout_seconds
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        while True:
            event = self._event(deadline, reply, fields)
            match event.pop("event"):
                case "progress":
                    on_progress(event["done"], event["note"])
                case "error":
                    raise WorkerError(event["status"], event["error"], reported=True)
                case _:
                    return event

    def _event(self, deadline: float, reply: str, fields: Fields) -> Event:
        line = self._line(deadline)
        try:
            return parse(line, reply, fields)
        except ValueError as error:
            self._kill()
            raise WorkerError("failed", f"worker sent {error}: {line[:200]!r}") from None

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        searched = 0  # bytes of the buffer without a newline
        while (end := self._buffer.find(b"\n", searched)) < 0:
            signals.check()
            searched = len(self._buffer)
            if searched > LONGEST_LINE:
                self._kill()
                raise WorkerError("failed", f"worker sent a line of more than {LONGEST_LINE} bytes")
            left = max(0.0, deadline - monotonic())
            dead = self._process.poll() is not None  # before the read: what it sent is read below
            wait = 0.0 if dead else min(left, _POLL_SECONDS)
            ready, _, _ = select.select([descriptor], [], [], wait)
            chunk = os.read(descriptor, 1 << 16) if ready else b""
            if not chunk and (ready or dead):
                raise self._death()
            if not ready and not left:
                raise self._timeout()
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _timeout(self) -> WorkerError:
        self._kill()
        seconds = f"{self._timeout_seconds:g} s"
        return WorkerError("timeout", f"no answer within {seconds}, worker stopped{self._tail()}")

    def _death(self) -> WorkerError:
        try:
            code = self._process.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()  # it closed its end of the pipe: nothing more can come from it
            code = self._process.wait()
        if code >= 0:
            return WorkerError("failed", f"worker exited with {code}{self._tail()}")
        name = signal.Signals(-code).name
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            return WorkerError("oom", f"killed by the kernel, out of memory ({name})")
        return WorkerError("failed", f"worker killed by {name}{self._tail()}")

    def _tail(self) -> str:
        """The last lines of the worker's stderr, to append to an error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _TAIL_BYTES))
        text = self._stderr.read().decode(errors="replace")
        lines = text.strip().splitlines()[-_TAIL_LINES:]
        return ":\n" + "\n".join(lines) if lines else ""
