"""What a network looks at: Grad-CAM over a user's images, and the filters of its first layer."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.core.limits import Limits
from bench.networks.architecture import Architecture, Conv, ReLU
from bench.networks.inference import InferenceNetwork
from bench.networks.init import Weights
from bench.networks.preprocessing import Preprocessing
from bench.training.frameworks import Framework
from bench.training.interfaces import Explanation, PreparedImages
from bench.worker.client import Worker

_LIMITS = Limits(timeout_seconds=900)
_SMALLEST = 256
"""Pixels of a side on a sheet, at least: images of 32 are enlarged."""
_OPACITY = 0.5
_GAP, _HEADER = 8, 30
_INK, _PAPER = (28, 28, 32), (255, 255, 255)
_COLUMNS = 16
"""Filters in a row of a sheet."""


def explainable_layer(architecture: Architecture, name: str | None = None) -> str:
    """The layer whose map is weighted.

    Args:
        architecture: The network.
        name: A ReLU among its convolutions; None takes the last one.

    Raises:
        UserError: There is no such ReLU; the message names those there are.
    """
    steps = architecture.steps()
    known = [s.layer.name for s in steps if isinstance(s.layer, ReLU) and len(s.after) == 3]
    if name is None:
        return known[-1]
    if name not in known:
        raise UserError(f"--layer {name}: Grad-CAM takes one of {', '.join(known)}")
    return name


class Explainer:
    """Grad-CAM of a network in one framework, in a worker that starts with the first batch.

    A context manager: neither the worker nor its files outlive the block.
    """

    def __init__(
        self, network: InferenceNetwork, row: Framework, layer: str, device: str = "cpu"
    ) -> None:
        """Raises UserError where the framework has no Grad-CAM.

        Args:
            network: With its weights.
            row: The framework.
            layer: Name of the layer whose map is weighted.
            device: As a case has it.
        """
        if row.explain is None:
            raise UserError(f"framework {row.name} has no Grad-CAM")
        self._network, self._row, self._layer, self._device = network, row, layer, device
        self._stack = ExitStack()
        self._worker: Worker | None = None
        self._folder = Path()

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def explain(self, images: PreparedImages, wanted: int | None = None) -> Explanation:
        """Which places speak for a class.

        Args:
            images: (B, 3, S, S).
            wanted: The class; None takes the most probable one of each image.

        Raises:
            WorkerError: The worker fails.
        """
        if self._worker is None:
            self._worker = self._started(len(images))
        given, out = self._folder / "images.npy", self._folder / "out.npz"
        np.save(given, images)
        command = {
            "architecture": self._network.architecture.to_json(),
            "weights": str(self._network.file),
            "embedding": self._layer,
            "batch_size": len(images),
            "images": str(given),
            "class": wanted,
            "out": str(out),
        }
        self._worker.explain(command)
        with np.load(out) as arrays:
            return Explanation(arrays["logits"], arrays["classes"], arrays["maps"])

    def _started(self, batch_size: int) -> Worker:
        self._folder = Path(self._stack.enter_context(temporary_directory()))
        names = (self._network.architecture.name, self._row.name)
        case = Case(*names, batch_size=batch_size, device=self._device)
        return self._stack.enter_context(Worker(case, Path(), _LIMITS))


def shown(images: PreparedImages, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The pixels that a network was given, (B, S, S, 3), from its normalised input."""
    mean, std = (np.array(each).reshape(3, 1, 1) for each in preprocessing.in_unit)
    pixels = np.clip(np.rint((images * std + mean) * 255), 0, 255)
    found: NDArray[np.uint8] = pixels.astype(np.uint8).transpose(0, 2, 3, 1)
    return found


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32], title: str) -> Image.Image:
    """The image that the network saw, and next to it the same under its map of heat.

    Args:
        pixels: (S, S, 3).
        heat: (S, S), 0 to 1.
        title: Written above.
    """
    coloured = colormaps["inferno"](heat)[..., :3]
    mixed = (1 - _OPACITY) * pixels + _OPACITY * 255 * coloured
    scale = -(-_SMALLEST // len(pixels))
    side = scale * len(pixels)
    sheet = Image.new("RGB", (2 * side + 3 * _GAP, side + 2 * _GAP + _HEADER), _PAPER)
    font = ImageFont.load_default(15)
    ImageDraw.Draw(sheet).text((_GAP, _GAP), title, _INK, font)
    for place, part in enumerate((pixels, np.rint(mixed).astype(np.uint8))):
        enlarged = Image.fromarray(part).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (_GAP + place * (side + _GAP), _GAP + _HEADER))
    return sheet


def filters(architecture: Architecture, tensors: Weights, title: str) -> Image.Image:
    """A contact sheet of the first convolution's kernels.

    Each is scaled on its own: grey is 0, and the largest magnitude is white or black.
    """
    first = next(row for row in architecture.layers if isinstance(row, Conv))
    kernels = tensors[f"{first.name}.weight"]  # (F, 3, k, k)
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    shares = 0.5 + kernels / np.maximum(2 * largest, 1e-30)
    tiles = np.rint(255 * shares).astype(np.uint8).transpose(0, 2, 3, 1)
    side = max(1, round(44 / first.kernel)) * first.kernel
    count, step = len(tiles), side + _GAP // 2
    rows = -(-count // _COLUMNS)
    size = (_COLUMNS * step + 2 * _GAP, rows * step + 2 * _GAP + _HEADER)
    sheet = Image.new("RGB", size, _PAPER)
    font = ImageFont.load_default(15)
    words = f"{title}: {count} kernels of {first.name}, {first.kernel}x{first.kernel}"
    ImageDraw.Draw(sheet).text((_GAP, _GAP), words, _INK, font)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, _COLUMNS)
        enlarged = Image.fromarray(tile).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (_GAP + column * step, _GAP + _HEADER + row * step))
    return sheet


def class_called(network: InferenceNetwork, wanted: str) -> int:
    """The index of a class by its name, or by its number where none is called so.

    Raises:
        UserError: There is no such class, or several have the name.
    """
    names = [network.label(index) for index in range(network.width)]
    found = [i for i, name in enumerate(names) if name.casefold() == wanted.casefold()]
    if len(found) == 1:
        return found[0]
    if wanted.isdecimal() and int(wanted) < network.width:
        return int(wanted)
    if found:
        raise UserError(f"--class {wanted}: {len(found)} classes are called so; give its number")
    known = ", ".join(names) if len(names) <= 20 else f"numbers 0 to {network.width - 1}"
    raise UserError(f"--class {wanted}: no such class; known: {known}")
