"""Keras models from a framework-free :class:`bench.networks.architecture.Architecture`.

Every layer is named after its row. Images are (B, H, W, C) inside Keras; the core's weights (OIHW
kernels, dense (out, in) over C·H·W) are converted by `bench.networks.layouts`.

Which classes a track's networks are built from is a :class:`LayerSet`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks import architecture as spec
from bench.networks import layouts
from bench.networks.weights import check_weights
from models_keras.layers.conv import convolution
from models_keras.layers.dropout import SharedMaskDropout
from models_keras.layers.lrn import LocalResponseNorm, StockLocalResponseNorm

Weights = Mapping[str, NDArray[Any]]


def _own_convolution(row: spec.Conv, shape: spec.Shape) -> Callable[..., Any]:
    return layers.Conv2D


@dataclass(frozen=True)
class LayerSet:
    """The classes that a network is built from; every other layer is Keras's own."""

    lrn: type[keras.layers.Layer] = LocalResponseNorm
    convolution: Callable[[spec.Conv, spec.Shape], Callable[..., Any]] = _own_convolution
    """From a row and its input shape (C, H, W) to the class."""


STOCK = LayerSet(StockLocalResponseNorm)
"""What a Keras user writes."""
SHARED = LayerSet()
"""The arithmetic that every framework shares."""
TUNED = LayerSet(convolution=convolution)
"""Our own forms for the CPU; the results are those of ``STOCK`` but for rounding."""


def build(architecture: spec.Architecture, layer_set: LayerSet = SHARED) -> keras.Model:
    """The network with Keras's own dropout: (B, S, S, 3) float -> (B, classes) logits.

    Without the rows from the flattening on, it gives the map of the last pool.
    """
    images = _input(architecture)
    x = images
    for step in architecture.steps():
        x = _chain(_layers(step, _INITIALISED, layer_set), x)
    outputs = x if len(x.shape) == 4 else _logits(x)
    return keras.Model(images, outputs, name=architecture.name)


@dataclass(frozen=True)
class ClosedModels:
    """Two models over the same layers."""

    training: keras.Model
    """[images, one mask per dropout in order] -> logits"""
    evaluation: keras.Model
    """images -> logits, with no dropout at all"""
    outputs: dict[str, Any]
    """Output of every row of the evaluation model, by the row's name."""


def build_closed(architecture: spec.Architecture) -> ClosedModels:
    """The network with dropout by given masks."""
    images = _input(architecture)
    masks, train, evaluate = [], images, images
    outputs: dict[str, Any] = {}
    flattened: spec.Shape | None = None  # the map in whose order the features still are
    for step in architecture.steps():
        if isinstance(step.layer, spec.Flatten):
            flattened = step.before
        elif isinstance(step.layer, spec.Dense):
            flattened = None
        if isinstance(step.layer, spec.Dropout):
            mask = keras.Input(step.before, name=f"{step.layer.name}_mask", dtype="bool")
            masks.append(mask)
            dropout = SharedMaskDropout(step.layer.rate, flattened, name=step.layer.name)
            train = dropout((train, mask))
            continue
        block = _layers(step, _ZEROS, SHARED)
        train, evaluate = _chain(block, train), _chain(block, evaluate)
        outputs[step.layer.name] = evaluate
    return ClosedModels(
        keras.Model([images, *masks], _logits(train), name=f"{architecture.name}-training"),
        keras.Model(images, _logits(evaluate), name=f"{architecture.name}-evaluation"),
        outputs,
    )


def _input(architecture: spec.Architecture) -> Any:
    if architecture.features is not None:
        return keras.Input(architecture.input_shape, name="features", dtype=_weight_dtype())
    size = architecture.input_size
    shape = (size, size, architecture.channels)
    return keras.Input(shape, name="images", dtype=_weight_dtype())


def _logits(x: Any) -> Any:
    # Under a mixed policy the loss is computed in the type of the weights, float32.
    return layers.Activation("linear", dtype=_weight_dtype(), name="logits")(x)


def _weight_dtype() -> str:
    return str(keras.mixed_precision.dtype_policy().variable_dtype)


def _chain(block: list[keras.layers.Layer], x: Any) -> Any:
    for layer in block:
        x = layer(x)
    return x


def uninitialised(step: spec.Step) -> list[keras.layers.Layer]:
    """The Keras layers of one row, for a caller that loads all weights."""
    return _layers(step, _ZEROS, SHARED)


_INITIALISED = "glorot_uniform"  # Keras's own default
_ZEROS = "zeros"
"""In the closed track all of the core's weights are loaded: drawing millions takes seconds."""


def _layers(step: spec.Step, kernels: str, layer_set: LayerSet) -> list[keras.layers.Layer]:
    """The Keras layers of one row, their kernels initialised as ``kernels`` says."""
    match step.layer:
        case spec.Conv() as conv:
            return _conv(conv, layer_set.convolution(conv, step.before), kernels)
        case spec.BatchNorm() as norm:
            if norm.unbiased:
                raise UserError(f"layer {norm.name}: Keras's running variance is the biased one")
            return [
                layers.BatchNormalization(momentum=norm.momentum, epsilon=norm.eps, name=norm.name)
            ]
        case spec.LocalResponseNorm() as lrn:
            return [_lrn(lrn, layer_set.lrn)]
        case spec.ReLU() as relu:
            return [layers.ReLU(name=relu.name)]
        case spec.MaxPool() as pool:
            return [
                layers.MaxPooling2D(
                    pool.size, pool.stride, data_format="channels_last", name=pool.name
                )
            ]
        case spec.Flatten() as flatten:
            return [layers.Flatten(data_format="channels_last", name=flatten.name)]
        case spec.Dropout() as dropout:
            return [layers.Dropout(dropout.rate, name=dropout.name)]
        case spec.Dense() as dense:
            return [layers.Dense(dense.units, kernel_initializer=kernels, name=dense.name)]
    raise NotImplementedError(f"no Keras layer for {type(step.layer).__name__}")


def _lrn(row: spec.LocalResponseNorm, kind: type[keras.layers.Layer]) -> keras.layers.Layer:
    # Under a mixed policy powers and sums need float32, as Keras's guide on it recommends; in
    # float16 the square of 256 is infinite.
    half = keras.config.dtype_policy().compute_dtype == "float16"
    dtype = {"dtype": "float32"} if half or kind is StockLocalResponseNorm else {}
    return kind(row.size, row.alpha, row.beta, row.k, name=row.name, **dtype)


def _conv(row: spec.Conv, kind: Callable[..., Any], kernels: str) -> list[keras.layers.Layer]:
    conv = kind(
        row.filters,
        row.kernel,
        strides=row.stride,
        groups=row.groups,
        data_format="channels_last",
        kernel_initializer=kernels,
        name=row.name,
    )
    if row.padding == (0, 0):
        return [conv]
    if row.stride == 1 and row.padding[0] == row.padding[1] == (row.kernel - 1) / 2:
        # At stride 1 "same" pads exactly so: no copy of the input is needed.
        conv.padding = "same"
        return [conv]
    sides = (row.padding, row.padding)
    return [layers.ZeroPadding2D(sides, data_format="channels_last", name=f"{row.name}_pad"), conv]


# What a weight of the core is called in a Keras layer.
PARTS = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}


def variables(model: keras.Model, architecture: spec.Architecture) -> dict[str, Any]:
    """The model's variables by the core's names of the weights."""
    found: dict[str, Any] = {}
    for name in [*architecture.weight_shapes(), *architecture.statistic_shapes()]:
        layer_name, part = name.rsplit(".", 1)
        layer = model.get_layer(layer_name)
        own = {variable.name: variable for variable in layer.variables}
        found[name] = next(own[keras_name] for keras_name in PARTS[part] if keras_name in own)
    return found


def load_weights(model: keras.Model, architecture: spec.Architecture, weights: Weights) -> None:
    """Assign weights in the core's layout; UserError before any is assigned if one does not fit."""
    targets = variables(model, architecture)
    check_weights(architecture, weights, next(iter(targets.values())).dtype)
    order = layouts.flattened(architecture)
    for name, variable in targets.items():
        variable.assign(layouts.to_keras(name, weights[name], order))


def export_weights(model: keras.Model, architecture: spec.Architecture) -> dict[str, NDArray[Any]]:
    """All weights and statistics in the core's layout."""
    return to_core(variables(model, architecture), architecture)


def to_core(tensors: Mapping[str, Any], architecture: spec.Architecture) -> dict[str, NDArray[Any]]:
    """Tensors of the weights' shapes in Keras, by the core's names, in the core's layout."""
    order = layouts.flattened(architecture)
    return {name: layouts.from_keras(name, _on_host(t), order) for name, t in tensors.items()}


def _on_host(tensor: Any) -> NDArray[Any]:
    """A copy: some backends return a view of memory that the next step overwrites."""
    array: NDArray[Any] = keras.ops.convert_to_numpy(tensor)
    own = array.base is None and array.flags.writeable
    return array if own else np.array(array)


def activations(
    models: ClosedModels, architecture: spec.Architecture, images: Any
) -> dict[str, NDArray[Any]]:
    """Output of every row of the evaluation model, in the core's layout."""
    values = keras.Model(models.evaluation.input, models.outputs)(images, training=False)
    found: dict[str, NDArray[Any]] = {}
    for step in architecture.steps():
        if step.layer.name not in values:
            continue
        array = keras.ops.convert_to_numpy(values[step.layer.name])
        if isinstance(step.layer, spec.Flatten):
            array = _flat_to_core(array, step.before)
        found[step.layer.name] = map_to_core(array) if array.ndim == 4 else array
    return found


def map_to_core(array: NDArray[Any]) -> NDArray[Any]:
    """(B, H, W, C) -> (B, C, H, W)."""
    return array.transpose(0, 3, 1, 2)


def features_to_core(array: NDArray[Any], architecture: spec.Architecture) -> NDArray[Any]:
    """The network's output, (B, F): in the order C·H·W where its last row is a flattened map."""
    *_, last = architecture.steps()
    if not isinstance(last.layer, spec.Flatten):
        return array
    return _flat_to_core(array, last.before)


def _flat_to_core(array: NDArray[Any], shape: spec.Shape) -> NDArray[Any]:
    """(B, H·W·C) -> (B, C·H·W)."""
    channels, height, width = shape
    maps = array.reshape(-1, height, width, channels)
    return np.ascontiguousarray(map_to_core(maps)).reshape(len(array), -1)
