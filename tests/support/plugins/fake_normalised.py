"""The fakes, with a small network that has BatchNorm.

The extension `fake_normalised_framework` brings them into a process.
"""

from __future__ import annotations

from bench.networks import variants
from bench.networks.architecture import BatchNorm, Conv, Dense, Flatten, Layer, ReLU
from bench.networks.variants import Variant
from tests.support import fakes


def _normalised(classes: int) -> tuple[Layer, ...]:
    return (
        Conv("conv1", 4, 5, stride=4),
        BatchNorm("conv1_bn"),
        ReLU("conv1_relu"),
        Flatten("flatten"),
        Dense("dense1", classes),
    )


NORMALISED = Variant("tiny-bn", "for tests", 32, 10, _normalised)


def register() -> None:
    """The rows, in this process."""
    fakes.register()
    variants.register(NORMALISED)
