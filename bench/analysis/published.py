"""Figures that others published, shown next to a row of ours.

None of them was measured on our data, our machine or with exactly our recipe: each says what was
different. Only figures whose network is one of ours are here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bench.core.case import Case
from bench.core.kinds import ACCURACY
from bench.training.recipes.tutorials import PREFIX

MEAN_OF_CLASSES = "mean_of_classes"
"""Kind of a figure that is the mean over classes of the accuracy on each, and no kind of record."""

_TRANSFER = (
    "PyTorch AlexNet transfer-learning article, CIFAR-10 after 10 epochs: "
    "head 4096→1024→10, SGD 0.001 with momentum 0.9, batch 4, 224 px"
)


@dataclass(frozen=True)
class Figure:
    """One published number: ``value`` is a fraction for accuracy, images/s for throughput."""

    kind: str
    variant: str
    init: str
    value: float
    source: str
    recipe: str | None = None
    """The recipe that does what the source did, by its name without a budget."""


FIGURES = (
    Figure(
        "accuracy",
        "cifar-bn",
        "scratch",
        0.648,
        "Keras BatchNorm AlexNet tutorial, test accuracy on CIFAR-10, training from scratch",
        "tutorial-keras-bn",
    ),
    Figure(
        "accuracy",
        "torchvision",
        "pretrained",
        0.8441,
        f"{_TRANSFER}: accuracy on all test images",
        "tutorial-transfer",
    ),
    Figure(
        MEAN_OF_CLASSES,
        "torchvision",
        "pretrained",
        0.83,
        f"{_TRANSFER}: mean of the accuracies by class",
        "tutorial-transfer",
    ),
    # 128 images, forward and backward in 81 ms.
    Figure(
        "train_throughput",
        "torchvision",
        "scratch",
        128 / 0.081,
        "soumith/convnet-benchmarks, AlexNet (one weird trick) 128x3x224x224, forward and backward "
        "in 81 ms with cuDNN R4 in float32 on a Titan X",
    ),
)


def accuracies_at(values: Collection[float]) -> list[Figure]:
    """The published accuracies that are one of these."""
    return [f for f in FIGURES if f.kind == ACCURACY and f.value in values]


def published_figure(kind: str, case: Case) -> Figure | None:
    """The figure of the case's own recipe, else one for the same network, or None.

    A recipe that follows a tutorial has that tutorial's figure or none: another one next to it
    would read as its own.
    """
    wanted = (kind, case.variant, case.init)
    alike = [f for f in FIGURES if (f.kind, f.variant, f.init) == wanted]
    base = case.recipe.partition("@")[0]
    own = next((f for f in alike if f.recipe == base), None)
    if own or base.startswith(PREFIX):
        return own
    return next(iter(alike), None)
