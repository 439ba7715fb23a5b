"""Figures that others published, to stand beside a row of ours.

None of them was measured on our data, our machine or with our recipe: each says what was different.
Only figures whose network is one of ours are here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.case import Case


@dataclass(frozen=True)
class Figure:
    """One published number: ``value`` is a fraction for accuracy, images/s for throughput."""

    kind: str
    variant: str
    init: str
    value: float
    source: str


FIGURES = (
    Figure(
        "accuracy",
        "cifar-bn",
        "scratch",
        0.648,
        "Keras BatchNorm AlexNet tutorial, test accuracy on CIFAR-10, training from scratch",
    ),
    Figure(
        "accuracy",
        "torchvision",
        "pretrained",
        0.8441,
        "PyTorch AlexNet transfer-learning article, test accuracy on CIFAR-10 after 10 epochs: "
        "head 4096→1024→10, SGD 0.001 with momentum 0.9, batch 4, 224 px",
    ),
    # 128 pictures, forward and backward in 81 ms.
    Figure(
        "train_throughput",
        "torchvision",
        "scratch",
        128 / 0.081,
        "soumith/convnet-benchmarks, AlexNet (one weird trick) 128x3x224x224, forward and backward "
        "in 81 ms with cuDNN R4 in float32 on a Titan X",
    ),
)


def figure_beside(kind: str, case: Case) -> Figure | None:
    """The published figure for the same network, or None."""
    wanted = (kind, case.variant, case.init)
    return next((f for f in FIGURES if (f.kind, f.variant, f.init) == wanted), None)
