"""The child's end of a worker: a fresh process, one framework, JSON lines in and out.

A command is a JSON object on one line of stdin, and ``do`` names it:

- ``open``, then ``measure`` any number of times. With ``"interleaved": true`` the worker sends
  ``waiting`` before every block and continues at ``{"do": "block"}``, until ``{"do": "end"}``.
- ``certify``, any number of times.
- ``ceiling``.
- ``open_inference``, then ``infer`` for every batch of images.
- ``call``: a function of the framework's weight-file module.

Each command is answered by ``progress`` events and then one ``ready``, ``waiting``, ``result`` or
``error`` (:mod:`bench.worker.events`). The end of stdin ends the process. Whatever a framework
prints goes to stderr, so that only the protocol is on the pipe.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from bench.core import extensions
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.extensions import load_object
from bench.core.process import die_with_parent, die_with_pipe, peak_memory_bytes
from bench.networks.architecture import Architecture
from bench.parity import certificate as parity
from bench.training.defaults import switched
from bench.training.frameworks import Framework, framework, tuned_environment_of
from bench.training.interfaces import Maker, Trainer
from bench.training.tracks import track
from bench.worker import ceilings as operations
from bench.worker.measurements.registry import MEASUREMENTS
from bench.worker.opening import block_other_frameworks, open_session
from bench.worker.schedule import FixedSchedule, RemoteSchedule, Schedule
from bench.worker.serve import InferenceWorker
from bench.worker.session import Session, plan_for

Command = Mapping[str, Any]
Fields = dict[str, Any]


def main() -> None:
    """Answer commands until stdin ends. The argument is the process id of the parent."""
    die_with_parent(int(sys.argv[1]))
    die_with_pipe(sys.stdin.fileno())
    commands = Commands(_take_stdout())
    extensions.load()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            event, fields = commands.answer(command)
            commands.send(event, **fields)
        except Exception as error:
            commands.send("error", status=_status(error), error=_describe(error))


def _take_stdout() -> TextIO:
    """Keep the pipe for the protocol and send every other print to stderr."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return pipe


class Commands:
    """What a worker does, a method per command, and what stays open between two commands."""

    def __init__(self, out: TextIO) -> None:
        """Events are written to ``out``."""
        self._out = out
        self._session: Session | None = None
        self._inference: InferenceWorker | None = None

    def answer(self, command: Command) -> tuple[str, Fields]:
        """Carry a command out: the event that answers it, and its fields."""
        by_name: dict[str, Callable[[Command], Fields | None]] = {
            "open": self._open,
            "measure": self._measure,
            "certify": self._certify,
            "ceiling": _ceiling,
            "open_inference": self._open_inference,
            "infer": self._infer,
            "call": _call,
        }
        fields = by_name[command["do"]](command)
        return ("ready", {}) if fields is None else ("result", fields)

    def send(self, event: str, **fields: Any) -> None:
        """Write one event. ValueError for NaN: JSON has none, and no record could hold it."""
        self._out.write(json.dumps({"event": event, **fields}, allow_nan=False) + "\n")
        self._out.flush()

    def _progress(self, done: float, note: str) -> None:
        self.send("progress", done=done, note=note)

    def _open(self, command: Command) -> None:
        os.sched_setaffinity(0, command["cpus"])
        self._session = open_session(command, self._progress)

    def _measure(self, command: Command) -> Fields:
        if self._session is None:
            raise RuntimeError("measure before open")
        self._session.schedule = self._schedule(self._session, command)
        return measure(self._session, command["kind"])

    def _schedule(self, session: Session, command: Command) -> Schedule:
        """The parent's, in an interleaved run; else as many blocks as the limits say."""
        if not command.get("interleaved"):
            return FixedSchedule(session.limits.blocks)
        waiting = partial(_waiting, self)
        return RemoteSchedule(waiting, _next_command, command["steps"], extras=command["extras"])

    def _certify(self, command: Command) -> Fields:
        row = _enter(command)
        certificate = parity.certify(
            Architecture.from_json(command["architecture"]),
            row.name,
            load_object(row.trainer),
            threads=len(command["cpus"]),
            progress=self._progress,
        )
        gc.collect()  # models are reference cycles, and the next network needs the memory
        return {"certificate": certificate.to_json()}

    def _open_inference(self, command: Command) -> None:
        row = _enter(command)
        assert row.inference is not None, "the parent asks only frameworks that have one"
        self._inference = InferenceWorker(load_object(row.inference), command)

    def _infer(self, command: Command) -> Fields:
        if self._inference is None:
            raise RuntimeError("infer before open_inference")
        return self._inference.run(Path(command["images"]), Path(command["out"]))


def _enter(command: Command) -> Framework:
    """Bind the process to its CPUs and block the other frameworks."""
    os.sched_setaffinity(0, command["cpus"])
    row = framework(command["framework"])
    block_other_frameworks(row)
    return row


def _ceiling(command: Command) -> Fields:
    """The best speed of each operation in one framework, without a network or data."""
    row = _enter(command)
    assert row.ceiling is not None, "the parent asks only frameworks that have one"
    make: Maker = load_object(row.ceiling)(len(command["cpus"]))
    wanted = [operations.from_json(each) for each in command["operations"]]
    return {"ceilings": operations.measure_all(make, wanted)}


def _call(command: Command) -> Fields:
    row = _enter(command)
    assert row.weight_files is not None, "the parent asks only frameworks that have one"
    function = load_object(f"{row.weight_files}:{command['function']}")
    return {"returned": function(**command["arguments"]) or {}}


def _waiting(commands: Commands, samples: list[float]) -> None:
    commands.send("waiting", samples=samples)


def _next_command() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit()  # the parent has closed the pipe
    return dict(json.loads(line))


def _status(error: BaseException) -> str:
    name = type(error).__name__
    # Matched by name: importing the frameworks' own classes would import the frameworks.
    exhausted = ("OutOfMemory", "ResourceExhausted")
    if isinstance(error, MemoryError) or any(part in name for part in exhausted):
        return "oom"
    # PyTorch's CPU allocator raises a RuntimeError, JAX one class for all that XLA reports.
    phrases = ("can't allocate memory", "not enough memory", "RESOURCE_EXHAUSTED")
    return "oom" if any(phrase in str(error) for phrase in phrases) else "failed"


def _describe(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    return "".join(traceback.format_exception(error)[-12:]).strip()


def measure(session: Session, kind: str) -> Fields:
    """One measurement, with the settings in force and the memory it took."""
    result = MEASUREMENTS[kind](session)
    return {
        "samples": result.samples,
        "images_per_sample": result.images_per_sample,
        "unit": result.unit,
        "metrics": result.metrics,
        "settings": _settings(session),
        "peak_memory_bytes": peak_memory_bytes(),
        "device_memory_bytes": session.trainer.device_memory(),
    }


def _settings(session: Session) -> Fields:
    case = session.setup.case
    # Read from the part with convolutions, which a head alone does not have.
    convolutional: Trainer = session.trunk or session.trainer
    return {
        "cpu_affinity": sorted(os.sched_getaffinity(0)),
        **convolutional.settings(),
        **session.initial_weights,
        **_tuned(case),
        **({"shared_defaults": sorted(switched(case))} if track(case.track).stages else {}),
        "batch_plan_sha256": plan_for(session.setup, session.dataset).digest(10),
        "recipe": session.setup.recipe.to_json(),
    }


def _tuned(case: Case) -> Fields:
    """Variables that the registry sets for this framework alone, read back."""
    found = {name: os.environ.get(name) for name in tuned_environment_of(case)}
    return {"tuned_environment": found} if found else {}


if __name__ == "__main__":
    main()
