"""Inference for a user's images: read and preprocess here, compute in a worker, batch by batch.

Only one batch is in memory at a time. An image that cannot be used is reported and skipped; no
worker starts before there is an image for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.core.limits import Limits
from bench.data.pixels import Conversions
from bench.inference.images import read_rgb
from bench.inference.limits import MAX_PIXELS
from bench.inference.transforms import prepare
from bench.networks.inference import InferenceNetwork
from bench.networks.preprocessing import Preprocessing
from bench.training.frameworks import FRAMEWORKS, Framework, framework, installed
from bench.training.interfaces import Outputs, PreparedImages
from bench.worker.client import Worker, WorkerError
from bench.worker.device.probing import choose

TOLERANCE = 1e-6
"""Allowed difference of the two ways to compute an embedding, over its largest entry. Measured: 0
in PyTorch, up to 3e-7 where one way is compiled and the other is not."""

_LIMITS = Limits(timeout_seconds=900)
"""For loading or one batch: far longer than either takes, so that only a hung worker is stopped."""


@dataclass(frozen=True)
class Batch:
    """A batch of preprocessed images.

    Attributes:
        names: Paths of the images.
        images: (B, 3, S, S) float32.
        examined: Files read for this batch, including those that were rejected.
    """

    names: list[str]
    images: PreparedImages
    examined: int


def batches(
    paths: Iterable[Path],
    read: Callable[[Path], NDArray[np.float32]],
    size: int,
    on_rejected: Callable[[str], None],
) -> Iterator[Batch]:
    """Batches of up to ``size`` images, in order; ``on_rejected`` gets the reason for a skip."""
    names: list[str] = []
    images: list[NDArray[np.float32]] = []
    examined = 0
    for path in paths:
        examined += 1
        try:
            images.append(read(path))
        except UserError as error:
            on_rejected(str(error))
            continue
        names.append(str(path))
        if len(names) == size:
            yield Batch(names, np.stack(images), examined)
            names, images, examined = [], [], 0
    if names:
        yield Batch(names, np.stack(images), examined)


def image_reader(
    preprocessing: Preprocessing,
    convert: bool,
    *,
    max_pixels: int = MAX_PIXELS,
    conversions: Conversions | None = None,
) -> Callable[[Path], NDArray[np.float32]]:
    """A function from a path to the network's input, (3, S, S); it raises UserError.

    Arguments as of `bench.inference.images.read_rgb`.
    """

    def read(path: Path) -> NDArray[np.float32]:
        image = read_rgb(path, convert, max_pixels=max_pixels, conversions=conversions)
        return prepare(image, preprocessing, path)

    return read


def chosen_framework(name: str | None, device: str = "cpu") -> tuple[Framework, str, str]:
    """The framework and the device for inference.

    Args:
        name: A framework; None takes the first that is installed and can use the device.
        device: What ``--device`` says.

    Returns:
        The framework, the device as a case has it, and a line for the user where there is one.

    Raises:
        UserError: The framework is unknown, not installed, or has no inference; or the device
            cannot be used.
    """
    if name is not None:
        choice = choose(device, (_named(name).name,))
        return framework(name), choice.device, choice.words
    found = tuple(installed(tuple(FRAMEWORKS)))
    if not found:
        raise UserError("no framework is installed; pip install 'alexbench[torch]'")
    first, *others = found
    try:
        choice = choose(device, (first,))
    except UserError:
        choice = choose(device, tuple(others)) if others else choose(device, (first,))
        first = choice.usable(others)[0]
    return framework(first), choice.device, choice.words


def _named(name: str) -> Framework:
    row = framework(name)
    missing = row.missing()
    if missing:
        raise UserError(f"framework {name}: {missing}")
    if row.inference is None:
        raise UserError(f"framework {name} has no server: it can neither predict nor embed")
    return row


class InferenceSession:
    """An inference session: one network in a worker that starts with the first batch.

    A context manager: neither the worker nor its files outlive the block.

    Attributes:
        difference: Of the two ways to compute an embedding, relative, on the first batch; None
            before it and for logits.
    """

    def __init__(
        self, network: InferenceNetwork, row: Framework, batch_size: int, device: str = "cpu"
    ) -> None:
        self._network, self._row, self._batch_size = network, row, batch_size
        self._device = device
        self._stack = ExitStack()
        self._worker: Worker | None = None
        self._folder = Path()
        self.difference: float | None = None

    def __enter__(self) -> InferenceSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, images: PreparedImages) -> Outputs:
        """The network's output for a batch, (B, classes) or (B, features).

        Raises:
            WorkerError: The worker fails, the output is not finite, or the two ways to compute an
                embedding differ.
        """
        if self._worker is None:
            self._worker = self._started()
        given, out = self._folder / "images.npy", self._folder / "output.npy"
        np.save(given, images)
        difference = self._worker.infer(given, out)
        if difference is not None:
            self._compare(difference)
        rows: Outputs = np.load(out)
        if not np.isfinite(rows).all():
            raise WorkerError("failed", "the network's output is not finite")
        return rows

    def _started(self) -> Worker:
        self._folder = Path(self._stack.enter_context(temporary_directory()))
        network = self._network
        names = (network.architecture.name, self._row.name)
        case = Case(*names, batch_size=self._batch_size, device=self._device)
        worker = self._stack.enter_context(Worker(case, Path(), _LIMITS))
        command = {
            "architecture": network.architecture.to_json(),
            "weights": str(network.file),
            "embedding": network.embedding,
            "batch_size": self._batch_size,
        }
        worker.open_inference(command)
        return worker

    def _compare(self, difference: float) -> None:
        if not difference <= TOLERANCE:
            nan = math.isnan(difference)
            found = "one is not finite" if nan else f"they differ by {difference:.1e}"
            raise WorkerError(
                "failed",
                f"the slice of the network and {self._row.name}'s own access to "
                f"{self._network.embedding} do not agree: {found}, allowed is {TOLERANCE:g}",
            )
        self.difference = difference
