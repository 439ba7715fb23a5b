"""From pictures to a network's answers: read and prepare here, compute in a worker, batch by batch.

Only a batch is in memory at a time, however many pictures there are. A picture that cannot be
taken is told of and left out; no worker is started before there is a picture for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.limits import Limits
from bench.inference.images import read_rgb
from bench.inference.transforms import prepare
from bench.networks.outputs import InferenceNetwork
from bench.networks.preprocessing import Preprocessing
from bench.training.frameworks import FRAMEWORKS, Framework, framework, installed
from bench.training.interfaces import Outputs, PreparedImages
from bench.worker.client import Worker, WorkerError

TOLERANCE = 1e-6
"""Between the two ways to an embedding, over its largest entry. Measured: 0 in PyTorch, up to 3e-7
where one way is compiled and the other is not."""

_LIMITS = Limits(timeout_seconds=900)
"""For loading or for one batch: far more than either takes, so that only what hangs is stopped."""


@dataclass(frozen=True)
class Batch:
    """Pictures that are ready, and how many were looked at for it (bad ones among them)."""

    names: list[str]
    pictures: PreparedImages
    looked_at: int


def batches(
    paths: Iterable[Path],
    read: Callable[[Path], NDArray[np.float32]],
    size: int,
    refuse: Callable[[str], None],
) -> Iterator[Batch]:
    """Pictures in their order, ``size`` together; ``refuse`` is told why one is left out."""
    names: list[str] = []
    pictures: list[NDArray[np.float32]] = []
    looked_at = 0
    for path in paths:
        looked_at += 1
        try:
            pictures.append(read(path))
        except UserError as error:
            refuse(str(error))
            continue
        names.append(str(path))
        if len(names) == size:
            yield Batch(names, np.stack(pictures), looked_at)
            names, pictures, looked_at = [], [], 0
    if names:
        yield Batch(names, np.stack(pictures), looked_at)


def reader(how: Preprocessing, convert: bool) -> Callable[[Path], NDArray[np.float32]]:
    """What makes a network's input (3, S, S) of a path; UserError where it is no such picture."""
    return lambda path: prepare(read_rgb(path, convert), how, path)


def chosen_framework(name: str | None) -> Framework:
    """The one called ``name``, else the first that is installed; UserError where it is not."""
    if name is None:
        found = installed(tuple(FRAMEWORKS))
        if not found:
            raise UserError("no framework is installed; pip install 'alexbench[torch]'")
        return framework(found[0])
    row = framework(name)
    missing = row.missing()
    if missing:
        raise UserError(f"framework {name}: {missing}")
    if row.inference is None:
        raise UserError(f"framework {name} has no server: it can neither predict nor embed")
    return row


class Session:
    """One network in a worker that starts with the first batch. Use as a context manager: neither
    the worker nor its files outlive the block."""

    def __init__(self, served: InferenceNetwork, row: Framework, batch_size: int) -> None:
        self._served, self._row, self._batch_size = served, row, batch_size
        self._stack = ExitStack()
        self._worker: Worker | None = None
        self._folder = Path()
        self.difference: float | None = None
        """Of the two ways to an embedding, on the first batch; None before it and for logits."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rows(self, pictures: PreparedImages) -> Outputs:
        """The network's answers; WorkerError where the worker fails or the two ways part."""
        if self._worker is None:
            self._worker = self._started()
        given, out = self._folder / "pictures.npy", self._folder / "rows.npy"
        np.save(given, pictures)
        told = self._worker.answer(given, out, _unheard)
        if "difference" in told:
            self._compare(told["difference"])
        rows: Outputs = np.load(out)
        if not np.isfinite(rows).all():
            raise WorkerError("failed", "the network's answers are not finite numbers")
        return rows

    def _started(self) -> Worker:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory("-alexbench")))
        served = self._served
        case = Case(served.architecture.name, self._row.name, batch_size=self._batch_size)
        worker = self._stack.enter_context(Worker(case, Path(), _LIMITS))
        command = {
            "architecture": served.architecture.to_json(),
            "weights": str(served.file),
            "embedding": served.embedding,
            "batch_size": self._batch_size,
        }
        worker.serve(command, _unheard)
        return worker

    def _compare(self, difference: float | None) -> None:
        if difference is None or difference > TOLERANCE:
            found = "one is not finite" if difference is None else f"they part by {difference:.1e}"
            raise WorkerError(
                "failed",
                f"the slice of the network and {self._row.name}'s own way to "
                f"{self._served.embedding} do not agree: {found}, allowed is {TOLERANCE:g}",
            )
        self.difference = difference


def _unheard(done: float, note: str) -> None:
    """A batch is too short to tell of."""
