"""Our own recipes for networks that start from pretrained weights, a row each.

Rates, epochs and images' sizes were chosen on the validation split (``alexbench run
--validation``); the other settings that were tried are in `docs/transfer.md`.
"""

from __future__ import annotations

import dataclasses

from bench.data.batching import Augmentation
from bench.training.recipes.base import Recipe


def rows() -> tuple[Recipe, ...]:
    """The rows, in the order of `alexbench list`."""
    transfer = Recipe(
        "transfer",
        "all layers trained from pretrained ones, at the weights' own image size",
        learning_rate=0.002,
        trunk_rate=0.25,
        zero_last=True,
        head_scale=0.4,  # of sqrt(2 / fan_in): what nn.Linear starts from
        weight_decay=5e-4,
        schedule="cosine",
        warmup=0.15,
        epochs=4,
        # Crops pay only in longer trainings than these.
        augmentation=Augmentation(flip=True),
        batch_size=128,
    )
    finetune = dataclasses.replace(
        transfer,
        name="transfer-finetune",
        description="all layers trained from pretrained convolutions, on small images: fast",
        head="pool-narrow",
        input_size=131,  # leaves the last pool 3×3, and costs a third of 227
        learning_rate=0.003,
        trunk_rate=0.33,
        epochs=3,
    )
    return (
        transfer,
        dataclasses.replace(
            transfer,
            name="transfer-short",
            description="two epochs from pretrained layers, for the quick profile",
            epochs=2,
            batch_size=None,
        ),
        finetune,
        *_look(),
        dataclasses.replace(
            finetune,
            name="transfer-long",
            description="transfer-finetune for longer, with crops",
            augmentation=Augmentation(padding=4, flip=True),
            epochs=8,
        ),
        dataclasses.replace(
            transfer,
            name="transfer-frozen",
            description="pretrained layers frozen, a new head on their features",
            learning_rate=0.001,
            trunk_rate=1.0,
            weight_decay=0.0,
            warmup=0.05,
            epochs=10,
            frozen=True,  # two views of an image: the trunk sees each twice in all
        ),
        dataclasses.replace(
            finetune,
            name="transfer-scratch",
            description="the network, images and epochs of transfer-finetune, from scratch",
            learning_rate=0.02,
            trunk_rate=1.0,
            zero_last=False,
            head_scale=None,
            init="scratch",
        ),
        *_large(finetune),
    )


def _large(finetune: Recipe) -> tuple[Recipe, Recipe, Recipe]:
    """Fine-tuned, frozen and from scratch on images of the weights' own size, for a GPU."""
    large = dataclasses.replace(
        finetune,
        name="transfer-large",
        description="all layers trained from pretrained convolutions at 227 px, for a GPU",
        input_size=227,
        augmentation=Augmentation(padding=4, flip=True),
        epochs=12,
    )
    return (
        large,
        dataclasses.replace(
            large,
            name="transfer-large-frozen",
            description="the network and epochs of transfer-large, convolutions frozen",
            augmentation=Augmentation(flip=True),  # two views of an image
            learning_rate=0.001,
            trunk_rate=1.0,
            weight_decay=0.0,
            warmup=0.05,
            frozen=True,
        ),
        dataclasses.replace(
            large,
            name="transfer-large-scratch",
            description="the network, images and epochs of transfer-large, from scratch",
            learning_rate=0.02,
            trunk_rate=1.0,
            zero_last=False,
            head_scale=None,
            init="scratch",
        ),
    )


def _look() -> tuple[Recipe, Recipe]:
    """A pair for the quick profile: a new last layer on frozen convolutions, and the same network
    from scratch, both on the smallest images that pass all pools."""
    frozen = Recipe(
        "transfer-look",
        "a linear layer on frozen convolutions, on small images: seconds",
        optimizer="adam",
        learning_rate=1e-3,
        zero_last=True,
        schedule="cosine",
        epochs=10,
        frozen=True,
        input_size=67,  # the last pool has one place
        batch_size=64,
        head="pool-linear",
    )
    scratch = dataclasses.replace(
        frozen,
        name="transfer-look-scratch",
        description="the network and images of transfer-look, from scratch: one epoch",
        zero_last=False,
        warmup=0.1,
        epochs=1,
        frozen=False,
        init="scratch",
    )
    return frozen, scratch
