"""Four documents on AlexNet replayed: what their own code computes, and what ours does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks.resize import interpolation_matrix
from tests.frameworks.support.networks import labels, random_images

CLASSES = 10
STEP_LABELS = labels(4, CLASSES)
TEST_LABELS = np.arange(20) % CLASSES
RATE, MOMENTUM = 0.001, 0.9
"""The transfer article's."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""As the documents write them."""


def folder() -> Path:
    """Of the files that the probes of one test session exchange."""
    found = Path(os.environ["PROBES"]) / "documents"
    found.mkdir(exist_ok=True)
    # Kept: Keras alone reads what PyTorch has prepared.
    os.environ["ALEXBENCH_CACHE"] = str(found / "cache")
    return found


def step_images() -> Any:
    """(4, 32, 32, 3) uint8."""
    return random_images(4, seed=9)


def evaluated_images() -> Any:
    """(20, 32, 32, 3) uint8, coarse, so that a network tells them apart."""
    coarse = np.random.default_rng(10).integers(0, 256, (20, 2, 2, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def enlarged_and_cut(images: Any) -> Any:
    """The transfer article's input without Pillow's rounding to bytes: (N, 3, 224, 224)."""
    pixels = images.astype(np.float64) / 255
    normalised = ((pixels - MEAN) / STD).transpose(0, 3, 1, 2)
    matrix = interpolation_matrix(32, 256)[16:240]
    return (matrix @ normalised @ matrix.T).astype(np.float32)


def enlarged(images: Any) -> Any:
    """The guide's input without Pillow's rounding to bytes: (N, 3, 224, 224), 0 to 1."""
    matrix = interpolation_matrix(32, 224)
    pixels = (images.astype(np.float64) / 255).transpose(0, 3, 1, 2)
    return (matrix @ pixels @ matrix.T).astype(np.float32)
