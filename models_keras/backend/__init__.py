"""Keras's backends, a module each: everything that only one of them can do, or does differently.

A backend is one file, ``backend/<name>.py`` with the names of :class:`Backend`; nothing outside of
it imports the framework. :func:`current` gives the one of this process.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import keras
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.dataset import SIDE
from bench.training.interfaces import DeviceClock, Run
from bench.training.recipes.base import Recipe
from models_keras.crops import cut


@dataclass(frozen=True)
class Network:
    """What a backend's step is made from."""

    prepare: keras.layers.Layer
    """uint8 images -> normalised and resized images"""
    training: keras.Model
    """[images, *masks] -> logits"""
    evaluation: keras.Model
    """images -> logits, over the same layers"""
    recipe: Recipe
    rates: list[float]
    """Fraction of the learning rate of every trainable variable, in their order."""
    compiled: bool
    """Whether the step is compiled, as far as the backend does."""
    graphs: bool = False
    """Whether compiled code is replayed as CUDA graphs."""
    xla: bool = False
    """Whether XLA compiles it, where the backend compiles without as well."""
    side: int = SIDE
    """Height and width of the stored images."""

    def prepared(self, images: Any) -> Any:
        """The network's input from uint8 images, or from held images and crops of them."""
        if isinstance(images, tuple):
            held, crops = images
            images = cut(held, crops, self.side)
        return self.prepare(images)


class BackendStep(Protocol):
    """A compiled training step and a compiled forward pass of the closed track.

    It takes arrays of the host, and those that ``bring`` has returned.

    Images are (B, 32, 32, 3) uint8, or a pair of held images on the device and crops (B, 4) int32
    of them (`models_keras.crops.cut`). Labels are (B,) int64, masks (B, *features) bool, one
    per dropout.
    """

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step; return its loss as the backend's scalar."""

    def bring(self, images: Any, labels: Any, masks: list[Any], rate: float) -> tuple[Any, ...]:
        """The arguments of a later ``train`` on the device, so that the step transfers nothing."""

    def forward(self, images: Any) -> Any:
        """Queue the evaluation-mode forward pass: (B, classes) logits."""

    def sync(self) -> None:
        """Wait for all queued work."""

    def through_queue(self) -> None:
        """As :meth:`bench.training.interfaces.DeviceTrainer.through_queue`."""

    def store(self) -> None:
        """Write the state back to the Keras variables."""

    def reload(self) -> None:
        """Take the state from the Keras variables."""

    def export_slots(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The optimiser's state by name, an array at a time, each valid until the next step."""

    def load_slots(self, slots: Mapping[str, NDArray[Any]]) -> None:
        """Take it; UserError where it is of another network or optimiser."""

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits, and the gradients of the trainable variables in their order."""

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """n steps on one prepared batch, synced at the end."""

    def bare_forward(self, images: Any) -> Callable[[int], None]:
        """n evaluation-mode forward passes of one prepared batch, synced at the end."""

    def settings(self) -> dict[str, Any]:
        """``execution`` and ``jit_compile`` of a step."""

    def devices(self) -> int:
        """Devices that hold the weights and a part of each batch."""

    def compiled_step(self) -> Any:
        """The function that ``train`` calls, for :meth:`Backend.compilation`."""


@dataclass(frozen=True)
class Convolutions:
    """Where a backend's convolutions are slow on the CPU (`models_keras.layers.conv`)."""

    slow_on_small_maps: bool = False
    """Whether a window larger than the map misses the fast kernel."""
    slow_in_groups: bool = False
    """Whether one convolution for each group is faster than one in groups."""
    faster_as_dense: bool = False
    """Whether a matrix product is faster where every window sees all of the map."""


class Backend(Protocol):
    """The names that ``backend/<name>.py`` has."""

    JIT: bool
    """``jit_compile`` of the tuned track and of inference on the CPU."""
    KEEPS_CONSTANTS: bool
    """Whether a tensor may be kept from call to call: calls are not traced."""
    COMPILES: bool
    """Whether the backend compiles a step unless it is told not to."""
    GRAPHS: bool
    """Whether compiled code of the closed track can be replayed as CUDA graphs."""
    XLA: bool
    """Whether the backend compiles with XLA or without, as it is told."""
    STEPS_PER_EXECUTION: bool
    """Whether ``fit`` takes several steps in one call of the compiled function."""
    CONVOLUTIONS: Convolutions
    SGD: type[keras.optimizers.SGD]
    """Keras's SGD with momentum, or a class of the same arithmetic in fewer passes over memory."""
    Step: Callable[[Network], BackendStep]

    def configure(self, threads: int, deterministic: bool, device: str, tf32: bool) -> None:
        """Set threads, determinism, the kind of device, and whether float32 products may be rounded
        to TF32; before the first operation.

        Raises UserError where the backend cannot use the device.
        """

    def held_dtype(self) -> str:
        """The type in which images are held on the device: one that holds every byte, and that the
        backend gathers there."""

    def wait(self, model: keras.Model) -> None:
        """Return when all work that ``fit`` has queued is done."""

    def through_queue(self, model: keras.Model) -> None:
        """As :meth:`bench.training.interfaces.DeviceTrainer.through_queue`, after what ``fit`` has
        queued."""

    def peak_memory(self) -> int | None:
        """Peak bytes of the allocator on the accelerator; None without one."""

    def peak_reserved(self) -> int | None:
        """Peak bytes that the allocator had taken from the accelerator; None without one, or where
        the backend does not say."""

    def device_clock(self) -> DeviceClock | None:
        """Time stamps of the accelerator; None without one, or where the framework has no public
        interface to them."""

    def compilation(self, step: Any, *, jit: bool) -> dict[str, int | float] | None:
        """What has been compiled; None where nothing has, or nothing counts it.

        ``graphs`` and ``recompilations``; on PyTorch ``graph_breaks``, on JAX ``seconds``.

        Args:
            step: The function that trains, as far as it is compiled.
            jit: Whether a compiler generates its kernels.
        """

    def use_precision(self, precision: str) -> None:
        """Allow or forbid float64."""

    def fed(self, batches: Iterable[Any]) -> Any:
        """What ``fit`` takes for the harness's batches of (images or crops, labels)."""

    def export_random(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The process's own generators; layers have theirs, whose states are Keras variables."""

    def load_random(self, states: Mapping[str, NDArray[Any]]) -> None:
        """Set them."""

    def in_backend(self, kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
        """The backend's part of :class:`bench.training.settings.Settings`.

        ``axes`` names the activation's axes, such as NHWC.
        """

    def compiled(self, function: Callable[..., Any], operands: Sequence[Any]) -> Run:
        """A function compiled as the backend does, on fixed operands."""

    def own_lrn(self, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        """The backend's own local response normalisation of (B, H, W, C); None where it has none
        for these constants."""

    def forward_and_backward(self, layer: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
        """(x, gradient) -> (y, dx), compiled as the backend does and waited for."""


def current() -> Backend:
    """The backend of this process."""
    name = keras.backend.backend()
    return cast(Backend, importlib.import_module(f"models_keras.backend.{name}"))


def unusable(device: str, package: str, install: str) -> UserError:
    """The error of a device that a backend cannot use."""
    return UserError(
        f"device {device}: {package} cannot use it here; {install}, or take --device cpu"
    )
