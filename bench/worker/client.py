"""The parent's end of a worker: its commands as methods, its failures as `WorkerError`."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.core.limits import Limits
from bench.core.system.devices import parse
from bench.core.system.resources import bound, usable_cpus
from bench.core.text import headline
from bench.networks.architecture import Architecture
from bench.training.frameworks import Framework, framework
from bench.training.interfaces import Operation
from bench.worker import events
from bench.worker.ceilings import OperationResult, to_json
from bench.worker.checkpoints import TrainingFiles
from bench.worker.environment import environment
from bench.worker.process import OnProgress, WorkerError, WorkerProcess, unheard

__all__ = [
    "OnProgress",
    "Worker",
    "WorkerError",
    "bare_start",
    "call",
    "shared_workers",
    "unheard",
]


class Worker(WorkerProcess):
    """A worker process for one case. A context manager: the process never outlives the block.

    Every method raises :class:`WorkerError` where the worker reports an error, dies, is silent for
    longer than the limits allow, or sends something that is not a valid event. After an error that
    the worker reports itself it takes further commands.
    """

    def __init__(
        self,
        case: Case,
        data: Path,
        limits: Limits,
        cpus: Sequence[int] | None = None,
        weights: Path | None = None,
        *,
        show_stderr: bool = False,
    ) -> None:
        """Start the process.

        Args:
            case: What is measured; its framework, track and device decide the environment.
            data: Folder of prepared data, as :func:`bench.data.dataset.load` reads it.
            limits: How long measurements take, and after what time a silent worker is killed.
            cpus: CPUs that the worker is bound to; by default all that this process may use
                (`bench.core.system.resources.usable_cpus`), or its devices' share of them.
            weights: File of :class:`bench.networks.pretrained.Pretrained`, for a case that starts
                from pretrained weights.
            show_stderr: Whether the user sees what the worker prints, such as a progress bar.
        """
        self._case, self._data, self._limits, self._weights = case, data, limits, weights
        share = limits.cpus_of(case.devices, usable_cpus())
        self._cpus = sorted(share if cpus is None else cpus)
        super().__init__(case, len(self._cpus), limits.timeout_seconds, show_stderr=show_stderr)

    def open(self, on_progress: OnProgress) -> None:
        """Import the framework, build the network and load the data."""
        command = {
            "do": "open",
            "case": self._case.to_json(),
            "data": str(self._data),
            "limits": dataclasses.asdict(self._limits),
            "cpus": self._cpus,
            "weights": None if self._weights is None else str(self._weights),
        }
        self._request(command, "ready", {}, on_progress)

    def measure(
        self, kind: str, on_progress: OnProgress, files: TrainingFiles | None = None
    ) -> dict[str, Any]:
        """One measurement: the fields of `events.MEASUREMENT`.

        Args:
            kind: Name of the measurement.
            on_progress: Called with the share that is done, and a note.
            files: Of a training that has checkpoints.
        """
        command = {"do": "measure", "kind": kind, "files": files and files.to_json()}
        return self._request(command, "result", events.MEASUREMENT, on_progress)

    def begin(self, kind: str, steps: int | None, *, extras: bool, on_progress: OnProgress) -> None:
        """Start a measurement of an interleaved run, up to its first block.

        Args:
            kind: Name of the measurement.
            steps: Steps of a block where an earlier process has fixed them.
            extras: See :attr:`bench.worker.schedule.Schedule.extras`.
            on_progress: Called with the share that is done, and a note.
        """
        command = {
            "do": "measure",
            "kind": kind,
            "interleaved": True,
            "steps": steps,
            "extras": extras,
        }
        self._request(command, "waiting", events.WAITING, on_progress)

    def block(self) -> dict[str, Any]:
        """The next block: the fields of `events.WAITING`."""
        return self._request({"do": "block"}, "waiting", events.WAITING)

    def end(self, on_progress: OnProgress) -> dict[str, Any]:
        """End a measurement of an interleaved run: the fields of `events.MEASUREMENT`."""
        return self._request({"do": "end"}, "result", events.MEASUREMENT, on_progress)

    def certify(
        self, architecture: Architecture, on_progress: OnProgress, execution: str = ""
    ) -> dict[str, Any]:
        """``certificate``: the parity certificate of a network in this worker's framework;
        ``execution`` where it is not the framework's default."""
        fields = {"architecture": architecture.to_json(), "execution": execution}
        command = self._command("certify", **fields, devices=self._case.devices)
        return self._request(command, "result", {"certificate": events.mapping}, on_progress)

    def ceiling(
        self, operations: Sequence[Operation], on_progress: OnProgress
    ) -> list[OperationResult]:
        """The best speed of each operation in this worker's framework."""
        command = self._command("ceiling", operations=[to_json(each) for each in operations])
        found = self._request(command, "result", {"ceilings": events.mappings}, on_progress)
        ceilings: list[OperationResult] = found["ceilings"]
        return ceilings

    def probe(self) -> dict[str, Any]:
        """``device`` and ``name`` as the framework reports them after a small operation on the
        case's device; ``reason`` is why that is not the device that was asked for."""
        fields = {"device": events.text, "name": events.optional(events.text)}
        fields["reason"] = events.optional(events.text)
        return self._request(self._command("probe"), "result", fields)

    def open_inference(self, command: dict[str, Any]) -> None:
        """Load a network for inference (see :class:`bench.worker.serve.InferenceWorker`)."""
        self._request(self._command("open_inference", **command), "ready", {})

    def infer(self, images: Path, out: Path) -> float | None:
        """Output for one batch of prepared images, from one .npy file to another.

        Returns:
            For the first batch of an embedding the relative difference of the two ways to compute
            it, NaN where they cannot be compared; None for any other batch.
        """
        command = {"do": "infer", "images": str(images), "out": str(out)}
        fields = {"compared": lambda value: isinstance(value, bool)}
        fields["difference"] = events.optional(events.number)
        found = self._request(command, "result", fields)
        if not found["compared"]:
            return None
        return math.nan if found["difference"] is None else float(found["difference"])

    def explain(self, command: dict[str, Any]) -> None:
        """Write which places of images speak for a class (`bench.worker.serve.explained`)."""
        self._request(self._command("explain", **command), "result", {})

    def call(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What a function of the framework's weight-file module returns."""
        command = self._command("call", function=function, arguments=arguments)
        fields = {"returned": events.mapping}
        returned: dict[str, Any] = self._request(command, "result", fields)["returned"]
        return returned

    def _command(self, do: str, **fields: Any) -> dict[str, Any]:
        # The worker sees no other device of the kind: cuda:1 is cuda there.
        device = parse(self._case.device).in_worker
        given = {"framework": self._case.framework, "cpus": self._cpus, "device": device}
        return {"do": do, **given, **fields}


class _Calls:
    """Calls of functions of the frameworks' weight-file modules, in one worker per framework."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def close(self) -> None:
        """End the workers."""
        while self._workers:
            self._workers.popitem()[1].close()

    def call(
        self, row: Framework, function: str, *, show_stderr: bool = False, **arguments: Any
    ) -> dict[str, Any]:
        """What a function returns; see :func:`call`."""
        try:
            return self._worker(row, show_stderr).call(function, arguments)
        except WorkerError as error:
            if not error.reported:  # it is dead, and the next call needs a new one
                self._workers.pop(row.name).close()
            raise UserError(_one_line(row, function, error)) from None

    def _worker(self, row: Framework, show_stderr: bool) -> Worker:
        if row.name not in self._workers:
            case = Case(variant="", framework=row.name)
            limits = Limits(timeout_seconds=math.inf)  # a download may take hours
            self._workers[row.name] = Worker(case, Path(), limits, show_stderr=show_stderr)
        return self._workers[row.name]


def call(
    row: Framework, function: str, *, show_stderr: bool = False, **arguments: Any
) -> dict[str, Any]:
    """Call a function of a framework's weight-file module in a worker.

    The worker is a fresh one, except within a block of :func:`shared_workers`.

    Args:
        row: The framework; ``row.files`` is the module.
        function: Its name there.
        show_stderr: Whether the user sees what it prints, such as a download's progress.
        arguments: Its arguments, as JSON has them.

    Returns:
        What the function returns; an empty dict where that is None.

    Raises:
        UserError: The function raises, or the worker dies; the message is one line.
    """
    if _shared and not show_stderr:
        return _shared[-1].call(row, function, **arguments)
    with closing(_Calls()) as calls:
        return calls.call(row, function, show_stderr=show_stderr, **arguments)


_shared: list[_Calls] = []


@contextmanager
def shared_workers() -> Iterator[None]:
    """One worker per framework for every :func:`call` within the block.

    Importing a framework takes seconds, and a conversion makes several calls of each. Within
    another such block the workers are those of the outer one.
    """
    if _shared:
        yield
        return
    with closing(_Calls()) as calls:
        _shared.append(calls)
        try:
            yield
        finally:
            _shared.remove(calls)


def _one_line(row: Framework, function: str, error: WorkerError) -> str:
    message = str(error)
    if error.reported and not message.startswith("Traceback"):
        return message  # a UserError of the function
    line = headline(message) if error.reported else " ".join(message.split())
    return f"{row.name}: {function}: {line}"


def bare_start(case: Case, cpus: Sequence[int] = ()) -> float | None:
    """Seconds of the shortest process that takes one step of the case's network.

    In the environment of a worker, from the start of the process to the end of the step. None for
    a framework without such a process, or where it fails.

    Args:
        case: Of the worker.
        cpus: CPUs that the process is bound to; by default all that this one may use.
    """
    module = framework(case.framework).bare_start
    if module is None:
        return None
    arguments = (case.variant, str(case.input_size), str(case.batch_size))
    own = sorted(cpus) or usable_cpus()
    with temporary_directory() as home, bound(own):
        began = perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(case, Path(home), threads=len(own)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                # The step ends with this line; the end of the process is not part of it.
                done = any(line.strip() == "done" for line in process.stdout)
                seconds = perf_counter() - began
            except BaseException:
                process.kill()
                raise
    return seconds if done else None
