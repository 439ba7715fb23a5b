"""The child end: one fresh process, one framework, JSON lines in and out.

Commands on stdin: ``{"do": "open", ...}`` once, then ``{"do": "measure", "kind": ...}`` as often
as wanted; with ``"turns": true`` it says ``waiting`` before every block, and goes on at
``{"do": "block"}`` until ``{"do": "end"}``. Or ``{"do": "certify", ...}`` as often as wanted; or
``{"do": "ceiling", ...}``; or ``{"do": "serve", ...}`` once and then ``{"do": "answer", ...}`` for
every batch of pictures. The end of stdin ends the process. Every command is answered by
``progress`` events and then one ``ready``, ``waiting``, ``result`` or ``error``. Whatever a
framework prints goes to stderr, so that
nothing but protocol is on the pipe.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from bench.core import extensions
from bench.core.case import WATERFALL, Case
from bench.core.errors import UserError
from bench.core.process import die_with_parent, peak_memory_bytes
from bench.networks.architecture import Architecture
from bench.parity import certificate as parity
from bench.training.defaults import switched
from bench.training.frameworks import framework, tuned_environment_of
from bench.training.interfaces import Maker, Trainer
from bench.worker import ceilings as operations
from bench.worker.measurements.registry import MEASUREMENTS
from bench.worker.opening import block_others, named, open_session
from bench.worker.schedule import FixedSchedule, RemoteSchedule, Schedule
from bench.worker.serve import InferenceWorker
from bench.worker.session import Session, plan_for


def main() -> None:
    """Answer commands until stdin ends."""
    die_with_parent()
    out = _take_stdout()
    extensions.load()
    bench: Session | None = None
    desk: InferenceWorker | None = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "open":
                os.sched_setaffinity(0, command["cpus"])
                bench = open_session(command, partial(_progress, out))
                send(out, "ready")
            elif command["do"] == "certify":
                send(out, "result", certificate=certify(command, out))
            elif command["do"] == "ceiling":
                send(out, "result", ceilings=ceilings(command))
            elif command["do"] == "serve":
                desk = open_inference(command)
                send(out, "ready")
            elif desk is not None:
                found = desk.answer(Path(command["pictures"]), Path(command["out"]))
                send(out, "result", **found)
            elif bench is None:
                raise RuntimeError("measure before open")
            else:
                bench.turns = _turns(bench, command, out)
                send(out, "result", **measure(bench, command["kind"]))
        except Exception as error:
            send(out, "error", status=_status(error), error=_describe(error))


def _take_stdout() -> TextIO:
    """Keep the pipe for the protocol and send every other print to stderr."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def send(out: TextIO, event: str, **fields: Any) -> None:
    """One event, one line. ValueError for NaN: JSON has none, and no record could hold it."""
    out.write(json.dumps({"event": event, **fields}, allow_nan=False) + "\n")
    out.flush()


def _progress(out: TextIO, done: float, note: str) -> None:
    send(out, "progress", done=done, note=note)


def _turns(bench: Session, command: Mapping[str, Any], out: TextIO) -> Schedule:
    """Those that the parent gives, or as many as the profile has blocks."""
    if not command.get("turns"):
        return FixedSchedule(bench.limits.blocks)

    def following() -> dict[str, Any]:
        line = sys.stdin.readline()
        if not line:
            sys.exit()  # nobody is there any more
        return dict(json.loads(line))

    waiting = partial(_waiting, out)
    return RemoteSchedule(waiting, following, command["steps"], extras=command["extras"])


def _waiting(out: TextIO, samples: list[float]) -> None:
    send(out, "waiting", samples=samples)


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


def certify(command: Mapping[str, Any], out: TextIO) -> dict[str, Any]:
    """Prove one network in one framework."""
    os.sched_setaffinity(0, command["cpus"])
    row = framework(command["framework"])
    block_others(row)
    certificate = parity.certify(
        Architecture.from_json(command["architecture"]),
        row.name,
        named(row.trainer),
        threads=len(command["cpus"]),
        progress=partial(_progress, out),
    )
    gc.collect()  # models refer to themselves in circles, and the next network wants the memory
    return certificate.to_json()


def open_inference(command: Mapping[str, Any]) -> InferenceWorker:
    """Bind the process, import the framework and load the network that is to answer."""
    os.sched_setaffinity(0, command["cpus"])
    row = framework(command["framework"])
    assert row.inference is not None, "the parent asks only those that have one"
    block_others(row)
    return InferenceWorker(named(row.inference), command)


def ceilings(command: Mapping[str, Any]) -> list[operations.Answer]:
    """The pace of each operation in one framework, without a network or data."""
    os.sched_setaffinity(0, command["cpus"])
    row = framework(command["framework"])
    assert row.ceiling is not None, "the parent asks only those that have one"
    block_others(row)
    make: Maker = named(row.ceiling)(len(command["cpus"]))
    return operations.measure_all(make, [*map(operations.from_json, command["operations"])])


def measure(bench: Session, kind: str) -> dict[str, Any]:
    """One measurement, with the settings in force and the memory it took."""
    result = MEASUREMENTS[kind](bench)
    return {
        "samples": result.samples,
        "images_per_sample": result.images_per_sample,
        "unit": result.unit,
        "metrics": result.metrics,
        "settings": _settings(bench),
        "peak_memory_bytes": peak_memory_bytes(),
        "device_memory_bytes": bench.trainer.device_memory(),
    }


def _settings(bench: Session) -> dict[str, Any]:
    case = bench.setup.case
    # Read back around a convolution, which a head alone does not have.
    convolutional: Trainer = bench.trunk or bench.trainer
    return {
        "cpu_affinity": sorted(os.sched_getaffinity(0)),
        **convolutional.settings(),
        **bench.start,
        **_tuned(case),
        **({"shared_defaults": sorted(switched(case))} if case.track == WATERFALL else {}),
        "batch_plan_sha256": plan_for(bench.setup, bench.dataset).digest(10),
        "recipe": bench.setup.recipe.to_json(),
    }


def _tuned(case: Case) -> dict[str, Any]:
    """What of the environment was set for this framework alone, read back."""
    found = {name: os.environ.get(name) for name in tuned_environment_of(case)}
    return {"tuned_environment": found} if found else {}


if __name__ == "__main__":
    main()
