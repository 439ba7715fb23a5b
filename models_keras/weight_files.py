"""Keras's own files of weights: written and evaluated. They are read without Keras, in
`bench.weights.keras_models.hdf5`.

`bench.worker.client.call` runs these functions in a worker; paths are strings.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from bench.networks import architecture as spec
from bench.networks import layouts
from bench.networks.architecture import Architecture
from bench.networks.init import Weights
from bench.networks.pretrained import FACTS, FACTS_FILE, Pretrained
from models_keras.alexnet import PARTS, build, load_weights, uninitialised


def write(source: str, out: str) -> None:
    """Write prepared weights as a whole model (``.keras``) or as weights alone."""
    found = Pretrained.load(Path(source))
    architecture = found.facts.architecture()
    facts = json.dumps(found.facts.to_json())
    if out.endswith(".keras"):
        plain_model(architecture, found.tensors).save(out)
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr(FACTS_FILE, facts)
        return
    model = build(architecture)
    load_weights(model, architecture, found.tensors)
    model.save_weights(out)
    with h5py.File(out, "a") as file:
        file[FACTS] = facts


def logits(path: str, architecture: dict[str, Any], images: str, out: str) -> None:
    """Evaluate what a file holds on prepared images (npy, (B, 3, S, S)); write the output (npy).

    A ``.keras``, or an ``.h5`` of a whole model, is loaded as it is, without code of its own, and
    gives what its softmax gets, where it ends with one; anything else goes into ``architecture``. A
    map comes out as (B, C, H, W).
    """
    model = _model(path, Architecture.from_json(architecture))
    x = np.load(images).transpose(0, 2, 3, 1)
    y = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(x), training=False))
    np.save(out, y.transpose(0, 3, 1, 2) if y.ndim == 4 else y)


def _model(path: str, architecture: Architecture) -> keras.Model:
    weights_alone = path.endswith(".weights.h5")
    if path.endswith((".keras", ".h5")) and not weights_alone:
        return _before_softmax(keras.models.load_model(path, compile=False, safe_mode=True))
    model = build(architecture)
    if weights_alone:
        model.load_weights(path)
        return model
    tensors = Pretrained.load(Path(path)).tensors
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    load_weights(model, architecture, {name: tensors[name] for name in wanted})
    return model


def _before_softmax(model: keras.Model) -> keras.Model:
    """The model with its last layer's softmax left out: small logits hide in probabilities."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        last.call = lambda inputs, mask=None: inputs
    elif getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return model


def plain_model(architecture: spec.Architecture, weights: Weights) -> keras.Model:
    """The network with these weights, of Keras's own layers: (B, S, S, 3) -> (B, classes) logits.

    It loads with Keras alone. Local response normalisation, which Keras lacks, is square, a fixed
    1×1 convolution that sums over the neighbouring channels, power and product. Images are RGB
    after the preprocessing that belongs to the weights.
    """
    size = architecture.input_size
    x = images = keras.Input((size, size, architecture.channels), name="images")
    for step in architecture.steps():
        if isinstance(step.layer, spec.LocalResponseNorm):
            x = _normalised(x, step.layer, step.before[0])
        else:
            for layer in uninitialised(step):
                x = layer(x)
                _assign(layer, weights, layouts.flattened(architecture))
    return keras.Model(images, x, name=architecture.name.replace("-", "_"))


def _normalised(x: Any, row: spec.LocalResponseNorm, channels: int) -> Any:
    """(B, H, W, C) -> (B, H, W, C): x · (k + alpha / size · sum of x² over neighbours) ** -beta."""
    window = keras.layers.Conv2D(
        channels, 1, kernel_initializer="zeros", name=row.name, trainable=False, dtype="float32"
    )
    denominator = window(ops.square(x))
    index = np.arange(channels)
    distance = index[:, None] - index[None, :]  # from the output channel to the input channel
    near = (distance >= -(row.size // 2)) & (distance <= (row.size - 1) // 2)
    window.kernel.assign((near * (row.alpha / row.size)).astype(np.float32)[None, None])
    window.bias.assign(np.full(channels, row.k, np.float32))
    return ops.multiply(x, ops.power(denominator, -row.beta))


def _assign(layer: keras.layers.Layer, weights: Weights, order: dict[str, spec.Shape]) -> None:
    for part, names in PARTS.items():
        core = f"{layer.name}.{part}"
        if core not in weights:
            continue
        variable = next(v for v in layer.variables if v.name in names)
        variable.assign(layouts.to_keras(core, weights[core], order))
