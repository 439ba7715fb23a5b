"""The tutorials' loop on a few images, in every framework that has one."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np

from bench.core.case import Case
from bench.data.dataset import Dataset, Split, describe_pixels
from bench.networks.architecture import (
    Architecture,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    ReLU,
)
from bench.training.frameworks import framework as row_of
from bench.training.interfaces import Setup
from bench.training.recipes import recipe

CLASSES = 10
IMAGES = 150
STEPS = 40
SMALL = Architecture(
    "small",
    "synthetic: learns ten colours in a few steps",
    32,
    (
        Conv("conv1", 16, 5, stride=2),
        BatchNorm("conv1_bn"),
        ReLU("conv1_relu"),
        MaxPool("pool1", 2, 2),
        Flatten("flatten"),
        Dropout("dense1_dropout", 0.2),
        Dense("dense1", 64),
        ReLU("dense1_relu"),
        Dense("dense2", CLASSES),
    ),
)
NORMALISED = replace(
    SMALL,
    name="normalised",
    layers=(*SMALL.layers[:-2], BatchNorm("dense1_bn"), *SMALL.layers[-2:]),
)
"""With a BatchNorm of vectors, which has no moments of one image."""
LARGER = replace(SMALL, input_size=64)
"""Of images twice the size of those that it gets."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    split = _coloured()
    dataset = describe_pixels("synthetic", tuple(map(str, range(CLASSES))), split, split)
    loop = _create(framework, SMALL, dataset)
    called: list[None] = []
    losses = loop.train(STEPS, lambda: called.append(None))
    facts: dict[str, Any] = {
        "losses": losses,
        "called": len(called),
        "labels": split.labels.tolist(),
        "loop": loop.facts,
    }
    arrays = {"logits": loop.predict(split.images)}
    enlarging = _create(framework, LARGER, dataset)
    enlarging.train(1, lambda: None)
    arrays["enlarged"] = enlarging.predict(split.images[:2])
    larger = split.images.repeat(2, axis=1).repeat(2, axis=2)
    own = describe_pixels("larger", dataset.classes, *[Split(larger, split.labels)] * 2)
    loop = _create(framework, LARGER, own)
    loop.train(1, lambda: None)
    arrays["of larger images"] = loop.predict(larger[:2])
    # One class after the other, as in folders; and a last batch of one image.
    order = np.argsort(split.labels, kind="stable")
    sorted_ = Split(split.images[order], split.labels[order])
    loop = _create(framework, SMALL, describe_pixels("sorted", dataset.classes, sorted_, sorted_))
    facts["seen"] = _labels_of_one_step(loop)
    odd = Split(split.images[:129], split.labels[:129])
    loop = _create(framework, NORMALISED, describe_pixels("odd", dataset.classes, odd, odd))
    facts["steps_of_odd"] = len(loop.train(6, lambda: None))
    return facts, arrays


def _labels_of_one_step(loop: Any) -> list[int]:
    """The classes that a part of an epoch trains on, where the loop calls ``fit``."""
    model = getattr(loop, "_model", None)
    if model is None:
        return []
    seen: list[int] = []
    fit = model.fit

    def kept(images: Any, labels: Any, **options: Any) -> Any:
        seen.extend(np.unique(labels).tolist())
        return fit(images, labels, **options)

    model.fit = kept
    loop.train(1, lambda: None)
    return seen


def _create(framework: str, rows: Architecture, dataset: Dataset) -> Any:
    case = Case(rows.name, framework, "idiomatic", input_size=rows.input_size)
    pixels = (dataset.mean, dataset.std)
    made = Setup(case, rows, recipe("steady"), 10, *pixels, threads=2, side=dataset.side)
    module, _, function = str(row_of(framework).tutorial_loop).partition(":")
    return getattr(importlib.import_module(module), function)(made, dataset)


def _coloured() -> Split:
    """Images whose colour is their class."""
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % CLASSES
    colours = rng.integers(0, 256, (CLASSES, 1, 1, 3))[labels]
    noise = rng.integers(-10, 10, (IMAGES, 32, 32, 3))
    return Split(np.clip(colours + noise, 0, 255).astype(np.uint8), labels)
