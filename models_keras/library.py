"""AlexNet for a user's own script, in the manner of ``keras.applications``.

The layers come from `models_keras.alexnet.build`, as those of the harness do.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.extensions import load_object
from bench.networks import library
from bench.networks.preprocessing import TORCHVISION, Preprocessing
from models_keras import alexnet

_IMAGENET_CATEGORIES = "bench.weights.sources:imagenet_categories"
_IMAGENET_CLASSES = 1000


def AlexNet(  # noqa: N802  (keras.applications writes its functions like classes)
    variant: str = "torchvision",
    weights: str | os.PathLike[str] | None = None,
    include_top: bool = True,
    classes: int | None = None,
    input_size: int | None = None,
    head: str = "source",
) -> keras.Model:
    """AlexNet as a functional model whose layers carry the names of the network's rows.

    (B, S, S, 3) float -> (B, classes) logits. ``model.get_layer("dense2_relu")`` is the layer of
    which most papers mean the output by "AlexNet's features".

    Args:
        variant: Name of the network: a row of ``alexbench list``.
        weights: None: Keras's initial values. ``"imagenet"``: torchvision's, for ``torchvision``
            (``alexbench fetch weights`` downloads them). ``"bvlc"``: the convolutions of BVLC's,
            for ``imagenet-lrn``. Else the path of a file, of any format of docs/pretrained.md.
        include_top: Whether the dense layers are there. Without them the network gives the map of
            the last pool, (B, H, W, C).
        classes: Number of logits; None takes that of the weights, or of the source.
        input_size: Height and width of the images in pixels; None takes those of the weights, or of
            the source.
        head: ``source`` keeps the dense layers as they are (those of the weights, where they have
            other ones). ``replace-last`` puts a new last layer on them, ``narrow`` two, and
            ``pool-linear`` and ``pool-narrow`` a new head on the last pool. New layers have
            Keras's initial values.

    Returns:
        The model. It has, besides what Keras gives it, ``categories`` (names of the logits, empty
        where they are not known), ``preprocessing`` (of the images that the weights were trained
        on, or what is usual for the network) and ``transforms`` (a function from a Pillow image to
        the network's input, (S, S, 3) float32).

    Raises:
        UserError: A name is unknown, the arguments contradict each other or the weights, or the
            weights cannot be read (`bench.UserError`).

    Sources: Krizhevsky et al. 2012 (``imagenet-lrn``), Krizhevsky 2014 (``torchvision``); each row
    of ``alexbench list`` names its own.

    Example:
        >>> model = AlexNet("cifar-bn", classes=10)
        >>> model(np.zeros((1, 32, 32, 3), "float32")).shape
        (1, 10)
    """
    chosen = library.choose(variant, weights, include_top, classes, input_size, head)
    rows = chosen.architecture
    model = alexnet.build(rows, alexnet.STOCK)
    if chosen.whole:
        alexnet.load_weights(model, rows, {k: chosen.weights[k] for k in _names(chosen)})
    elif chosen.weights:
        given = alexnet.export_weights(model, rows) | chosen.weights
        alexnet.load_weights(model, rows, given)
    model.categories = chosen.categories
    model.preprocessing = chosen.preprocessing
    model.transforms = functools.partial(_prepared, preprocessing=chosen.preprocessing)
    model.alexbench = replace(chosen, weights={})  # else they would be held in memory twice
    return model


def preprocess_input(
    images: Any, data_format: str | None = None, model: keras.Model | None = None
) -> NDArray[np.float32]:
    """Normalise images as the weights want them; the size is left as it is.

    Args:
        images: (B, S, S, 3) or (S, S, 3), RGB, 0 to 255.
        data_format: ``channels_last``, the only one that these models take; None means the same.
        model: An `AlexNet`; None normalises for ``weights="imagenet"``.

    Returns:
        A new array of the same shape, float32.

    Raises:
        UserError: Another ``data_format``, the last axis is not 3 long, or another model.
    """
    if data_format not in (None, "channels_last"):
        raise UserError(f"data_format must be 'channels_last'. Received: {data_format!r}")
    x = np.asarray(ops.convert_to_numpy(images), np.float32)
    if x.shape[-1:] != (3,):
        raise UserError(f"images must be RGB, (…, 3). Received: the shape {x.shape}")
    if model is not None and not hasattr(model, "preprocessing"):
        raise UserError("model must be what AlexNet returned, whose preprocessing is known")
    preprocessing = TORCHVISION if model is None else model.preprocessing
    mean, std = (np.array(values, np.float32) for values in preprocessing.in_unit)
    found: NDArray[np.float32] = (x / np.float32(255) - mean) / std
    return found


def decode_predictions(
    predictions: Any, top: int = 5, categories: Iterable[str] = ()
) -> list[list[tuple[int, str, float]]]:
    """The most probable classes of each image.

    Args:
        predictions: (B, classes) logits, as the models of this module give them.
        top: Classes per image.
        categories: Names of the logits, ``model.categories``. Without, 1000 logits get the names of
            ImageNet's classes from torchvision, where that is installed.

    Returns:
        For each image a list of (index, name, probability), the most probable first.

    Raises:
        UserError: The predictions have another shape or number of classes than the names, no names
            are known, or ``top`` is no number of classes.
    """
    if type(top) is not int or top < 1:
        raise UserError(f"top must be a whole number, 1 or more. Received: {top!r}")
    logits = np.asarray(ops.convert_to_numpy(predictions), np.float64)
    if logits.ndim != 2:
        raise UserError(f"predictions must be (B, classes). Received: the shape {logits.shape}")
    names = tuple(categories) or _known(logits.shape[1])
    if len(names) != logits.shape[1]:
        raise UserError(f"{len(names)} categories for {logits.shape[1]} logits")
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    return [
        [(int(index), names[index], float(row[index])) for index in best]
        for best, row in zip(order, shares, strict=True)
    ]


def save_weights(
    model: keras.Model,
    path: str | os.PathLike[str],
    categories: Iterable[str] = (),
    notes: str = "",
) -> None:
    """Save the weights of an `AlexNet` with architecture, preprocessing and class names.

    The file is one that `AlexNet` takes as ``weights`` here and in PyTorch, and that
    ``alexbench predict``, ``embed``, ``convert`` and ``run --weights`` take. ``model.save`` writes
    Keras's own formats as ever.

    Args:
        model: What `AlexNet` returned.
        path: A ``.safetensors`` file, which is replaced.
        categories: Names of the logits; by default those of the weights it started from.
        notes: Provenance, for a reader.

    Raises:
        UserError: The suffix is another one, or there is another number of names than of logits.
        OSError: The file cannot be written.
    """
    chosen: library.Chosen | None = getattr(model, "alexbench", None)
    if chosen is None:
        raise UserError("save_weights takes what AlexNet returned; other models have model.save")
    found = alexnet.export_weights(model, chosen.architecture)
    library.save(chosen, found, path, categories, notes)


def _names(chosen: library.Chosen) -> list[str]:
    rows = chosen.architecture
    return [*rows.weight_shapes(), *rows.statistic_shapes()]


def _prepared(image: Any, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """(S, S, 3) float32."""
    return np.ascontiguousarray(library.prepared(image, preprocessing).transpose(1, 2, 0))


def _known(classes: int) -> tuple[str, ...]:
    if classes != _IMAGENET_CLASSES:
        raise UserError(f"no names of {classes} classes are known; give categories=…")
    names: tuple[str, ...] = load_object(_IMAGENET_CATEGORIES)()
    return names
