"""Keras models from a framework-free :class:`bench.networks.architecture.Architecture`.

Every layer is named after its row. Pictures are (B, H, W, C) inside Keras; the core's weights
(OIHW kernels, dense (out, in) over C·H·W) are converted by `bench.networks.layouts`.
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
from models_keras.layers.lrn import LocalResponseNorm, SharedMaskDropout

Weights = Mapping[str, NDArray[Any]]


def build(architecture: spec.Architecture, *, tuned: bool = False) -> keras.Model:
    """The network with Keras's own dropout: (B, S, S, 3) float -> (B, classes) logits.

    ``tuned`` takes what is faster on this backend's CPU and computes the same (`patches`).
    """
    picture = _input(architecture)
    x = picture
    for step in architecture.steps():
        x = _chain(_layers(step, _DRAWN, tuned=tuned), x)
    return keras.Model(picture, _logits(x), name=architecture.name)


@dataclass(frozen=True)
class ClosedModels:
    """Two models over the same layers."""

    training: keras.Model
    """[pictures, one mask per dropout in order] -> logits"""
    evaluation: keras.Model
    """pictures -> logits, with no dropout at all"""
    outputs: dict[str, Any]
    """Output of every row of the evaluation model, by the row's name."""


def build_closed(architecture: spec.Architecture) -> ClosedModels:
    """The network with dropout by given masks."""
    picture = _input(architecture)
    masks, train, evaluate = [], picture, picture
    outputs: dict[str, Any] = {}
    flattened: spec.Shape | None = None  # the picture in whose order the features still are
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
        block = _layers(step, _UNDRAWN)
        train, evaluate = _chain(block, train), _chain(block, evaluate)
        outputs[step.layer.name] = evaluate
    return ClosedModels(
        keras.Model([picture, *masks], _logits(train), name=f"{architecture.name}-training"),
        keras.Model(picture, _logits(evaluate), name=f"{architecture.name}-evaluation"),
        outputs,
    )


def _input(architecture: spec.Architecture) -> Any:
    if architecture.features is not None:
        return keras.Input(architecture.input_shape, name="features", dtype=_weight_dtype())
    size = architecture.input_size
    shape = (size, size, architecture.channels)
    return keras.Input(shape, name="pictures", dtype=_weight_dtype())


def _logits(x: Any) -> Any:
    # Under a mixed policy the loss is computed in the type of the weights, float32.
    return layers.Activation("linear", dtype=_weight_dtype(), name="logits")(x)


def _weight_dtype() -> str:
    return str(keras.mixed_precision.dtype_policy().variable_dtype)


def _chain(block: list[keras.layers.Layer], x: Any) -> Any:
    for layer in block:
        x = layer(x)
    return x


def undrawn(step: spec.Step) -> list[keras.layers.Layer]:
    """The Keras layers of one row, for weights that are loaded at once."""
    return _layers(step, _UNDRAWN)


_DRAWN = "glorot_uniform"  # Keras's own default
_UNDRAWN = "zeros"
"""In the closed track the core's weights are loaded at once: drawing millions takes seconds."""


def _layers(step: spec.Step, kernels: str, *, tuned: bool = False) -> list[keras.layers.Layer]:
    """The Keras layers of one row, their kernels initialised as ``kernels`` says."""
    match step.layer:
        case spec.Conv() as conv:
            return _conv(conv, convolution(conv, step.before, tuned=tuned), kernels)
        case spec.BatchNorm() as norm:
            if norm.unbiased:
                raise UserError(f"layer {norm.name}: Keras's running variance is the biased one")
            return [
                layers.BatchNormalization(momentum=norm.momentum, epsilon=norm.eps, name=norm.name)
            ]
        case spec.LocalResponseNorm() as lrn:
            return [LocalResponseNorm(lrn.size, lrn.alpha, lrn.beta, lrn.k, name=lrn.name)]
        case spec.ReLU() as relu:
            return [layers.ReLU(name=relu.name)]
        case spec.MaxPool() as pool:
            return [layers.MaxPooling2D(pool.size, pool.stride, name=pool.name)]
        case spec.Flatten() as flatten:
            return [layers.Flatten(name=flatten.name)]
        case spec.Dropout() as dropout:
            return [layers.Dropout(dropout.rate, name=dropout.name)]
        case spec.Dense() as dense:
            return [layers.Dense(dense.units, kernel_initializer=kernels, name=dense.name)]
    raise NotImplementedError(f"no Keras layer for {type(step.layer).__name__}")


def _conv(row: spec.Conv, kind: Callable[..., Any], kernels: str) -> list[keras.layers.Layer]:
    conv = kind(
        row.filters,
        row.kernel,
        strides=row.stride,
        groups=row.groups,
        kernel_initializer=kernels,
        name=row.name,
    )
    if row.padding == (0, 0):
        return [conv]
    if row.stride == 1 and row.padding[0] == row.padding[1] == (row.kernel - 1) / 2:
        # At stride 1 "same" pads exactly so: no copy of the input is needed.
        conv.padding = "same"
        return [conv]
    return [layers.ZeroPadding2D((row.padding, row.padding), name=f"{row.name}_pad"), conv]


# What a weight of the core is called in a Keras layer.
_PARTS = {
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
        found[name] = next(own[keras_name] for keras_name in _PARTS[part] if keras_name in own)
    return found


def load_weights(model: keras.Model, architecture: spec.Architecture, weights: Weights) -> None:
    """Assign weights in the core's layout; UserError before anything is assigned if they misfit."""
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
    """A copy of its own: what some backends give is a view of what the next step changes."""
    array: NDArray[Any] = keras.ops.convert_to_numpy(tensor)
    own = array.base is None and array.flags.writeable
    return array if own else np.array(array)


def activations(
    models: ClosedModels, architecture: spec.Architecture, pictures: Any
) -> dict[str, NDArray[Any]]:
    """Output of every row that the evaluation model has, in the core's layout."""
    values = keras.Model(models.evaluation.input, models.outputs)(pictures, training=False)
    found: dict[str, NDArray[Any]] = {}
    for step in architecture.steps():
        if step.layer.name not in values:
            continue
        array = keras.ops.convert_to_numpy(values[step.layer.name])
        if isinstance(step.layer, spec.Flatten):
            array = _flat_to_core(array, step.before)
        found[step.layer.name] = picture_to_core(array) if array.ndim == 4 else array
    return found


def picture_to_core(array: NDArray[Any]) -> NDArray[Any]:
    """(B, H, W, C) -> (B, C, H, W)."""
    return array.transpose(0, 3, 1, 2)


def features_to_core(array: NDArray[Any], architecture: spec.Architecture) -> NDArray[Any]:
    """What the network gives, (B, F): in the order C·H·W where its last row is a flattened map."""
    *_, last = architecture.steps()
    if not isinstance(last.layer, spec.Flatten):
        return array
    return _flat_to_core(array, last.before)


def _flat_to_core(array: NDArray[Any], shape: spec.Shape) -> NDArray[Any]:
    """(B, H·W·C) -> (B, C·H·W)."""
    channels, height, width = shape
    pictures = array.reshape(-1, height, width, channels)
    return np.ascontiguousarray(picture_to_core(pictures)).reshape(len(array), -1)
