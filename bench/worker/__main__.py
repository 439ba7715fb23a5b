"""The child's end of a worker: a fresh process, one framework, JSON lines in and out.

A command is a JSON object on one line of stdin, and ``do`` names it:

- ``open``, then ``measure`` any number of times. With ``"interleaved": true`` the worker sends
  ``waiting`` before every block and continues at ``{"do": "block"}``, until ``{"do": "end"}``.
- ``certify``, any number of times.
- ``ceiling``.
- ``probe``: whether the framework can use the device.
- ``open_inference``, then ``infer`` for every batch of images.
- ``explain``: which places of images speak for a class.
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
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from bench.core import extensions
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.extensions import load_object
from bench.core.system.devices import accelerated, mismatch
from bench.core.system.machine import BlockState, Monitor
from bench.core.system.process import (
    die_with_parent,
    die_with_pipe,
    keep_niceness,
    peak_memory_bytes,
    thread_affinities,
)
from bench.core.system.resources import affinity, bind
from bench.networks.architecture import Architecture
from bench.parity import certificate as parity
from bench.training.defaults import switched
from bench.training.frameworks import Framework, framework, tuned_environment_of
from bench.training.interfaces import Maker, Setup, Trainer, TrainerFactory
from bench.training.settings import not_in_force
from bench.training.tracks import track
from bench.worker import ceilings as operations
from bench.worker.checkpoints import Checkpoints, TrainingFiles
from bench.worker.device.blocking import block
from bench.worker.device.time import idle_checked
from bench.worker.device.watch import DeviceWatch
from bench.worker.environment import kept_environment
from bench.worker.failures import failure
from bench.worker.inputs import HeldInputs
from bench.worker.measurements.registry import MEASUREMENTS
from bench.worker.opening import open_session
from bench.worker.schedule import FixedSchedule, RemoteSchedule, Schedule
from bench.worker.serve import InferenceWorker, explained
from bench.worker.session import Session, plan_for
from bench.worker.trained_weights import save_weights

Command = Mapping[str, Any]
Fields = dict[str, Any]


def main() -> None:
    """Answer commands until stdin ends. The argument is the process id of the parent."""
    die_with_parent(int(sys.argv[1]))
    die_with_pipe(sys.stdin.fileno())
    keep_niceness()
    commands = Commands(_take_stdout())
    extensions.load()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            event, fields = commands.answer(command)
            commands.send(event, **fields)
        except Exception as error:
            commands.send("error", **failure(error, commands.case))


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
        self.case: Case | None = None
        """Of the session that was opened, or tried."""

    def answer(self, command: Command) -> tuple[str, Fields]:
        """Carry a command out: the event that answers it, and its fields."""
        by_name: dict[str, Callable[[Command], Fields | None]] = {
            "open": self._open,
            "measure": self._measure,
            "certify": self._certify,
            "ceiling": _ceiling,
            "probe": _probe,
            "open_inference": self._open_inference,
            "infer": self._infer,
            "explain": _explain,
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
        bind(command["cpus"])
        self.case = Case.from_json(command["case"])
        monitor = Monitor(command["cpus"], harness=os.getppid())
        self._session = open_session(command, self._progress)
        monitor.include(getattr(self._session.trainer, "processes", ()))
        self._session.monitor = monitor

    def _measure(self, command: Command) -> Fields:
        if self._session is None:
            raise RuntimeError("measure before open")
        self._session.schedule = self._schedule(self._session, command)
        files = command.get("files") and TrainingFiles.from_json(command["files"])
        self._session.checkpoints = Checkpoints(files) if files else None
        fields = measure(self._session, command["kind"])
        if files and files.weights:  # after the peak of memory has been read
            saved = save_weights(self._session, fields["metrics"], files.weights)
            fields["metrics"]["saved_weights"] = saved
        return fields

    def _schedule(self, session: Session, command: Command) -> Schedule:
        """The parent's, in an interleaved run; else as many blocks as the limits say."""
        if not command.get("interleaved"):
            return FixedSchedule(session.limits.blocks)
        waiting = partial(_waiting, self)
        return RemoteSchedule(
            waiting,
            _next_command,
            command["steps"],
            extras=command["extras"],
            finish=session.finish,
        )

    def _certify(self, command: Command) -> Fields:
        row = _enter(command)
        certificate = parity.certify(
            Architecture.from_json(command["architecture"]),
            row.name,
            _executed(load_object(row.trainer), command["execution"]),
            threads=len(command["cpus"]),
            progress=self._progress,
            device=command["device"],
            devices=command["devices"],
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


def _executed(create: TrainerFactory, execution: str) -> Callable[[Setup], Any]:
    """The factory with another execution than the framework's default; with that where empty."""
    if not execution:
        return create

    def created(setup: Setup) -> Trainer:
        return create(replace(setup, case=replace(setup.case, execution=execution)))

    return created


def _enter(command: Command) -> Framework:
    """Bind the process to its CPUs and block the other frameworks."""
    bind(command["cpus"])
    row = framework(command["framework"])
    block(row.blocked)
    return row


def _ceiling(command: Command) -> Fields:
    """The best speed of each operation in one framework, without a network or data."""
    row = _enter(command)
    assert row.ceiling is not None, "the parent asks only frameworks that have one"
    device = command["device"]
    # A factory without a second parameter measures the CPU.
    place = (device,) if accelerated(device) else ()
    make: Maker = load_object(row.ceiling)(len(command["cpus"]), *place)
    wanted = [operations.from_json(each) for each in command["operations"]]
    precisions = operations.precisions_of(device)
    return {"ceilings": operations.measure_all(make, wanted, precisions)}


def _probe(command: Command) -> Fields:
    row, device = _enter(command), command["device"]
    if row.device_probe is None:
        raise UserError(f"{row.name} computes on the CPU alone")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = load_object(row.device_probe)(device)
    wrong = mismatch(device, found.device)
    # PyTorch warns of a driver that is too old, and goes on with the CPU.
    said = [str(one.message).strip().splitlines()[0] for one in caught] if wrong else []
    reason = "; ".join(dict.fromkeys([wrong, *said])) if wrong else None
    return {"device": found.device, "name": found.name, "reason": reason}


def _explain(command: Command) -> Fields:
    row = _enter(command)
    assert row.explain is not None, "the parent asks only frameworks that have one"
    explained(load_object(row.explain), command)
    return {}


def _call(command: Command) -> Fields:
    row = _enter(command)
    assert row.weight_files is not None, "the parent asks only frameworks that have one"
    function = load_object(f"{row.weight_files}:{command['function']}")
    return {"returned": function(**command["arguments"]) or {}}


def _waiting(commands: Commands, samples: list[float], state: BlockState | None) -> None:
    commands.send("waiting", samples=samples, machine=state and state.to_json())


def _next_command() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit()  # the parent has closed the pipe
    return dict(json.loads(line))


def measure(session: Session, kind: str) -> Fields:
    """One measurement, with the settings in force and the memory it took."""
    case = session.setup.case
    watch = DeviceWatch.of(case.device, case.devices, exclusive=session.limits.exclusive)
    before = watch.state()
    result = MEASUREMENTS[kind](session)
    session.finish()
    settings = _settings(session)
    if wrong := mismatch(case.device, settings.get("device")) or not_in_force(case, settings):
        raise UserError(wrong)
    return {
        "samples": result.samples,
        "images_per_sample": result.images_per_sample,
        "unit": result.unit,
        "metrics": result.metrics | watch.whole(before) | _reserved(session.trainer),
        "machine": [state.to_json() for state in session.schedule.states],
        "settings": settings,
        "peak_memory_bytes": peak_memory_bytes(getattr(session.trainer, "processes", ())),
        "device_memory_bytes": session.trainer.device_memory(),
    }


def _reserved(trainer: Trainer) -> Fields:
    """What the framework's allocator had taken from the accelerator, where it says so."""
    found = getattr(trainer, "reserved_memory", lambda: None)()
    return {} if found is None else {"device_reserved_bytes": found}


def _settings(session: Session) -> Fields:
    case = session.setup.case
    # Read from the part with convolutions, which a head alone does not have.
    convolutional: Trainer = session.trunk or session.trainer
    return {
        "cpu_affinity": affinity(),
        "thread_affinities": thread_affinities(),
        "kept_environment": kept_environment(),
        **convolutional.settings(),
        **session.initial_weights,
        **({"images_on_device": True} if isinstance(session.inputs, HeldInputs) else {}),
        **_tuned(case),
        **idle_checked(session.queue, case.device),
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
