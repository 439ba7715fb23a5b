"""Between the core's layouts of weights and Keras's. Numpy only.

The core has convolutions as OIHW and dense weights as (out, in) over C·H·W; Keras has HWIO and
(in, out) over H·W·C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from bench.networks import architecture as spec


def flattened(architecture: spec.Architecture) -> dict[str, spec.Shape]:
    """The dense weight that reads a flattened map, with that map's (C, H, W)."""
    map_shape: spec.Shape | None = None
    for step in architecture.steps():
        if isinstance(step.layer, spec.Flatten):
            map_shape = step.before
        elif isinstance(step.layer, spec.Dense) and map_shape is not None:
            return {f"{step.layer.name}.weight": map_shape}
    return {}


def to_keras(name: str, weight: NDArray[Any], order: Mapping[str, spec.Shape]) -> NDArray[Any]:
    """A weight in Keras's layout; ``order`` is what `flattened` gives."""
    if weight.ndim == 4:
        return weight.transpose(2, 3, 1, 0)  # OIHW -> HWIO
    if weight.ndim == 2:
        if name in order:
            # (out, C·H·W) -> (out, H·W·C)
            maps = weight.reshape(-1, *order[name])
            weight = maps.transpose(0, 2, 3, 1).reshape(weight.shape)
        return weight.T
    return weight


def from_keras(name: str, weight: NDArray[Any], order: Mapping[str, spec.Shape]) -> NDArray[Any]:
    """A weight of Keras's layout in the core's."""
    if weight.ndim == 4:
        weight = weight.transpose(3, 2, 0, 1)  # HWIO -> OIHW
    elif weight.ndim == 2:
        weight = weight.T
        if name in order:
            channels, height, width = order[name]
            maps = weight.reshape(-1, height, width, channels)
            weight = maps.transpose(0, 3, 1, 2).reshape(-1, math.prod(order[name]))
    return weight
