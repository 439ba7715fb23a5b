"""The parent end: start a worker, talk to it, and survive whatever becomes of it.

The parent sleeps in ``select`` while the worker measures: on two cores a busy parent would take
one from what is being measured.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from bench.core.case import Case
from bench.core.limits import Limits
from bench.core.process import oom_kills
from bench.networks.architecture import Architecture
from bench.training.frameworks import framework, tuned_environment_of
from bench.training.interfaces import Operation
from bench.worker.ceilings import Answer, to_json

OnProgress = Callable[[float, str], None]

_TAIL_LINES = 12
_TAIL_BYTES = 1 << 16
_LOOK_SECONDS = 1.0
"""How often a silent worker is looked at: when it dies, a child of its own may hold the pipe open,
and no end of file would ever come."""


class WorkerError(Exception):
    """A worker failed, died, or was stopped; ``status`` is the record's."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Worker:
    """One worker process. Use as a context manager: it never outlives the block."""

    def __init__(
        self,
        case: Case,
        data: Path,
        limits: Limits,
        cpus: Sequence[int] | None = None,
        weights: Path | None = None,
    ) -> None:
        """``cpus``: what it is bound to, by default all that this process may use. ``weights``: a
        file of :class:`bench.networks.pretrained.Pretrained`, for a case that starts from one."""
        self._case, self._data, self._limits, self._weights = case, data, limits, weights
        self._cpus = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
        self._stderr = tempfile.TemporaryFile("w+b")  # noqa: SIM115  closed in close()
        # Children of the worker may still be writing there while they are killed.
        self._home = tempfile.TemporaryDirectory(prefix="alexbench-", ignore_cleanup_errors=True)
        self._oom_kills = oom_kills()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(case, Path(self._home.name), threads=len(self._cpus)),
            start_new_session=True,
        )
        self._buffer = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, on_progress: OnProgress) -> None:
        """Import, build and load; raises WorkerError."""
        self._request(
            {
                "do": "open",
                "case": self._case.to_json(),
                "data": str(self._data),
                "limits": dataclasses.asdict(self._limits),
                "cpus": self._cpus,
                "weights": None if self._weights is None else str(self._weights),
            },
            on_progress,
        )

    def measure(self, kind: str, on_progress: OnProgress) -> dict[str, Any]:
        """One measurement's answer; raises WorkerError."""
        return self._request({"do": "measure", "kind": kind}, on_progress)

    def begin(self, kind: str, steps: int | None, *, extras: bool, on_progress: OnProgress) -> None:
        """Start a measurement that takes turns, up to its first; raises WorkerError.

        ``steps`` of a block where they are fixed; ``extras`` is
        :attr:`bench.worker.schedule.Schedule.extras`.
        """
        command = {"do": "measure", "kind": kind, "turns": True, "steps": steps, "extras": extras}
        self._request(command, on_progress)

    def block(self, on_progress: OnProgress) -> list[float]:
        """One turn's samples; raises WorkerError."""
        samples: list[float] = self._request({"do": "block"}, on_progress)["samples"]
        return samples

    def end(self, on_progress: OnProgress) -> dict[str, Any]:
        """The whole measurement's answer; raises WorkerError."""
        return self._request({"do": "end"}, on_progress)

    def pause(self) -> None:
        """Stop all of its threads: a pool that spins for its next work would burn a core."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # it is dead, which the next request will find out

    def certify(self, architecture: Architecture, on_progress: OnProgress) -> dict[str, Any]:
        """A parity certificate of a network in this worker's framework; raises WorkerError."""
        command = {
            "do": "certify",
            "framework": self._case.framework,
            "architecture": architecture.to_json(),
            "cpus": self._cpus,
        }
        return self._request(command, on_progress)

    def ceiling(self, operations: Sequence[Operation], on_progress: OnProgress) -> list[Answer]:
        """The pace of each operation in this worker's framework; raises WorkerError."""
        command = {
            "do": "ceiling",
            "framework": self._case.framework,
            "cpus": self._cpus,
            "operations": [to_json(operation) for operation in operations],
        }
        found: list[Answer] = self._request(command, on_progress)["ceilings"]
        return found

    def serve(self, command: dict[str, Any], on_progress: OnProgress) -> None:
        """Load the network that is to answer (see :class:`bench.worker.serve.InferenceWorker`);
        WorkerError."""
        given = {"framework": self._case.framework, "cpus": self._cpus, **command}
        self._request({"do": "serve", **given}, on_progress)

    def answer(self, pictures: Path, out: Path, on_progress: OnProgress) -> dict[str, Any]:
        """One batch, from a .npy file to another, with what is told of it; raises WorkerError."""
        command = {"do": "answer", "pictures": str(pictures), "out": str(out)}
        return self._request(command, on_progress)

    def stop(self) -> None:
        """Kill the process; whoever waits for an answer gets a WorkerError."""
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

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def _request(self, command: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        deadline = monotonic() + self._limits.timeout_seconds
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        while True:
            event = self._event(deadline)
            match event.pop("event"):
                case "progress":
                    on_progress(event["done"], event["note"])
                case "error":
                    raise WorkerError(event["status"], event["error"])
                case _:
                    return event

    def _event(self, deadline: float) -> dict[str, Any]:
        line = self._line(deadline)
        try:
            event: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            self._kill()
            raise WorkerError(
                "failed", f"worker said something that is not JSON: {line[:200]!r}"
            ) from None
        return event

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = max(0.0, deadline - monotonic())
            dead = self._process.poll() is not None  # asked first: what it said is read below
            wait = 0.0 if dead else min(left, _LOOK_SECONDS)
            ready, _, _ = select.select([descriptor], [], [], wait)
            chunk = os.read(descriptor, 1 << 16) if ready else b""
            if not chunk and (ready or dead):
                raise self._death()
            if not ready and not left:
                raise self._timeout()
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _timeout(self) -> WorkerError:
        self._kill()
        seconds = self._limits.timeout_seconds
        return WorkerError(
            "timeout", f"no answer within {seconds:g} s, worker stopped{self._tail()}"
        )

    def _death(self) -> WorkerError:
        try:
            code = self._process.wait(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()  # it closed its end and lives on: nothing more can come from it
            code = self._process.wait()
        if code >= 0:
            return WorkerError("failed", f"worker exited with {code}{self._tail()}")
        name = signal.Signals(-code).name
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            return WorkerError("oom", f"killed by the kernel, out of memory ({name})")
        return WorkerError("failed", f"worker killed by {name}{self._tail()}")

    def _tail(self) -> str:
        """The last lines of the worker's stderr, to put behind an error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _TAIL_BYTES))
        text = self._stderr.read().decode(errors="replace")
        lines = text.strip().splitlines()[-_TAIL_LINES:]
        return ":\n" + "\n".join(lines) if lines else ""


def bare_start(case: Case) -> float | None:
    """Seconds of the shortest process that takes one step of the case's network; None without one.

    In the environment of a worker, from its birth to the end of the step.
    """
    module = framework(case.framework).bare_start
    if module is None:
        return None
    arguments = (case.variant, str(case.input_size), str(case.batch_size))
    with tempfile.TemporaryDirectory(prefix="alexbench-") as home:
        began = perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(case, Path(home), threads=len(os.sched_getaffinity(0))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            # Until the word is there, not until the process has ended, too.
            done = any(line.strip() == "done" for line in process.stdout)
            seconds = perf_counter() - began
    return seconds if done else None


def environment(case: Case, home: Path, threads: int) -> dict[str, str]:
    """The worker's environment: the same threads for everybody, and nobody's private settings."""
    root = str(Path(__file__).resolve().parents[2])
    private = ("KERAS_BACKEND", "TF_XLA_FLAGS", "GLIBC_TUNABLES")
    inherited = {
        k: v for k, v in os.environ.items() if k not in private and not k.startswith("MALLOC_")
    }
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(paths),
        # A user's own random.py or profile.py, where they stand, is not what frameworks import.
        "PYTHONSAFEPATH": "1",
        # One answer for every BLAS and OpenMP that a framework may bring.
        **dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
        ),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # A user's ~/.keras/keras.json could change the float type or the layout.
        "KERAS_HOME": str(home),
        **({"CUDA_VISIBLE_DEVICES": ""} if case.device == "cpu" else {}),
        **framework(case.framework).environment,
        **tuned_environment_of(case),
    }
