"""The contract between the suite and an implementation: everything an implementation must offer.

The harness owns the clock, the batches, the schedule and the evaluation. A trainer carries out what
it is given: it must not read a clock, draw random numbers of its own in the closed track, or retain
data between steps.

A row of `bench.training.frameworks` names a factory for each part: :data:`TrainerFactory`,
:data:`InferenceFactory`, :data:`Explain`, :data:`MakerFactory` (operations for the peak),
:data:`LayerPairFactory`, :data:`DeviceProbe`.

Shapes: B images of a batch, N of a dataset, H = W = `Setup.side` pixels (32 for CIFAR-10), C
channels, F features, S pixels of the network's input. Where a method names no error, any exception
may leave it: the measurement fails, and its record has the last line of the exception; an
:class:`~bench.core.errors.UnavailableError` makes it a skipped one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.case import COMPILED, EAGER, GRAPHS, Case
from bench.core.errors import UnavailableError
from bench.core.system.devices import DEVICE_KINDS
from bench.data.dataset import SIDE
from bench.networks.architecture import Architecture
from bench.networks.init import Weights
from bench.training.recipes.base import Recipe
from bench.training.tracks import track

# ---- training

HALVES = ("bfloat16", "float16")
"""Precisions of 16 bits: of products and convolutions, next to weights in float32."""

Images = NDArray[np.uint8]
"""(N, H, W, 3), RGB, 0 to 255. For a head on a frozen trunk: (N, F) float32."""
Logits = NDArray[np.float32]
"""(N, classes)."""


@dataclass(frozen=True)
class Setup:
    """Everything that a trainer is built from.

    Attributes:
        case: What is measured; ``track(case.track)`` says which layers and which precision.
        architecture: The network, layer by layer.
        recipe: Optimiser, schedule and loss.
        steps: Steps of the whole training: what a framework's own schedule needs.
        mean: Of the training pixels in 0..1, by channel.
        std: Of the training pixels in 0..1, by channel.
        threads: Intra-op and inter-op threads, the same in every framework.
        rates: Fraction of the learning rate by layer; 1 for a layer that is not named.
        side: Height and width of the stored images in pixels.
    """

    case: Case
    architecture: Architecture
    recipe: Recipe
    steps: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    threads: int
    rates: Mapping[str, float] = field(default_factory=dict)
    side: int = SIDE

    def rate_of(self, weight: str) -> float:
        """Fraction of the learning rate for a weight by its full name, ``conv1.weight``."""
        return self.rates.get(weight.rpartition(".")[0], 1.0)

    @property
    def device_kind(self) -> str:
        """``cuda`` of ``cuda:1``: a worker sees no other device, so there it is number 0."""
        return self.case.device.partition(":")[0]

    @property
    def compiled(self) -> bool:
        """Whether the case asks for compiled execution, of any form."""
        return self.case.execution != EAGER

    @property
    def graphs(self) -> bool:
        """Whether compiled code is to be replayed as CUDA graphs."""
        return self.case.execution == GRAPHS

    def refuse_executions(
        self, what: str, *, graphs: bool = False, steps: bool = False, xla: bool = False
    ) -> None:
        """Raise UnavailableError where the case asks for an execution that a trainer lacks.

        Args:
            what: The trainer, in the message.
            graphs: Whether it has CUDA graphs.
            steps: Whether it takes several steps in one call of the compiled function.
            xla: Whether it compiles with XLA and without.
        """
        asked = self.case.execution
        if self.graphs and not graphs:
            why = "has no public way to replay a step as a CUDA graph"
        elif self.case.steps_per_execution > 1 and not steps:
            why = "takes one step in each call"
        elif self.case.xla is not None and not xla:
            why = "has no compiled execution both with XLA and without"
        else:
            return
        raise UnavailableError(f"execution {asked}: {what} {why}; take {EAGER} or {COMPILED}")

    @property
    def tf32(self) -> bool:
        """Whether float32 products may be rounded to TensorFloat-32.

        By the name of the precision; next to 16 bits, what stays float32 may be rounded as well.
        Only some accelerators have TF32.
        """
        return DEVICE_KINDS[self.device_kind].tf32 and self.case.precision in ("tf32", *HALVES)

    @property
    def half(self) -> str | None:
        """The 16-bit type that products and convolutions are computed in; None where none is."""
        return self.case.precision if self.case.precision in HALVES else None

    @property
    def deterministic(self) -> bool:
        """Whether to switch on the framework's mode of bitwise repeatable results.

        In the tracks that ask for it, on the CPU, where it costs nothing that could be measured.
        For accelerators the frameworks warn of its cost, and PyTorch refuses some operations there.
        """
        return track(self.case.track).deterministic and self.case.device == "cpu"


@dataclass(frozen=True)
class StepInput:
    """One training step's input, the same bytes for every framework.

    After :meth:`DeviceTrainer.bring_ahead` the arrays are the trainer's own, on its device.

    Attributes:
        images: (B, H, W, 3) uint8; (0, H, W, 3) where the trainer holds the images and the step
            has crops.
        labels: (B,) int64.
        masks: Dropout masks by layer, (B, F) or (B, C, H, W) bool of that layer's output, True
            where a value stays. Empty unless the track shares masks.
        learning_rate: Of this step.
        crops: (B, 4) int32, only for a :class:`HoldingTrainer`: index of the image, top and left of
            the crop in the image with its border, and 1 where it is mirrored.
    """

    images: Images
    labels: NDArray[np.int64]
    masks: Mapping[str, NDArray[np.bool_]]
    learning_rate: float
    crops: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Gradients:
    """Loss, logits and gradients of one training step, before the weights are updated.

    Attributes:
        loss: Mean over the batch.
        logits: (B, classes), in training mode: with the masks, and the batch's moments in
            BatchNorm.
        by_name: Of every weight, by the core's name and in its layout, without weight decay.
    """

    loss: float
    logits: NDArray[Any]
    by_name: Mapping[str, NDArray[Any]]


class Trainer(Protocol):
    """One network on one device. Normalisation and resize happen on the device, inside the step."""

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take all weights and running statistics.

        Args:
            weights: By the core's names, in its layout (OIHW kernels, dense (out, in)).

        Raises:
            UserError: One is missing, unknown, or of another shape or type
                (:func:`bench.networks.weights.check_weights`). Then none has been taken.
        """

    def export_weights(self) -> dict[str, NDArray[Any]]:
        """All weights and running statistics.

        Returns:
            Copies in main memory by the core's names, in its layout.
        """

    def export_state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Everything that the next steps depend on: weights, running statistics, the optimiser's
        slots and counters, and random-number generators.

        Called between two calls of ``train``, or by ``after_step`` when all steps are complete.

        Returns:
            Arrays by name, one after the other: no second copy of everything is in memory. Each may
            share memory with the trainer, and is valid until the next step.
        """

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the state of a trainer of the same setup, before the first step.

        The next losses are those that followed there, with the same bits where the framework
        promises that (``repeatability`` of a row in `frameworks`). Where the state was exported
        within a call of ``train``, a mean loss that is reported for that call covers its steps in
        both trainers.

        Args:
            state: What :meth:`export_state` gave.

        Raises:
            UserError: A name is missing or unknown, or an array has another shape or type.
        """

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue training steps.

        Args:
            inputs: One for each step. When they end early, so does the training.
            steps: How many steps to take at most.
            after_step: Called after each step is queued; it may sync and pause.
        """

    def losses(self) -> list[float]:
        """Training losses since the last call.

        Returns:
            Mean loss of every step (or of every ``train`` call), in order.
        """

    def predict(self, images: Images) -> Logits:
        """Evaluation-mode logits.

        Args:
            images: (B, H, W, 3) uint8, for any B.

        Returns:
            (B, classes) float32 in main memory: the work is complete when this returns.
        """

    def sync(self) -> None:
        """Return when all queued work is complete."""

    def settings(self) -> dict[str, Any]:
        """The settings in force, read back from the framework.

        Returns:
            Every key of :class:`bench.training.settings.Settings`, None where the framework has
            no way to report it. In the ablation also ``defaults``: what of its stages is in force.
        """

    def device_memory(self) -> int | None:
        """Peak memory of the framework's allocator.

        Returns:
            Bytes on the accelerator since the process began; None without an accelerator.
        """

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None] | None:
        """A hand-written training loop with the same network, batch and precision, and no harness.

        The harness's own throughput is compared with it.

        Args:
            step_input: The one batch that every step takes, normalised and resized beforehand.

        Returns:
            A function that takes n steps and returns when they are complete; None where the
            framework's own ``fit`` is the loop.
        """

    def bare_predict(self, images: Images) -> Callable[[int], None] | None:
        """The same for evaluation.

        Args:
            images: The one batch of every pass, normalised and resized beforehand.

        Returns:
            A function that runs n forward passes and transfers the last pass's logits to the host;
            None where the framework's own ``predict`` is what its users write.
        """


class HoldingTrainer(Trainer, Protocol):
    """A trainer that can hold the training images on its device, and cut the batches out there."""

    def hold_images(self, images: Images, labels: NDArray[np.int64], padding: int) -> bool:
        """Copy the images to the device once; afterwards every step has crops instead of images.

        Args:
            images: (N, H, W, 3) uint8.
            labels: (N,) int64.
            padding: Width of the black border around an image, of which a step takes a crop.

        Returns:
            Whether it holds them. Steps have images otherwise.
        """


@dataclass(frozen=True)
class ParallelFacts:
    """How a trainer trains on several devices.

    Attributes:
        method: The framework's name of it.
        backend: What carries gradients between the devices.
        batch_norm: ``local`` (moments of each device's part of the batch) or ``synchronised`` (of
            the whole batch); None without BatchNorm.
        cpus: CPUs of every device, where they have some of their own.
    """

    method: str
    backend: str
    batch_norm: str | None
    cpus: list[list[int]] | None = None


class ParallelTrainer(Trainer, Protocol):
    """A trainer of a case with several devices: every step divides its batch among them."""

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the processes that it has started."""

    def parallel(self) -> ParallelFacts:
        """How it trains."""

    def without_exchange(self) -> AbstractContextManager[None] | None:
        """Steps without communication between the devices.

        Returns:
            A context: gradients are not exchanged in it, and weights must be loaded after it. None
            where the framework cannot leave the exchange out.
        """

    def close(self) -> None:
        """End the processes that it has started. No other method is called afterwards."""


class DeviceClock(Protocol):
    """Time stamps of an accelerator, next to the clock of the host."""

    def mark(self) -> Any:
        """Queue a time stamp after all work that is queued.

        Returns:
            The framework's event, for the other methods.
        """

    def reached(self, mark: Any) -> bool:
        """Whether all work before a mark is done. Does not wait.

        Args:
            mark: What :meth:`mark` returned.
        """

    def seconds(self, first: Any, last: Any) -> float:
        """Time on the device between two marks. Waits for the later one.

        Args:
            first: A mark.
            last: A later mark.

        Returns:
            Seconds.
        """


class DeviceTrainer(Trainer, Protocol):
    """A trainer whose framework has public interfaces to what an accelerator counts, and to its
    queue.

    Each method may be missing: then the framework has none, and a record lacks the figure.
    """

    def device_clock(self) -> DeviceClock | None:
        """The accelerator's own clock; None on a CPU."""

    def through_queue(self) -> None:
        """Queue a small operation after all work that is queued, and return when its result is on
        the host: nothing queued before it is left then.

        For frameworks without a clock of the device.
        """

    def bring_ahead(self, step_input: StepInput) -> StepInput:
        """Bring what a later step needs to the accelerator.

        Called in a thread of its own, a few steps ahead, while the accelerator computes.

        Args:
            step_input: As the harness makes it.

        Returns:
            The same for ``train``, which then transfers nothing.
        """

    def reserved_memory(self) -> int | None:
        """Peak memory that the framework's allocator had reserved, its cache included.

        Returns:
            Bytes on the accelerator; None on a CPU.
        """

    @property
    def small_maps_dense(self) -> bool:
        """Whether training computes convolutions that see all of their map as dense layers, which
        multiply no padding."""


class CertifiableTrainer(Trainer, Protocol):
    """A trainer of a certified track: a parity check can inspect it.

    Built with ``precision="float64"`` it computes everything, normalisation included, in float64,
    and ``export_weights`` returns float64.
    """

    def gradients(self, step_input: StepInput) -> Gradients:
        """Loss, logits and gradients of one step, without its update.

        Args:
            step_input: One batch.

        Returns:
            What the update would be computed from. The weights do not change; running statistics
            may.
        """

    def activations(self, images: Images) -> Mapping[str, NDArray[Any]]:
        """Outputs of all layers in evaluation mode.

        Args:
            images: (B, H, W, 3) uint8.

        Returns:
            The prepared images as ``input`` and every layer's output by its name, in the core's
            layouts: (B, C, H, W), or (B, F) in the order C·H·W. Layers that do nothing in
            evaluation (dropout) may be missing.
        """


TrainerFactory = Callable[[Setup], Trainer]
"""What ``trainer`` of a row in `frameworks` names."""

# ---- inference

PreparedImages = NDArray[np.float32]
"""(B, 3, S, S), normalised and resized."""


Outputs = NDArray[np.float32]
"""(B, classes) or (B, features), in main memory."""


@dataclass(frozen=True)
class InferenceSetup:
    """Everything that an inference model is built from.

    Attributes:
        architecture: The network, layer by layer.
        weights: All that the architecture has, in the core's names and layouts.
        embedding: The layer whose output the two ``embed`` methods return; None where only logits
            are needed.
        batch_size: Images in a full batch; the last one may have fewer.
        threads: Intra-op and inter-op threads, the same in every framework.
        device: As a case has it: ``cpu``, ``cuda``, ``cuda:1``, …
    """

    architecture: Architecture
    weights: Weights
    embedding: str | None
    batch_size: int
    threads: int
    device: str = "cpu"

    @property
    def device_kind(self) -> str:
        """As :attr:`Setup.device_kind`."""
        return self.device.partition(":")[0]


class InferenceModel(Protocol):
    """One network in evaluation mode, in float32 (no TF32)."""

    def logits(self, images: PreparedImages) -> Outputs:
        """Logits of a batch.

        Args:
            images: (B, 3, S, S) float32, for any B.

        Returns:
            (B, classes) float32.
        """

    def embed(self, images: PreparedImages) -> Outputs:
        """The embedding layer's output, read inside the framework's network (a hook, a sub-model).

        Args:
            images: (B, 3, S, S) float32, for any B.

        Returns:
            (B, features) float32.
        """

    def embed_by_slice(self, images: PreparedImages) -> Outputs:
        """The same by a second method: the layers up to the embedding, run one after the other.

        Args:
            images: (B, 3, S, S) float32, for any B.

        Returns:
            (B, features) float32.
        """


InferenceFactory = Callable[[InferenceSetup], InferenceModel]
"""What ``inference`` of a row in `frameworks` names."""

# ---- explanations


@dataclass(frozen=True)
class Explanation:
    """Grad-CAM of a batch of images (Selvaraju et al. 2017, equations 1 and 2).

    Attributes:
        logits: (B, classes) float32.
        classes: (B,) int64, the class of each map.
        maps: (B, S, S) float32, 0 to 1: how strongly each pixel supports the class, relative to
            the one that supports it most; interpolated bilinearly from the layer's map.
    """

    logits: Outputs
    classes: NDArray[np.int64]
    maps: NDArray[np.float32]


Explain = Callable[[InferenceSetup, PreparedImages, int | None], Explanation]
"""From a network (``embedding`` names the layer whose map is weighted), images and a class (None:
the most probable one of each image) to its explanation. What ``explain`` of a row in `frameworks`
names."""

# ---- operations for the peak of a machine


@dataclass(frozen=True)
class MatMul:
    """Matrix product: (m, k) @ (k, n) -> (m, n)."""

    operation: ClassVar[str] = "matmul"
    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """Floating-point operations: 2·m·k·n."""
        return 2 * self.m * self.k * self.n

    @property
    def text(self) -> str:
        """The shape as tables show it."""
        return f"{self.m}x{self.k} @ {self.k}x{self.n}"


@dataclass(frozen=True)
class Conv:
    """Convolution at stride 1 with an odd kernel, padded so that the map keeps its size.

    (batch, inputs, side, side) -> (batch, outputs, side, side).
    """

    operation: ClassVar[str] = "conv"
    batch: int
    side: int
    inputs: int
    outputs: int
    kernel: int

    @property
    def flops(self) -> int:
        """2·N·Ho·Wo·Co·Ci·kh·kw; products with padding are counted, as in `architecture`."""
        positions = self.batch * self.side**2
        return 2 * positions * self.outputs * self.inputs * self.kernel**2

    @property
    def text(self) -> str:
        """The shape as tables show it."""
        kernel = f"{self.kernel}x{self.kernel} {self.inputs}->{self.outputs}"
        return f"{kernel} at {self.side}x{self.side}, batch {self.batch}"


Operation = MatMul | Conv


Run = Callable[[int], None]
"""Carries an operation out n times and returns when the last result is complete."""


Maker = Callable[[Operation, str], Run]
"""From an operation and a precision (``float32``, ``tf32``, ``bfloat16``, ``float16``): operands
are allocated and code is compiled as the framework does, so that a run times only the operation.
May raise any error for what the framework lacks."""


MakerFactory = Callable[[int, str], Maker]
"""From the number of threads and the device; what ``ceiling`` of a row in `frameworks` names."""

# ---- single layers


@dataclass(frozen=True)
class LayerPair:
    """One layer in the suite's form and in the framework's.

    Attributes:
        layer: The row's name.
        shape: Of the input in the framework's own order, batch included.
        theirs_name: What the framework calls its form.
        ours: Forward and backward of the suite's form, complete when it returns.
        theirs: The same of the framework's form.
        difference: Largest difference between the two, output and gradient, relative to the
            largest value.
    """

    layer: str
    shape: tuple[int, ...]
    theirs_name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    difference: Callable[[], float]


LayerPairFactory = Callable[[Setup], Iterator[LayerPair]]
"""What ``layer_pairs`` of a row in `frameworks` names: a pair for each layer that has two forms."""

# ---- devices


@dataclass(frozen=True)
class DeviceReport:
    """The device on which a framework computed.

    Attributes:
        device: As it was read back from a tensor.
        name: The framework's name of the accelerator; None on a CPU.
    """

    device: str
    name: str | None = None


DeviceProbe = Callable[[str], DeviceReport]
"""From a kind of device (``cuda``) to where a small operation ran; may raise any error.
What ``device_probe`` of a row in `frameworks` names."""
