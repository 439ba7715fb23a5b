"""The recipes of four tutorials, a row each: their settings, as far as a recipe can hold them.

The docstring of each row says which settings are the source's and which are ours; details are in
`docs/tutorials.md`. The sources' code is not copied.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.data.batching import Augmentation
from bench.training.recipes.base import Recipe

PREFIX = "tutorial-"
"""Prefix of the names of recipes that follow one published source."""

ARTICLE = f"{PREFIX}transfer"
ARTICLE_RECIPES = (ARTICLE, f"{ARTICLE}-speed")
"""Recipes that can be compared with the transfer article's own loop, timed in the same run."""


def rows() -> tuple[Recipe, ...]:
    """The tutorials as rows."""
    return (_keras_bn(), *_transfer(), *_torch_scratch(), _replace_last())


def _keras_bn() -> Recipe:
    """Analytics India Magazine, "Hands-on Guide To Implementing AlexNet With Keras".

    The article's: Adam at Keras's defaults (1e-3, eps 1e-7), batch 100, turns of ±2 degrees, flips,
    and 100 epochs of the 35,000 images that it uses for training: 35,000 steps. Ours: all of
    the training images, hence 70 epochs for as many steps; a cosine in the place of a rate that
    drops to a hundredth when the validation accuracy has stood still for three epochs; its zoom of
    ±10 % is left out.
    """
    return Recipe(
        f"{PREFIX}keras-bn",
        "Keras BatchNorm AlexNet article, from scratch; the article's: Adam 1e-3, batch 100, "
        "turns of 2 degrees, flips, 35,000 steps; ours: cosine for its plateau rule, no zoom",
        optimizer="adam",
        learning_rate=1e-3,
        eps=1e-7,
        schedule="cosine",
        epochs=70,
        augmentation=Augmentation(flip=True, rotation=2),
        input_size=32,
        batch_size=100,
        variant="cifar-bn",
        head="source",
        init="scratch",
    )


def _transfer() -> tuple[Recipe, ...]:
    """Analytics India Magazine, "Implementing AlexNet Using PyTorch As A Transfer Learning Model".

    All of the first row is the article's: torchvision's weights, head 4096→1024→10, every weight
    trained, SGD 0.001 with momentum 0.9 (not Nesterov's), batch 4, 10 epochs, no augmentation; the
    image enlarged to 256 pixels and its middle 224 cut out, ImageNet's mean and deviation; and no
    dropout, since the article calls ``eval()`` before it trains and ``train()`` never.

    The next three rows differ from it in one of these choices each. The last two have neither its
    crop nor its missing dropout: from its weights, and from random ones for measuring speed, which
    needs no source.
    """
    article = Recipe(
        ARTICLE,
        "PyTorch AlexNet transfer article: torchvision's weights, head 4096→1024→classes, all "
        "weights trained without dropout; SGD 0.001 with momentum 0.9, batch 4, 10 epochs, 256 px "
        "cut to 224",
        dropout=False,
        resize=256,
        pixels="imagenet",
        learning_rate=1e-3,
        momentum=0.9,
        nesterov=False,
        epochs=10,
        input_size=224,
        batch_size=4,
        variant="torchvision",
        head="narrow",
        init="pretrained",
        weights="torchvision",
    )

    def differing(name: str, what: str, **changes: Any) -> Recipe:
        words = f"{ARTICLE}, but {what}"
        return dataclasses.replace(article, name=f"{ARTICLE}-{name}", description=words, **changes)

    both: dict[str, Any] = {"dropout": True, "resize": None, "pixels": None}
    return (
        article,
        differing("dropout", "with dropout in training", dropout=True),
        differing("whole", "the whole image enlarged to 224 px", resize=None),
        differing("pixels", "normalised by the training set's mean and deviation", pixels="data"),
        differing("ours", "with dropout, the whole image enlarged to 224 px", **both),
        differing(
            "speed",
            "with dropout, the whole image, from random weights: for measuring speed",
            **both,
            init="scratch",
            weights=None,
        ),
    )


def _torch_scratch() -> tuple[Recipe, Recipe]:
    """torchvision's layout from scratch at 224 pixels, as PyTorch tutorials on CIFAR-10 train it.

    Theirs: Adam 1e-3 (eps 1e-8), batch 64, 5 epochs, once plain and once with random crops, turns
    and colours. Ours: how strong these are, and that they are made before the images are
    enlarged: a shift of 4 of 32 pixels is one of 28 of 224.
    """
    plain = Recipe(
        f"{PREFIX}torch-scratch",
        "torchvision's layout from scratch as PyTorch tutorials train it: Adam 1e-3, batch 64, "
        "5 epochs, 224 px",
        optimizer="adam",
        learning_rate=1e-3,
        epochs=5,
        input_size=224,
        batch_size=64,
        variant="torchvision",
        head="source",
        init="scratch",
    )
    augmented = dataclasses.replace(
        plain,
        name=f"{PREFIX}torch-scratch-augmented",
        description=f"{plain.description}, with crops, turns and colours (strengths ours)",
        augmentation=Augmentation(padding=4, rotation=15, colour=0.2),
    )
    return plain, augmented


def _replace_last() -> Recipe:
    """PyTorch's "Finetuning Torchvision Models": the last layer replaced, and it alone trained.

    Theirs: SGD 0.001 with momentum 0.9, batch 8, 15 epochs, 224 pixels, all other layers frozen
    (its ``feature_extract``). Ours: CIFAR-10 for its ants and bees, without its crops and flips.
    """
    return Recipe(
        f"{PREFIX}replace-last",
        "PyTorch's finetuning tutorial: torchvision's weights, last layer replaced and it alone "
        "trained; SGD 0.001 with momentum 0.9, batch 8, 15 epochs, 224 px; ours: no augmentation",
        learning_rate=1e-3,
        momentum=0.9,
        nesterov=False,
        epochs=15,
        frozen=True,
        input_size=224,
        batch_size=8,
        variant="torchvision",
        head="replace-last",
        init="pretrained",
        weights="torchvision",
    )
