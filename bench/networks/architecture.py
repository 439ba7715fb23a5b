"""Networks as data: layers, and everything that follows from them by arithmetic.

An :class:`Architecture` is a tuple of layer rows. Shapes, parameters and floating-point operations
are computed here, so that the implementations can be compared with them. Nothing here knows
a framework.

Conventions: one image has the shape (channels, height, width); a weight has the layout that
PyTorch uses (convolutions OIHW, dense (out, in) over C·H·W); every trainer converts from that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.core.errors import UserError, unknown

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One row of a network; ``name`` prefixes the names of its weights."""

    kind: ClassVar[str] = ""
    normalisation: ClassVar[str] = ""
    """What reports call it, of a layer that normalises."""
    name: str

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample after the layer, from the shape before it."""
        return shape

    def weights(self, shape: Shape) -> dict[str, Shape]:
        """Trainable weights by full name, for an input of ``shape``.

        A scale is a ``.weight`` with one dimension; it starts at 1, offsets at 0.
        """
        return {}

    def statistics(self, shape: Shape) -> dict[str, Shape]:
        """Weights that are updated but not trained (BatchNorm's running moments)."""
        return {}

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates of the forward pass of one sample (convolution and dense only)."""
        return 0


@dataclass(frozen=True)
class Conv(Layer):
    """2-D convolution with explicit (before, after) padding, the same in height and width."""

    kind: ClassVar[str] = "conv"
    filters: int
    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    def output_shape(self, shape: Shape) -> Shape:
        channels, height, width = _spatial(self, shape)
        if channels % self.groups or self.filters % self.groups:
            raise UserError(
                f"layer {self.name}: {channels} -> {self.filters} channels cannot be cut into "
                f"{self.groups} groups"
            )
        return self.filters, self._extent(height), self._extent(width)

    def _extent(self, size: int) -> int:
        extent = (size + sum(self.padding) - self.kernel) // self.stride + 1
        return _at_least_one(self, size, extent)

    def weights(self, shape: Shape) -> dict[str, Shape]:
        fan = (self.filters, shape[0] // self.groups, self.kernel, self.kernel)
        return {f"{self.name}.weight": fan, f"{self.name}.bias": (self.filters,)}

    def macs(self, shape: Shape) -> int:
        per_output = shape[0] // self.groups * self.kernel**2
        return math.prod(self.output_shape(shape)) * per_output

    def sees_all(self, shape: Shape) -> bool:
        """Whether every window reaches over the whole map of an input of (C, H, W), which comes
        out as large as it went in: then it is a dense layer from all places to all places."""
        reach = (self.kernel - 1) // 2
        same = self.stride == 1 and self.kernel % 2 == 1 and self.padding == (reach, reach)
        return same and self.groups == 1 and reach >= max(shape[1:]) - 1


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation over the channel axis.

    ``momentum`` is the weight of the old running value (Keras's sense; PyTorch's is 1 - this).
    ``unbiased`` says whether the running variance takes n - 1 (PyTorch) or n (Keras): the closed
    track computes the row's choice in both, since evaluation could not agree otherwise.
    """

    kind: ClassVar[str] = "batch_norm"
    normalisation: ClassVar[str] = "BatchNorm"
    eps: float = 1e-5  # PyTorch's; Keras has 1e-3
    momentum: float = 0.9  # PyTorch's; Keras's 0.99 needs hundreds of steps before it can evaluate
    unbiased: bool = False  # Keras's, which needs no second correction when batches differ in size

    def weights(self, shape: Shape) -> dict[str, Shape]:
        return {f"{self.name}.weight": shape[:1], f"{self.name}.bias": shape[:1]}

    def statistics(self, shape: Shape) -> dict[str, Shape]:
        return {f"{self.name}.running_mean": shape[:1], f"{self.name}.running_var": shape[:1]}


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """x / (k + alpha / size * sum of x² over ``size`` neighbouring channels) ** beta.

    Krizhevsky et al. 2012, section 3.3, does not divide alpha by size and takes k = 2. Caffe,
    BVLC's AlexNet and PyTorch divide, with k = 1: these constants are BVLC's.
    """

    kind: ClassVar[str] = "lrn"
    normalisation: ClassVar[str] = "LRN"
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class ReLU(Layer):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over ``size`` × ``size`` windows, no padding; a rest that fills no window is cut."""

    kind: ClassVar[str] = "max_pool"
    size: int
    stride: int

    def output_shape(self, shape: Shape) -> Shape:
        channels, *extents = _spatial(self, shape)
        pooled = [
            _at_least_one(self, extent, (extent - self.size) // self.stride + 1)
            for extent in extents
        ]
        return channels, *pooled


@dataclass(frozen=True)
class Flatten(Layer):
    """(C, H, W) -> (C·H·W), in that order whatever the framework's memory layout."""

    kind: ClassVar[str] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@dataclass(frozen=True)
class Dropout(Layer):
    """Zero a fraction ``rate`` of the inputs while training and scale the rest by 1/(1-rate)."""

    kind: ClassVar[str] = "dropout"
    rate: float


@dataclass(frozen=True)
class Dense(Layer):
    """Fully connected layer."""

    kind: ClassVar[str] = "dense"
    units: int

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise UserError(f"layer {self.name}: a dense layer needs a flat input, got {shape}")
        return (self.units,)

    def weights(self, shape: Shape) -> dict[str, Shape]:
        return {f"{self.name}.weight": (self.units, *shape), f"{self.name}.bias": (self.units,)}

    def macs(self, shape: Shape) -> int:
        return self.units * shape[0]


LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (Conv, BatchNorm, LocalResponseNorm, ReLU, MaxPool, Flatten, Dropout, Dense)
}


def _spatial(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise UserError(f"layer {layer.name}: needs a (channels, height, width) input, got {shape}")
    return shape[0], shape[1], shape[2]


def _at_least_one(layer: Layer, before: int, after: int) -> int:
    if after < 1:
        raise UserError(
            f"layer {layer.name}: nothing is left of an extent of {before}; the input is too small"
        )
    return after


@dataclass(frozen=True)
class Step:
    """A layer in its place: the shapes of one sample before and after it."""

    layer: Layer
    before: Shape
    after: Shape


@dataclass(frozen=True)
class Architecture:
    """A network: rows of layers from an image of ``input_size`` to logits."""

    name: str
    source: str
    input_size: int
    layers: tuple[Layer, ...]
    channels: int = 3
    features: int | None = None
    """Length of the vector that the network takes instead of an image: the features that another
    network computed of it. None for images."""

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample before the first layer."""
        if self.features is not None:
            return (self.features,)
        return self.channels, self.input_size, self.input_size

    def steps(self) -> Iterator[Step]:
        """Yield every layer with the shapes around it. Raises UserError where they do not fit."""
        shape = self.input_shape
        for layer in self.layers:
            after = layer.output_shape(shape)
            yield Step(layer, shape, after)
            shape = after

    @property
    def classes(self) -> int:
        """Number of logits."""
        *_, last = self.steps()
        return last.after[0]

    def weight_shapes(self) -> dict[str, Shape]:
        """Trainable weights by name, in the order of the layers."""
        return {k: v for step in self.steps() for k, v in step.layer.weights(step.before).items()}

    def statistic_shapes(self) -> dict[str, Shape]:
        """Untrained state (running moments) by name, in the order of the layers."""
        return {
            k: v for step in self.steps() for k, v in step.layer.statistics(step.before).items()
        }

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(math.prod(shape) for shape in self.weight_shapes().values())

    def forward_flops(self) -> int:
        """Floating-point operations of one sample's forward pass: 2 per multiply-accumulate."""
        return 2 * sum(step.layer.macs(step.before) for step in self.steps())

    def training_flops(self, *, small_maps_dense: bool = False) -> int:
        """Operations of one sample's training step.

        Forward, gradient of the weights and gradient of the inputs cost the same, except that the
        first layer needs no gradient of its input.

        Args:
            small_maps_dense: Whether a convolution of which :meth:`Conv.sees_all` is true is
                computed as the dense layer that it is, which multiplies no padding.
        """
        costs = [2 * _macs(step, small_maps_dense) for step in self.steps()]
        first = next((cost for cost in costs if cost), 0)
        return 3 * sum(costs) - first

    def split(self, frozen: Collection[str]) -> tuple[Architecture, Architecture]:
        """The frozen layers, and the layers that are trained on their output.

        ``frozen`` names layers with weights. The cut is before the first layer with weights that is
        not among them; dropout right before it belongs to the trained part. Raises UserError where
        either part would be empty, or the frozen part would not end in a vector.
        """
        steps = list(self.steps())
        weighted = [i for i, step in enumerate(steps) if step.layer.weights(step.before)]
        trained = [i for i in weighted if steps[i].layer.name not in frozen]
        if not trained or trained[0] == weighted[0]:
            rest = "nothing is left to train" if not trained else "its first layer is not frozen"
            raise UserError(f"{self.name}: cannot be trained with its trunk frozen: {rest}")
        cut = trained[0]
        while isinstance(steps[cut - 1].layer, Dropout):
            cut -= 1
        if len(steps[cut].before) != 1:
            raise UserError(
                f"{self.name}: with {steps[cut].layer.name} trained, the frozen layers end inside "
                "the convolutions; freeze all of them, or none"
            )
        trunk = dataclasses.replace(self, layers=self.layers[:cut])
        width = steps[cut].before[0]
        return trunk, dataclasses.replace(self, layers=self.layers[cut:], features=width)

    def with_constants(self, constants: Mapping[str, Mapping[str, float]]) -> Architecture:
        """The same layers with other constants, by layer and field: BatchNorm's ``eps``, say."""
        changes: dict[str, dict[str, Any]] = {k: dict(v) for k, v in constants.items()}
        rows = tuple(
            dataclasses.replace(layer, **changes.get(layer.name, {})) for layer in self.layers
        )
        return dataclasses.replace(self, layers=rows)

    def without_dropout(self) -> Architecture:
        """The same layers without dropout; weights and their names stay."""
        rows = tuple(layer for layer in self.layers if not isinstance(layer, Dropout))
        return dataclasses.replace(self, layers=rows)

    def dropouts(self) -> dict[str, tuple[Shape, float]]:
        """Dropout layers by name: the shape of one sample's mask and the rate."""
        return {
            step.layer.name: (step.before, step.layer.rate)
            for step in self.steps()
            if isinstance(step.layer, Dropout)
        }

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads back to an equal architecture."""
        rows = [{"kind": layer.kind, **dataclasses.asdict(layer)} for layer in self.layers]
        return {**dataclasses.asdict(self), "layers": rows}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Architecture:
        """The architecture that :meth:`to_json` wrote."""
        layers = tuple(_layer_from_json(row) for row in value["layers"])
        return cls(**{**value, "layers": layers})


def _macs(step: Step, small_maps_dense: bool) -> int:
    layer, shape = step.layer, step.before
    if small_maps_dense and isinstance(layer, Conv) and layer.sees_all(shape):
        return math.prod(shape) * math.prod(step.after)
    return layer.macs(shape)


def _layer_from_json(row: Mapping[str, Any]) -> Layer:
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k != "kind"
    }
    if row["kind"] not in LAYERS:
        raise unknown("layer kind", row["kind"], LAYERS)
    return LAYERS[row["kind"]](**fields)
