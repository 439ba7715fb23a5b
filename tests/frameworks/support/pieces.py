"""Inputs of the single pieces that ``probes.layers`` runs. No framework."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.training.recipes.base import Recipe

Array = NDArray[Any]


class Lrn(NamedTuple):
    size: int
    alpha: float
    beta: float
    k: float
    channels: int


LRN_CASES = (
    Lrn(5, 1e-4, 0.75, 1.0, 96),  # the networks' own
    Lrn(5, 1.0, 0.75, 2.0, 16),
    Lrn(3, 0.3, 0.5, 1.5, 7),
    Lrn(4, 0.5, 0.75, 1.0, 10),  # an even window leans to one side
    Lrn(2, 0.7, 1.3, 1.0, 5),
    Lrn(1, 0.9, 0.75, 1.0, 4),
    Lrn(9, 0.2, 0.75, 1.0, 6),  # wider than there are channels
)


def lrn_input(case: Lrn) -> tuple[Array, Array]:
    """x and the weights of its outputs in a loss, both (2, C, 4, 3) float32."""
    rng = np.random.default_rng(case.channels)
    x, g = rng.normal(0, 2, (2, 2, case.channels, 4, 3)).astype(np.float32)
    return x, g


DROPOUT_RATES = (0.3, 0.4, 0.5)


def dropout_input() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 50)).astype(np.float32), rng.random((6, 50)) < 0.6


SIZES = (32, 48, 64, 95, 224, 227)

OPTIMIZERS = {
    "sgd": Recipe("sgd", "", momentum=0.0, nesterov=True),
    "momentum": Recipe("momentum", "", momentum=0.9, nesterov=False, weight_decay=0.1),
    "nesterov": Recipe("nesterov", "", momentum=0.8, nesterov=True, weight_decay=0.1),
    "adam": Recipe("adam", "", optimizer="adam", eps=1e-2, weight_decay=0.1),
    "adam-small-eps": Recipe("adam", "", optimizer="adam", eps=1e-8),
}
RATES = (0.1, 0.05, 0.2, 0.01)


def update_input() -> tuple[Array, Array]:
    """A weight (40,) and its gradients (4, 40) at four steps, float32."""
    rng = np.random.default_rng(4)
    return rng.normal(size=40).astype(np.float32), rng.normal(size=(4, 40)).astype(np.float32)


SMOOTHINGS = (0.0, 0.1)


def loss_input() -> tuple[Array, Array]:
    """Labels (9,) and logits (9, 7)."""
    rng = np.random.default_rng(6)
    return rng.integers(0, 7, 9), rng.normal(0, 3, (9, 7)).astype(np.float32)
