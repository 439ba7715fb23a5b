"""The recipes of four tutorials, a row each: their settings, as far as a recipe can hold them.

The docstring of each row says which settings are the source's and which are ours; details are in
`docs/tutorials.md`. The sources' code is not copied.
"""

from __future__ import annotations

import dataclasses

from bench.data.batching import Augmentation
from bench.training.recipes.base import Recipe

PREFIX = "tutorial-"
"""Prefix of the names of recipes that follow one published source."""

ARTICLE_RECIPES = (f"{PREFIX}transfer", f"{PREFIX}transfer-speed")
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


def _transfer() -> tuple[Recipe, Recipe]:
    """Analytics India Magazine, "Implementing AlexNet Using PyTorch As A Transfer Learning Model".

    All of it is the article's: torchvision's weights, head 4096→1024→10, every weight trained, SGD
    0.001 with momentum 0.9 (not Nesterov's), batch 4, 10 epochs, 224 pixels, no augmentation. Ours
    are two things: dropout is on (the article calls ``eval()`` before it trains, which switches it
    off), and the whole image becomes 224 pixels (it enlarges to 256 and cuts out the middle).

    The second row is the same from random weights, for measuring speed: it needs no source.
    """
    transfer = Recipe(
        ARTICLE_RECIPES[0],
        "PyTorch AlexNet transfer article: torchvision's weights, head 4096→1024→classes, all "
        "weights trained; SGD 0.001 with momentum 0.9, batch 4, 10 epochs, 224 px",
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
    speed = dataclasses.replace(
        transfer,
        name=ARTICLE_RECIPES[1],
        description="tutorial-transfer from random weights, for measuring speed",
        init="scratch",
        weights=None,
    )
    return transfer, speed


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
