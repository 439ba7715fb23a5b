"""The child end: one fresh process, one framework, JSON lines in and out.

Commands on stdin: ``{"do": "open", ...}`` once, then ``{"do": "measure", "kind": ...}`` as often
as wanted, or ``{"do": "certify", ...}`` as often as wanted, or ``{"do": "serve", ...}`` once and
then ``{"do": "answer", ...}`` for every batch of pictures; the end of stdin ends the process.
Every command is answered by ``progress`` events and then one ``ready``, ``result`` or ``error``.
Whatever a framework prints goes to stderr, so that
nothing but protocol is on the pipe.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from bench import extensions, parity
from bench.case import WATERFALL, Case
from bench.data import Dataset, load
from bench.defaults import switched, takes_shared_weights, with_own_constants
from bench.errors import UserError
from bench.frameworks import Framework, framework
from bench.initial import initial_weights
from bench.measure import MEASUREMENTS
from bench.measuring import Bench, plan_for
from bench.process import die_with_parent, peak_memory_bytes
from bench.profiles import Limits
from bench.recipes import recipe
from bench.serving import Desk
from bench.spec import Architecture
from bench.trainer import Setup, Trainer
from bench.variants import variant
from bench.weights import weights_digest


def main() -> None:
    """Answer commands until stdin ends."""
    die_with_parent()
    out = _take_stdout()
    extensions.load()
    bench: Bench | None = None
    desk: Desk | None = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "open":
                bench = open_bench(command, out)
                send(out, "ready")
            elif command["do"] == "certify":
                send(out, "result", certificate=certify(command, out))
            elif command["do"] == "serve":
                desk = open_desk(command)
                send(out, "ready")
            elif desk is not None:
                found = desk.answer(Path(command["pictures"]), Path(command["out"]))
                send(out, "result", **found)
            elif bench is None:
                raise RuntimeError("measure before open")
            else:
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


def open_bench(command: Mapping[str, Any], out: TextIO) -> Bench:
    """Bind the process, import the framework, build the network and load the data."""
    os.sched_setaffinity(0, command["cpus"])
    case = Case.from_json(command["case"])
    row = framework(case.framework)
    _block(row)
    dataset = load(Path(command["data"]))
    setup = _setup(case, dataset, threads=len(command["cpus"]))
    started = perf_counter()
    factory = _import(row)
    imported = perf_counter()
    trainer = factory(setup)
    take_weights(trainer, setup)
    built = perf_counter()
    return Bench(
        trainer,
        setup,
        dataset,
        Limits(**command["limits"]),
        progress=lambda done, note: send(out, "progress", done=done, note=note),
        build_seconds=built - imported,
        import_seconds=imported - started,
    )


def take_weights(trainer: Trainer, setup: Setup) -> None:
    """Load the core's initial weights where the case starts from them; else leave its own."""
    if takes_shared_weights(setup.case):
        trainer.load_weights(initial_weights(setup.architecture, setup.case.seed))


def certify(command: Mapping[str, Any], out: TextIO) -> dict[str, Any]:
    """Prove one network in one framework."""
    os.sched_setaffinity(0, command["cpus"])
    row = framework(command["framework"])
    _block(row)
    certificate = parity.certify(
        Architecture.from_json(command["architecture"]),
        row.name,
        _import(row),
        threads=len(command["cpus"]),
        progress=lambda done, note: send(out, "progress", done=done, note=note),
    )
    gc.collect()  # models refer to themselves in circles, and the next network wants the memory
    return certificate.to_json()


def open_desk(command: Mapping[str, Any]) -> Desk:
    """Bind the process, import the framework and load the network that is to answer."""
    os.sched_setaffinity(0, command["cpus"])
    row = framework(command["framework"])
    assert row.server is not None, "the parent asks only those that have one"
    _block(row)
    return Desk(_named(row.server), command)


def _block(row: Framework) -> None:
    for module in row.blocked:
        sys.modules[module] = None  # type: ignore[assignment]


def _import(row: Framework) -> Any:
    return _named(row.trainer)


def _named(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


def _setup(case: Case, dataset: Dataset, threads: int) -> Setup:
    chosen = recipe(case.recipe)
    steps = int(chosen.epochs * len(dataset.train.labels) / case.batch_size)
    architecture = variant(case.variant).architecture(
        len(dataset.classes), head=case.head, input_size=case.input_size
    )
    architecture = with_own_constants(architecture, case)
    return Setup(
        case, architecture, chosen, max(steps, 1), dataset.mean, dataset.std, threads=threads
    )


def measure(bench: Bench, kind: str) -> dict[str, Any]:
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


def _settings(bench: Bench) -> dict[str, Any]:
    trainer: Trainer = bench.trainer
    case = bench.setup.case
    inputs = {}
    if takes_shared_weights(case):
        weights = initial_weights(bench.setup.architecture, case.seed)
        inputs = {"initial_weights_sha256": weights_digest(weights)}
    return {
        "cpu_affinity": sorted(os.sched_getaffinity(0)),
        **trainer.settings(),
        **inputs,
        **({"shared_defaults": sorted(switched(case))} if case.track == WATERFALL else {}),
        "batch_plan_sha256": plan_for(bench.setup, bench.dataset).digest(10),
        "recipe": bench.setup.recipe.to_json(),
    }


if __name__ == "__main__":
    main()
