"""Interprets the contents of a file of weights: names, types, network, preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import UserError
from bench.data.sources import OFFICIAL_MEAN, OFFICIAL_STD
from bench.networks.architecture import Architecture, Conv, Dropout, Flatten, Layer, MaxPool
from bench.networks.init import Weights
from bench.networks.preprocessing import BVLC, TORCHVISION, Preprocessing
from bench.networks.pretrained import FACTS, Facts, Pretrained
from bench.networks.variants import variant
from bench.networks.weights import weights_digest
from bench.weights.files import RawWeights, Tensors, stem_of
from bench.weights.identify import Network
from bench.weights.keras_models.check import Check, Constants, compared
from bench.weights.reading import AS_IT_IS, Reading
from bench.weights.recognise import Recognised, recognise

CIFAR10 = Preprocessing(OFFICIAL_MEAN, OFFICIAL_STD, size=32, resize=32)
_USUAL = {
    "torchvision": TORCHVISION,
    "imagenet-lrn": BVLC,
    "imagenet-bn": BVLC,
    "imagenet-bn5": replace(TORCHVISION, size=227),
}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
_LARGEST_SIDE = 4096
"""Pixels of an image after the preprocessing that a file asks for."""
_WIDENED = ("float16", "float64")
_RANGES = {"eps": (0.0, 1.0), "momentum": (0.0, 1.0), "rate": (-1e-9, 1.0)}
"""Between which ends a constant that a file declares has to be."""


def interpret(raw: RawWeights, path: Path, sha256: str, reading: Reading = AS_IT_IS) -> Pretrained:
    """The weights of a file in the core's names and layouts, with their facts.

    Args:
        raw: The contents.
        path: The file, for names and errors.
        sha256: Of the file, in hex.
        reading: What the user says about it.

    Raises:
        UserError: A tensor has another type or shape, is not finite, missing or superfluous, the
            metadata cannot be used, or the file's model computes something else with its weights
            than the network does; the message names it.
    """
    where = str(path)
    declared = _declared(raw.metadata, where)
    head = declared.get("head")
    wanted = reading.named or declared.get("variant")
    named = wanted and variant(wanted).name
    found = recognise(raw, where, named, head, partial=reading.partial)
    network = found.network
    tensors, converted = _float32(found.tensors, raw, where)
    network, model = _as_the_model_has_it(network, raw, where, found.whole)
    usual = preprocessing_of(network.variant, _input_size(declared, network))
    tensors, usual = _in_rgb(tensors, usual, found, reading, declared, where)
    notes = (declared.get("notes", ""), *converted, *(model.notes if model else ()))
    facts = Facts(
        name=declared.get("name") or stem_of(path),
        sha256=sha256,
        variant=network.variant,
        layers=network.layers,
        preprocessing=_preprocessing(declared, where) or usual,
        head=network.head,
        classes=network.classes,
        input_size=_input_size(declared, network),
        categories=_categories(declared, network, where),
        notes="; ".join(dict.fromkeys(filter(None, notes))),
        constants=model.constants if model else _constants(declared, network, where),
        training=_training(declared, tensors, where),
        matched=(*raw.notes, *found.sentences),
    )
    return Pretrained(facts, tensors)


def _in_rgb(
    tensors: Weights,
    usual: Preprocessing,
    found: Recognised,
    reading: Reading,
    declared: Mapping[str, Any],
    where: str,
) -> tuple[Weights, Preprocessing]:
    """The tensors for RGB images, and the preprocessing with the order that they were trained on.

    Raises UserError for weights that seem to be Caffe's or MATLAB's while nothing says the order.
    """
    order = reading.channel_order
    if order is None and found.of_caffe and not declared:
        raise UserError(
            f"{where}: seems to come from Caffe or MATLAB ({found.of_caffe}), where images may be "
            "BGR or RGB; say which with --channel-order BGR or RGB"
        )
    if order != "BGR":
        return tensors, usual
    convolution = next(r for r in found.network.architecture.layers if isinstance(r, Conv))
    first = f"{convolution.name}.weight"
    if first not in tensors:
        raise UserError(
            f"{where}: --channel-order BGR turns the first convolution, and {convolution.name} is "
            "not in it"
        )
    turned = np.ascontiguousarray(tensors[first][:, ::-1])
    return {**tensors, first: turned}, replace(usual, channel_order=order)


def _as_the_model_has_it(
    network: Network, raw: RawWeights, where: str, whole: bool
) -> tuple[Network, Check | None]:
    """The network at the model's own size of images, and what the comparison of both found."""
    if raw.config is None:
        return network, None
    if not whole:
        rows = _first_layers(network)
        return network, compared(raw.config, rows, where, partial=True) if rows else None
    found = compared(raw.config, network.architecture, where)
    size = None if network.input_size is None else found.architecture.input_size
    return replace(network, input_size=size), found


def _first_layers(network: Network) -> Architecture | None:
    """The layers before the first whose weights are not there; None where that is the first.

    Without the pool and the flattening at their end, which may be others before another head.
    """
    rows = network.architecture
    found: list[Layer] = []
    for step in rows.steps():
        if step.layer.weights(step.before) and step.layer.name not in network.layers:
            break
        found.append(step.layer)
    while found and isinstance(found[-1], (MaxPool, Flatten, Dropout)):
        found.pop()
    return replace(rows, layers=tuple(found)) if found else None


def preprocessing_of(name: str, size: int | None) -> Preprocessing:
    """The usual preprocessing of a variant; ``size`` in pixels where it is another one."""
    usual = _USUAL.get(name, CIFAR10)
    side = variant(name).input_size if size is None else size
    return replace(usual, size=side, resize=round(usual.resize * side / usual.size))


def _declared(metadata: Mapping[str, str], where: str) -> dict[str, Any]:
    """The facts in the metadata: as the suite writes them, or ``variant`` alone."""
    if FACTS not in metadata:
        return {"variant": metadata["variant"]} if "variant" in metadata else {}
    try:
        declared = json.loads(metadata[FACTS])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: its facts ({FACTS!r}) are not JSON ({error})") from error
    texts = ("name", "variant", "head", "notes")
    if not isinstance(declared, dict) or not all(
        isinstance(declared.get(t, ""), str) for t in texts
    ):
        raise UserError(f"{where}: its facts ({FACTS!r}) are not an object with {', '.join(texts)}")
    return declared


def _constants(declared: Mapping[str, Any], network: Network, where: str) -> Constants:
    """The constants that differ from the variant's, as the suite writes them."""
    found = declared.get("constants") or {}
    rows = {row.name: row for row in network.architecture.layers}
    try:
        for name, values in found.items():
            for field, value in values.items():
                low, high = _RANGES[field]
                if not (hasattr(rows[name], field) and low < float(value) < high):
                    raise ValueError(f"{name}: {field} {value}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: its facts have constants of no layer ({error})") from error
    return {name: dict(values) for name, values in found.items()}


def _preprocessing(declared: Mapping[str, Any], where: str) -> Preprocessing | None:
    if "preprocessing" not in declared:
        return None
    try:
        found = Preprocessing.from_json(declared["preprocessing"])
        numbers = (*found.mean, *found.std, found.size, found.resize, found.pixel_range)
        if len(numbers) != 9 or not all(np.isfinite(numbers)) or min(numbers[3:]) <= 0:
            raise ValueError("mean and std of three channels, std and sizes above 0 are expected")
        sides = (found.size, found.resize, 1 if found.stored is None else found.stored)
        if not all(type(side) is int and 0 < side <= _LARGEST_SIDE for side in sides):
            raise ValueError(f"sizes are whole numbers up to {_LARGEST_SIDE}")
        if found.interpolation not in _INTERPOLATIONS:
            raise ValueError(f"interpolation is one of {', '.join(_INTERPOLATIONS)}")
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where}: its facts say no preprocessing ({error})") from error
    return found


def _input_size(declared: Mapping[str, Any], network: Network) -> int | None:
    """The side that the facts have, where it gives the same network: several sides may fit."""
    side = declared.get("input_size")
    if type(side) is not int or not 0 < side <= _LARGEST_SIDE or network.input_size is None:
        return network.input_size
    try:
        row = variant(network.variant)
        wanted = row.architecture(network.classes, head=network.head, input_size=side)
        same = wanted.weight_shapes() == network.architecture.weight_shapes()
    except UserError:  # nothing is left of so small an image
        return network.input_size
    return side if same else network.input_size


def _training(declared: Mapping[str, Any], tensors: Weights, where: str) -> dict[str, Any]:
    """How the suite has trained them; UserError where the tensors are not those it wrote."""
    found = declared.get("training") or {}
    if not isinstance(found, dict):
        raise UserError(f"{where}: its facts have a training that is no object")
    if found and found.get("weights_sha256") != weights_digest(tensors):
        raise UserError(
            f"{where}: its tensors have another digest than its facts state; the file is damaged "
            "or was edited"
        )
    return found


def _categories(declared: Mapping[str, Any], network: Network, where: str) -> tuple[str, ...]:
    names = declared.get("categories") or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where}: its facts have categories that are no list of names")
    if names and network.classes is not None and len(names) != network.classes:
        raise UserError(
            f"{where}: its facts name {len(names)} categories, and it has {network.classes} logits"
        )
    return tuple(names)


def _float32(by_name: Tensors, raw: RawWeights, where: str) -> tuple[Weights, list[str]]:
    """The tensors in float32, and a note for each type that was converted."""
    found, kinds = {}, {"bfloat16"} if raw.bfloat16 else set()
    for name, array in by_name.items():
        if array.dtype not in ("float32", *_WIDENED):
            raise UserError(f"{where}: {name} is {array.dtype}; floats of 16, 32 or 64 bits fit")
        if array.dtype != "float32":
            kinds.add(array.dtype.name)
        with np.errstate(over="ignore"):  # an overflow becomes infinite and is found below
            single = np.ascontiguousarray(array, np.float32)
        wrong = single.size - int(np.isfinite(single).sum())
        if wrong:
            raise UserError(f"{where}: {name}: {wrong} of {single.size} values are not finite")
        found[name] = single
    return found, [f"converted from {kind} to float32" for kind in sorted(kinds)]
