"""What the tests and the probes share: tracks, networks, weights, images. No framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.core.case import Case
from bench.data.dataset import SIDE
from bench.networks.architecture import (
    Architecture,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)
from bench.networks.init import Weights, initial_weights
from bench.networks.variants import HEADS, VARIANTS, variant
from bench.parity.problem import problem_architecture
from bench.training.interfaces import Setup, StepInput
from bench.training.recipes.base import Recipe
from bench.training.tracks import TRACKS

FREE = tuple(row.name for row in TRACKS.values() if not row.shared_precision)
"""The tracks in which every framework makes its own choices."""
TUNED = next(name for name in FREE if TRACKS[name].own_kernels)
IDIOMATIC = next(name for name in FREE if not TRACKS[name].own_kernels)
ABLATION = next(row.name for row in TRACKS.values() if row.stages)

MEAN = (0.49, 0.48, 0.45)
STD = (0.25, 0.24, 0.26)

TINY = Architecture(
    "tiny",
    "synthetic: every kind of layer, and every setting away from its default",
    32,
    (
        Conv("c1", 8, 5, stride=3, padding=(1, 3)),
        BatchNorm("c1_norm", eps=1e-2, momentum=0.7),
        ReLU("c1_relu"),
        LocalResponseNorm("c1_response", size=4, alpha=0.5, beta=0.6, k=1.5),
        MaxPool("p1", 3, 2),
        Conv("c2", 12, 3, padding=(2, 0), groups=2),
        ReLU("c2_relu"),
        LocalResponseNorm("c2_response", size=3, alpha=0.2, k=2.0),
        MaxPool("p2", 2, 2),
        Flatten("flat"),
        Dropout("drop1", 0.3),
        Dense("d1", 16),
        BatchNorm("d1_norm", eps=1e-1, momentum=0.6),
        ReLU("d1_relu"),
        Dropout("drop2", 0.5),
        Dense("d2", 7),
    ),
)


def _of_tiny(*names: str) -> Architecture:
    return replace(TINY, layers=tuple(row for row in TINY.layers if row.name in names))


ONE_OF_EACH = _of_tiny(
    *("c1", "c1_norm", "c1_relu", "c1_response", "p1", "c2", "flat", "drop1", "d2")
)
"""Every kind of layer once, and the groups: what is compiled takes its time by the layer."""
WITH_STATE = _of_tiny(
    *("c1", "c1_norm", "c1_relu", "p1", "flat"),
    *("drop1", "d1", "d1_norm", "d1_relu", "drop2", "d2"),
)
"""What has weights, statistics, slots and generators; two dropouts, whose generators may not be
swapped."""

NEW_HEADS_ON = ("cifar-bn", "torchvision")
"""One with BatchNorm of dense layers, one without and of large images."""
LARGE = "torchvision"
"""The network of large images that is computed at its own size."""


def structures() -> dict[str, Architecture]:
    """Every variant as its source has it, and two with every other head and 10 classes, at their
    own input sizes."""
    own = {f"{name}/source": row.architecture() for name, row in VARIANTS.items()}
    new = {
        f"{name}/{head}": variant(name).architecture(10, head=head)
        for name in NEW_HEADS_ON
        for head in HEADS
        if head != "source"
    }
    return own | new


def whole_networks() -> dict[str, Architecture]:
    """Every variant as its source has it, one with another head, and the synthetic network.

    Networks of large images get the smallest that leave the dense layers a 2×2 map, but for one.
    """
    narrow = {"cifar-plain/narrow": variant("cifar-plain").architecture(head="narrow")}
    own = {name: row.architecture() for name, row in VARIANTS.items()}
    for name, row in own.items():
        if row.input_size > SIDE and name != LARGE:
            own[name] = problem_architecture(row)
    return {"tiny": TINY, "tiny@64": replace(TINY, input_size=64), **own, **narrow}


@dataclass(frozen=True)
class Job:
    """A few training steps."""

    architecture: Architecture
    recipe: Recipe
    rates: tuple[float, ...]
    """One step each. Large for a single step, so that the change of a weight stands far above
    the rounding of the weight itself."""
    batch_size: int = 8


SGD = Recipe("sgd", "", momentum=0.9, nesterov=True, weight_decay=0.01)
PLAIN_MOMENTUM = Recipe("heavy-ball", "", momentum=0.8, nesterov=False, label_smoothing=0.1)
# eps of the gradients' size keeps the update smooth: with 1e-8, Adam's first step is the gradient's
# sign, and rounding decides it wherever the true gradient is nearly 0.
ADAM = Recipe("adam", "", optimizer="adam", eps=1e-3, weight_decay=0.01)


def _at(name: str, size: int) -> Architecture:
    # Smaller images than the source's: 2×2 maps reach the dense layers, the rest is the same.
    return variant(name).architecture(10, input_size=size)


def jobs() -> dict[str, Job]:
    """Training steps by name: every layer in the synthetic network, then asymmetric padding, groups
    and response normalisation at published widths."""
    return {
        "tiny-nesterov": Job(TINY, SGD, (0.05, 0.1, 0.02)),
        "tiny-momentum": Job(TINY, PLAIN_MOMENTUM, (0.05, 0.1, 0.02)),
        "tiny-adam": Job(TINY, ADAM, (0.01, 0.02, 0.005)),
        "cifar-bn": Job(_at("cifar-bn", 32), SGD, (1.0,)),
        "imagenet-lrn": Job(_at("imagenet-lrn", 99), SGD, (1.0,)),
    }


def seeded_weights(architecture: Architecture, seed: int = 1) -> Weights:
    """Initial weights with every bias, scale and moment moved off its start.

    At their starting values (0 and 1) a layer that left them out would not be found out.
    """
    rng = np.random.default_rng(seed)
    weights = initial_weights(architecture, seed)
    for weight in weights.values():
        if weight.ndim == 1:
            weight += rng.uniform(-0.2, 0.2, weight.shape).astype(np.float32)
    return weights


def random_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 32, 32, 3) of noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def labels(count: int, classes: int, seed: int = 0) -> NDArray[np.int64]:
    """(count,) class numbers."""
    return np.random.default_rng([seed, 1]).integers(0, classes, count)


def setup(
    architecture: Architecture, recipe: Recipe = SGD, *, steps: int = 1, **case: Any
) -> Setup:
    """What a trainer is built from, on one thread so that every run sums in the same order."""
    chosen = Case(architecture.name, "any", input_size=architecture.input_size, **case)
    return Setup(chosen, architecture, recipe, steps, MEAN, STD, threads=1)


def step_input(
    architecture: Architecture, count: int, masks: Mapping[str, NDArray[np.bool_]], rate: float
) -> StepInput:
    """One batch."""
    return StepInput(random_images(count), labels(count, architecture.classes), masks, rate)


def sampled(name: str, array: NDArray[Any], most: int = 4096) -> NDArray[Any]:
    """``array`` flat, or the same ``most`` of its entries in every process when it is larger."""
    flat = array.ravel()
    if flat.size <= most:
        return flat
    return flat[np.random.default_rng(crc32(name.encode())).integers(0, flat.size, most)]
