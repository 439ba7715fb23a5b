"""The contract between the harness and an implementation: all that may differ lives behind it.

The harness owns the clock, the batches, the schedule and the evaluation; a trainer only does what
it is told. It must not read a clock, draw a random number of its own in the closed track, or keep
data between steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.case import Case
from bench.networks.architecture import Architecture
from bench.networks.init import Weights
from bench.training.recipes.base import Recipe
from bench.training.tracks import track

Images = NDArray[np.uint8]
"""(N, 32, 32, 3), RGB."""
Logits = NDArray[np.float32]
"""(N, classes)."""


@dataclass(frozen=True)
class Setup:
    """What a trainer is built from."""

    case: Case
    architecture: Architecture
    recipe: Recipe
    steps: int
    """Steps of the whole training: what a framework's own schedule needs to know."""
    mean: tuple[float, float, float]
    """Of the training pixels in 0..1, by channel."""
    std: tuple[float, float, float]
    threads: int
    """Intra-op and inter-op threads, the same in every framework."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Fraction of the learning rate by layer; 1 for a layer that is not named."""

    def rate_of(self, weight: str) -> float:
        """Fraction of the learning rate for a weight by its full name."""
        return self.rates.get(weight.rpartition(".")[0], 1.0)

    @property
    def deterministic(self) -> bool:
        """Whether to switch on a framework's mode of repeating its results to the bit.

        In the closed track on the CPU, where it costs nothing that could be measured. For
        accelerators the frameworks warn of its cost, and PyTorch refuses some operations there.
        """
        return track(self.case.track).deterministic and self.case.device == "cpu"


@dataclass(frozen=True)
class StepInput:
    """One training step's input, the same bytes for every framework."""

    images: Images
    labels: NDArray[np.int64]
    masks: Mapping[str, NDArray[np.bool_]]
    """Dropout masks by layer, (B, *features); empty where the track does not share them."""
    learning_rate: float


@dataclass(frozen=True)
class Gradients:
    """One pass of a training step, before the weights move."""

    loss: float
    logits: NDArray[Any]
    """(B, classes), in training mode: with the masks, and the batch's moments in BatchNorm."""
    by_name: Mapping[str, NDArray[Any]]
    """Of every weight, by the core's name and in its layout, without weight decay."""


class Trainer(Protocol):
    """One network on one device. Normalisation and resize happen on the device, inside the step."""

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take weights in the core's layout; UserError before any is taken if one does not fit.

        :func:`bench.networks.weights.check_weights` says what fits.
        """

    def export_weights(self) -> dict[str, NDArray[Any]]:
        """All weights and statistics in the core's layout."""

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue ``steps`` steps, calling ``after_step`` after each (which may sync and pause).

        Fewer when the inputs end before: that is an end like any other.
        """

    def losses(self) -> list[float]:
        """Mean loss of every step (or of every ``train`` call) since the last call, in order."""

    def predict(self, images: Images) -> Logits:
        """Evaluation-mode logits, on the host: the work is done when this returns."""

    def sync(self) -> None:
        """Return when all queued work is done."""

    def settings(self) -> dict[str, Any]:
        """What is in force, read back from the framework: every key of
        :class:`bench.training.settings.Settings`, None where it has no way to tell."""

    def device_memory(self) -> int | None:
        """Peak bytes on the accelerator, None without one."""

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None] | None:
        """A hand-written loop with the same network, batch and precision, and nothing around it.

        The callable runs n steps on one resident batch, normalised and resized beforehand, and
        returns when they are done. The harness's own throughput is held against it. None where a
        framework's own ``fit`` is the loop.
        """

    def bare_predict(self, images: Images) -> Callable[[int], None] | None:
        """The same for evaluation: n forward passes of one batch that is prepared beforehand.

        Only the last pass's logits are brought to the host. None where a framework's own
        ``predict`` is what its users write.
        """


class CertifiableTrainer(Trainer, Protocol):
    """A trainer of the closed track: it can be looked into, so that it can be proven.

    Built with ``precision="float64"`` it computes everything, normalisation included, in float64,
    and ``export_weights`` gives that.
    """

    def gradients(self, step_input: StepInput) -> Gradients:
        """What a step would start from. Weights stay; running statistics may move."""

    def activations(self, images: Images) -> Mapping[str, NDArray[Any]]:
        """Evaluation mode: the prepared pictures as ``input``, and the output of every layer.

        By the layer's name, in the core's layouts: (B, C, H, W), or (B, F) in the order C·H·W.
        Layers that do nothing in evaluation (dropout) may be left out.
        """


TrainerFactory = Callable[[Setup], Trainer]


PreparedImages = NDArray[np.float32]
"""(B, 3, S, S), prepared."""


Outputs = NDArray[np.float32]
"""(B, classes) or (B, features), on the host."""


@dataclass(frozen=True)
class InferenceSetup:
    """What a server is built from."""

    architecture: Architecture
    weights: Weights
    """All that the architecture has, in the core's names and layouts."""
    embedding: str | None
    """The layer whose output the two ``embed`` methods give; None where only logits are wanted."""
    batch_size: int
    """Pictures in a full batch: what comes last may have fewer."""
    threads: int
    """Intra-op and inter-op threads, the same in every framework."""
    device: str = "cpu"


class InferenceModel(Protocol):
    """One network in evaluation mode, in float32 (no TF32)."""

    def logits(self, pictures: PreparedImages) -> Outputs:
        """(B, classes) for any B."""

    def embed(self, pictures: PreparedImages) -> Outputs:
        """(B, features): looked at inside the framework's own network (a hook, a sub-model)."""

    def embed_by_slice(self, pictures: PreparedImages) -> Outputs:
        """The same another way: the layers up to there, taken out and run one after the other."""


InferenceFactory = Callable[[InferenceSetup], InferenceModel]


@dataclass(frozen=True)
class MatMul:
    """(m, k) @ (k, n) -> (m, n)."""

    operation: ClassVar[str] = "matmul"
    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """A multiplication and an addition for each of the k terms of every entry."""
        return 2 * self.m * self.k * self.n

    @property
    def text(self) -> str:
        """As it is shown."""
        return f"{self.m}x{self.k} @ {self.k}x{self.n}"


@dataclass(frozen=True)
class Conv:
    """Stride 1, an odd kernel, zeros around the picture so that its sides stay as they are."""

    operation: ClassVar[str] = "conv"
    batch: int
    side: int
    inputs: int
    outputs: int
    kernel: int

    @property
    def flops(self) -> int:
        """2·N·Ho·Wo·Co·Ci·kh·kw; products with the zeros around are counted, as in `spec`."""
        places = self.batch * self.side**2
        return 2 * places * self.outputs * self.inputs * self.kernel**2

    @property
    def text(self) -> str:
        """As it is shown."""
        kernel = f"{self.kernel}x{self.kernel} {self.inputs}->{self.outputs}"
        return f"{kernel} at {self.side}x{self.side}, batch {self.batch}"


Operation = MatMul | Conv


Run = Callable[[int], None]
"""Carries an operation out so many times and returns when the last result is there."""


Maker = Callable[[Operation, str], Run]
"""From an operation and a precision, with operands made and code compiled as the framework does."""


MakerFactory = Callable[[int], Maker]
"""From the number of threads; what ``ceiling`` of a row in `frameworks` names."""


@dataclass(frozen=True)
class LayerPair:
    """One layer twice. Calling a side does forward and backward and waits for both."""

    layer: str
    shape: tuple[int, ...]
    """Of its input in the framework's own order, with the batch."""
    theirs_name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    difference: Callable[[], float]
    """Largest difference between the two, output and gradient, relative to the largest value."""
