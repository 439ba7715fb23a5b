"""A convolution as a product of patches beside Keras's own, and where the network takes which."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from bench.case import ALL_TRACKS, WATERFALL
from bench.recipes import recipe
from bench.variants import variant
from models_keras import alexnet
from models_keras.patches import PatchConv2D, SplitConv2D
from probes.convolutions import GROUPED, KERNELS
from probes.networks import setup
from probes.trainers import create


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # Before anything is computed: threads can be set no later.
    tracks = {track: _patched(_network(framework, track)) for track in ALL_TRACKS}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 3, 6)).astype(np.float32)
    arrays: dict[str, Any] = {}
    for kernel in KERNELS:
        for name, kind in (("own", keras.layers.Conv2D), ("patches", PatchConv2D)):
            layer = _drawn(kind(7, kernel, padding="same"), x.shape)
            arrays[f"{kernel}/{name}"] = keras.ops.convert_to_numpy(layer(x))
    pictures = rng.standard_normal((2, 9, 8, 6)).astype(np.float32)
    for strides, padding in GROUPED:
        options = {"strides": strides, "padding": padding, "groups": 2}
        for name, kind in (("own", keras.layers.Conv2D), ("split", SplitConv2D)):
            layer = _drawn(kind(8, 3, **options), pictures.shape)
            arrays[f"{strides}/{padding}/{name}"] = keras.ops.convert_to_numpy(layer(pictures))
    facts: dict[str, Any] = {
        name: {
            "tuned": _patched(alexnet.build(variant(name).architecture(10), tuned=True)),
            "plain": _patched(alexnet.build(variant(name).architecture(10))),
        }
        for name in ("cifar-bn", "imagenet-lrn")
    }
    facts["tracks"] = tracks
    return facts, arrays


def _drawn(layer: keras.layers.Layer, shape: tuple[int, ...]) -> keras.layers.Layer:
    """With weights that are the same for every layer of these shapes."""
    layer.build(shape)
    drawn = np.random.default_rng(1)
    layer.set_weights([drawn.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


def _network(framework: str, track: str) -> keras.Model:
    rows = variant("cifar-bn").architecture(10)
    made = setup(rows, recipe("waterfall"), track=track, defaults="own" * (track == WATERFALL))
    case = dataclasses.replace(made.case, framework=framework)
    return create(framework, dataclasses.replace(made, case=case)).network


def _patched(network: keras.Model) -> list[str]:
    kinds = (PatchConv2D, SplitConv2D)
    return [layer.name for layer in network.layers if isinstance(layer, kinds)]
