"""Initial weights and dropout masks, drawn once in numpy so that every framework gets the same."""

from __future__ import annotations

import math
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.networks.architecture import Architecture, Shape

Weights = dict[str, NDArray[np.float32]]


def initial_weights(architecture: Architecture, seed: int) -> Weights:
    """Draw all weights and statistics, float32, in PyTorch's layouts.

    Convolution and dense weights: uniform within ±sqrt(6 / fan_in) (He et al. 2015, eq. 10: the
    variance 2 / fan_in keeps the scale through ReLU layers). Biases 0; scales 1; running mean 0,
    running variance 1. Each weight has a generator of its own, seeded by (seed, name):
    adding a layer does not change the others.
    """
    weights = {
        name: _draw(name, shape, seed)
        for step in architecture.steps()
        for name, shape in step.layer.weights(step.before).items()
    }
    statistics = architecture.statistic_shapes()
    return weights | {
        name: np.full(shape, float(name.endswith("_var")), np.float32)
        for name, shape in statistics.items()
    }


def _draw(name: str, shape: Shape, seed: int) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.full(shape, float(name.endswith(".weight")), np.float32)
    bound = math.sqrt(6 / math.prod(shape[1:]))
    generator = np.random.default_rng([seed, crc32(name.encode())])
    uniform = generator.random(shape, dtype=np.float32)
    return (uniform * np.float32(2 * bound) - np.float32(bound)).astype(np.float32)


_LEVELS = 1 << 16


class DropoutMasks:
    """Masks that are a function of (seed, step, layer) and of nothing else.

    Neither framework's own dropout takes a mask or shares its random numbers with the other, so
    the closed track feeds these. Sixteen random bits per element are drawn fast compared with a
    step: the rate is exact to 1/65536.
    """

    def __init__(self, architecture: Architecture, seed: int) -> None:
        self._layers = architecture.dropouts()
        self._seed = seed

    def at(self, step: int, batch_size: int) -> dict[str, NDArray[np.bool_]]:
        """Masks by layer name, (batch_size, *features), True where the value passes."""
        return {
            name: self._draw(name, step, (batch_size, *shape), rate)
            for name, (shape, rate) in self._layers.items()
        }

    def _draw(self, name: str, step: int, shape: Shape, rate: float) -> NDArray[np.bool_]:
        seed = np.random.SeedSequence([self._seed, step, crc32(name.encode())])
        numbers = math.prod(shape)
        # Whole 64-bit words: `Generator.bytes` draws the same bits, eight times as slowly.
        words = np.random.SFC64(seed).random_raw(-(-numbers // 4))
        drawn = words.astype("<u8", copy=False).view("<u2")[:numbers]
        return drawn.reshape(shape) >= round(rate * _LEVELS)
