"""The figures of a certificate: distances from the reference, their bounds, and the line that
names the first that is exceeded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.networks.architecture import Architecture

BOUNDS = {
    # Sums in another order over up to 9,216 products, through eight layers.
    "float64 activations": 1e-11,
    "float64 logits": 1e-11,
    # The loss is a mean of a few numbers near 1.
    "float64 loss": 5e-9,
    "float64 gradients": 5e-9,
    # Rounding grows over ten steps, fastest through BatchNorm. Adam divides by roots of gradients
    # that may be nearly 0.
    "float64 weights, SGD": 5e-9,
    "float64 statistics, SGD": 5e-9,
    "float64 evaluation, SGD": 5e-9,
    "float64 weights, Adam": 5e-7,
    "float64 statistics, Adam": 5e-7,
    "float64 evaluation, Adam": 5e-7,
    # Gradients are averaged over devices, in another order than over a batch.
    "float64 weights, N devices": 5e-9,
    "float32 logits": 1e-5,
    "float32 loss": 1e-5,
    # At the state where it is smallest.
    "float32 gradients": 1e-3,
    "float32 update": 1e-3,
    # At the others: a ReLU or the maximum of a pool that flips by rounding changes its gradient,
    # and one of a few in the last 2×2 maps is a large share.
    "float32 gradients, any state": 1e-1,
}
"""Relative L2 distance per tensor from the reference, by check. The worst that was measured of each
is in docs/parity.md."""


@dataclass
class Figure:
    """The worst distance of one check, and where it was."""

    bound: float
    worst: float = 0.0
    where: str = ""


class MismatchError(Exception):
    """A failed check; the message names it, the place and the distance."""


@dataclass
class Certificate:
    """The figures of one network in one framework; ``problem`` is empty when all checks passed."""

    framework: str
    architecture: Architecture
    figures: dict[str, Figure] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def record(self, check: str, where: str, distance: float) -> None:
        """Record a distance; raises MismatchError when it is above its bound, or not a number."""
        figure = self.figures.setdefault(check, Figure(BOUNDS[check]))
        if not distance <= figure.worst:
            figure.worst, figure.where = distance, where
        if not distance <= figure.bound:
            raise MismatchError(
                f"{check}: {where} differs by {distance:.1e}, bound {figure.bound:.0e}"
            )

    def to_json(self) -> dict[str, Any]:
        """As a record carries it; a figure that is not finite becomes null."""
        return {
            "variant": self.architecture.name,
            "framework": self.framework,
            "status": "fail" if self.problem else "pass",
            "problem": self.problem,
            "figures": {name: _figure_json(figure) for name, figure in self.figures.items()},
            **self.facts,
        }


def _figure_json(figure: Figure) -> dict[str, Any]:
    worst = figure.worst if math.isfinite(figure.worst) else None
    return {"worst": worst, "bound": figure.bound, "where": figure.where}


def distance(found: NDArray[Any], expected: NDArray[Any], scale: float | None = None) -> float:
    """L2 norm of the difference over ``scale``, by default the norm of the expected tensor.

    inf for another shape; by blocks of rows, since the two may lie in memory in different orders.
    """
    if found.shape != expected.shape:
        return math.inf
    gap = total = 0.0
    for start in range(0, len(expected), 64):
        part = expected[start : start + 64].astype(np.float64, copy=False)
        difference = (found[start : start + 64] - part).ravel()
        gap += float(difference @ difference)
        total += float(part.ravel() @ part.ravel())
    size = math.sqrt(total) if scale is None else scale
    if not size:
        return 0.0 if gap == 0 else math.inf
    return math.sqrt(gap) / size


def norm(tensor: NDArray[Any]) -> float:
    """L2 norm over all elements."""
    return float(np.linalg.norm(tensor))
