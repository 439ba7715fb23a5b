"""A convolution as a product of patches compared with Keras's own, and which network takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from bench.networks.variants import variant
from bench.training.recipes import recipe
from bench.training.tracks import TRACKS
from models_keras import alexnet
from models_keras.layers import conv
from models_keras.layers.conv import DenseConv2D, DensePatchConv2D, PatchConv2D, SplitConv2D
from tests.frameworks.support.convolutions import GROUPED, KERNELS, SEEING_ALL
from tests.frameworks.support.networks import ABLATION, TUNED, random_images, setup, step_input
from tests.frameworks.support.trainers import create, undrawn_weights


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # Before anything is computed: threads can be set no later.
    tracks = {track: _patched(_network(framework, track)) for track in TRACKS}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 3, 6)).astype(np.float32)
    arrays: dict[str, Any] = {}
    for kernel in KERNELS:
        for name, kind in (("own", keras.layers.Conv2D), ("patches", PatchConv2D)):
            layer = _drawn(kind(7, kernel, padding="same"), x.shape)
            arrays[f"{kernel}/{name}"] = keras.ops.convert_to_numpy(layer(x))
    large = rng.standard_normal((2, 9, 8, 6)).astype(np.float32)
    for strides, padding in GROUPED:
        options = {"strides": strides, "padding": padding, "groups": 2}
        for name, kind in (("own", keras.layers.Conv2D), ("split", SplitConv2D)):
            layer = _drawn(kind(8, 3, **options), large.shape)
            arrays[f"{strides}/{padding}/{name}"] = keras.ops.convert_to_numpy(layer(large))
    facts: dict[str, Any] = {"products": {}}
    for name, (size, kernel) in SEEING_ALL.items():
        given = rng.standard_normal((3, *size, 6)).astype(np.float32)
        own = _drawn(keras.layers.Conv2D(7, kernel, padding="same"), given.shape)
        arrays[f"{name}/own"] = keras.ops.convert_to_numpy(own(given))
        for kind in (DenseConv2D, DensePatchConv2D):
            layer = _drawn(kind(7, kernel, padding="same"), given.shape)
            for training in (True, False):
                with _counted() as products:
                    y = layer(given, training=training)
                key = f"{kind.__name__}/{'training' if training else 'evaluation'}"
                arrays[f"{name}/{key}"] = keras.ops.convert_to_numpy(y)
                facts["products"].setdefault(key, []).append(len(products))
    facts |= {name: _built(name) for name in ("cifar-bn", "imagenet-lrn")}
    facts["tracks"] = tracks
    facts["trained"] = _products_of(framework)
    return facts, arrays


def _built(name: str) -> dict[str, list[str]]:
    """The layers that are computed in another form, with the tuned layers and with Keras's own."""
    rows = variant(name).architecture(10)
    with undrawn_weights():
        return {
            "tuned": _patched(alexnet.build(rows, alexnet.TUNED)),
            "plain": _patched(alexnet.build(rows)),
        }


@contextmanager
def _counted() -> Iterator[list[str]]:
    """The layers that are computed as dense ones meanwhile."""
    found: list[str] = []
    own = conv._as_dense

    def counting(layer: Any, inputs: Any) -> Any:
        found.append(layer.name)
        return own(layer, inputs)

    conv._as_dense = counting
    try:
        yield found
    finally:
        conv._as_dense = own


def _products_of(framework: str) -> dict[str, list[str]]:
    """The layers of a whole network that one training step, and an evaluation, take as dense."""
    rows = variant("cifar-plain").architecture(10)
    with undrawn_weights():
        trainer = create(framework, setup(rows, steps=1, track=TUNED))
    with _counted() as trained:
        trainer.train(iter([step_input(rows, 2, {}, 0.01)]), 1, lambda: None)
    with _counted() as evaluated:
        trainer.predict(random_images(2))
    return {"training": sorted(set(trained)), "evaluation": sorted(set(evaluated))}


def _drawn(layer: keras.layers.Layer, shape: tuple[int, ...]) -> keras.layers.Layer:
    """With weights that are the same for every layer of these shapes."""
    layer.build(shape)
    drawn = np.random.default_rng(1)
    layer.set_weights([drawn.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


def _network(framework: str, track: str) -> keras.Model:
    rows = variant("cifar-bn").architecture(10)
    made = setup(rows, recipe("ablation"), track=track, defaults="own" * (track == ABLATION))
    case = dataclasses.replace(made.case, framework=framework)
    with undrawn_weights():
        return create(framework, dataclasses.replace(made, case=case)).network


def _patched(network: keras.Model) -> list[str]:
    kinds = (PatchConv2D, SplitConv2D, DenseConv2D)
    return [layer.name for layer in network.layers if isinstance(layer, kinds)]
