"""Weights by name, in the core's layouts: whether they fit a network, and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, Shape


def check_weights(
    architecture: Architecture, weights: Mapping[str, NDArray[Any]], dtype: str = "float32"
) -> None:
    """Raise UserError that names the first weight that does not fit; for use before any is loaded.

    Every weight and statistic of the network must be there, nothing else, in its shape, of
    ``dtype``, and finite.
    """
    shapes = architecture.weight_shapes() | architecture.statistic_shapes()
    missing, extra = sorted(shapes.keys() - weights.keys()), sorted(weights.keys() - shapes.keys())
    if missing or extra:
        raise UserError(f"weights do not fit {architecture.name}: missing {missing}, extra {extra}")
    for name, shape in shapes.items():
        _check_one(name, weights[name], shape, dtype)


def _check_one(name: str, weight: NDArray[Any], shape: Shape, dtype: str) -> None:
    if weight.shape != shape:
        hint = other_order(weight.shape, shape)
        raise UserError(f"weight {name}: expected the shape {shape}, got {weight.shape}{hint}")
    if weight.dtype != np.dtype(dtype):
        raise UserError(f"weight {name}: expected {dtype}, got {weight.dtype}")
    wrong = weight.size - int(np.isfinite(weight).sum())
    if wrong:
        raise UserError(f"weight {name}: {wrong} of {weight.size} values are not finite")


def other_order(found: Shape, expected: Shape) -> str:
    """A hint where the shape is that of another framework's layout."""
    if len(expected) == 4 and found == tuple(expected[i] for i in (2, 3, 1, 0)):
        return ": this is HWIO (Keras's order), OIHW is wanted"
    if len(expected) == 2 and found == expected[::-1]:
        return ": this is (in, out) (Keras's order), (out, in) is wanted"
    return ""


def weights_digest(weights: Mapping[str, NDArray[Any]]) -> str:
    """sha256 over names, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()
