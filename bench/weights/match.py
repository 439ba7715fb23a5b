"""Matches layers of a file with those of a network by order and shape, where names do not tell.

The i-th convolution, dense layer and BatchNorm of the file is that of the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bench.networks.architecture import Architecture, BatchNorm, Conv, Dense, Layer, Shape

LAYERS: tuple[type[Layer], ...] = (Conv, Dense, BatchNorm)
_AXES = (4, 2, 1)
"""Of the weight of each of `LAYERS`."""


@dataclass(frozen=True)
class Pair:
    """A layer of a network and its counterpart in the file; None where one has no more.

    Attributes:
        ours: The row.
        theirs: Name of the layer in the file.
        fits: Whether all its tensors are there in their shapes.
    """

    ours: Layer | None
    theirs: str | None
    fits: bool = False


def by_kind(shapes: Mapping[str, Shape]) -> list[list[str]]:
    """Names of the layers of each of `LAYERS`, by the axes of their weights, in its order."""
    axes = {name.rpartition(".")[0]: 0 for name in shapes}
    for name, shape in shapes.items():
        if name.endswith(".weight"):
            axes[name.rpartition(".")[0]] = len(shape)
    return [[layer for layer, count in axes.items() if count == wanted] for wanted in _AXES]


def rows_by_kind(layers: Iterable[Layer]) -> list[list[Layer]]:
    """The rows of each of `LAYERS`, in order."""
    found = list(layers)
    return [[row for row in found if isinstance(row, kind)] for kind in LAYERS]


def naming(
    shapes: Mapping[str, Shape], layers: Iterable[Layer], *, parts: bool = False
) -> dict[str, str] | None:
    """The core's name of every tensor, where both have as many layers of each kind.

    Args:
        shapes: By the names in the file.
        layers: Rows of the network.
        parts: Whether the file may have no dense layer at all, and then those BatchNorms alone
            that come first.

    Returns:
        Core name by the name in the file; None where the numbers differ, or a tensor belongs to no
        layer.
    """
    theirs, ours = by_kind(shapes), rows_by_kind(layers)
    there, wanted = ([len(each) for each in rows] for rows in (theirs, ours))
    trunk = parts and there[0] == wanted[0] and there[1] == 0
    trunk = trunk and (there[2] == wanted[2] or 0 < there[2] < wanted[2])
    if there != wanted and not trunk:
        return None
    names = {
        name: row.name
        for own, rows in zip(theirs, ours, strict=True)
        for name, row in zip(own, rows, strict=False)
    }
    found = {}
    for name in shapes:
        layer, _, part = name.rpartition(".")
        if layer not in names:
            return None
        found[name] = f"{names[layer]}.{part}"
    return found


def matched(names: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence about the layers of a file that got other names; none where all kept theirs."""
    layers = dict.fromkeys(
        (own.rpartition(".")[0], ours.rpartition(".")[0]) for own, ours in names.items()
    )
    pairs = ", ".join(f"{own} to {ours}" for own, ours in layers if own != ours)
    return (f"matched by order and shape: {pairs}",) if pairs else ()


def aligned(shapes: Mapping[str, Shape], architecture: Architecture) -> Iterator[Pair]:
    """The layers of a file and of a network side by side, kind by kind."""
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    for own, rows in zip(by_kind(shapes), rows_by_kind(architecture.layers), strict=True):
        for place in range(max(len(own), len(rows))):
            row = rows[place] if place < len(rows) else None
            name = own[place] if place < len(own) else None
            fits = row is not None and name is not None and _fits(shapes, name, wanted, row.name)
            yield Pair(row, name, fits)


def _fits(shapes: Mapping[str, Shape], theirs: str, wanted: Mapping[str, Shape], ours: str) -> bool:
    mine = {k.rpartition(".")[2]: v for k, v in wanted.items() if k.rpartition(".")[0] == ours}
    other = {k.rpartition(".")[2]: v for k, v in shapes.items() if k.rpartition(".")[0] == theirs}
    return mine == other


def dense_kernels(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Matrices of the dense layers that a file keeps as convolutions, as MATLAB's converters do.

    No network here has 1×1 kernels: such a layer is dense, (1, 1, I, O) or (O, I, 1, 1), and so is
    the one before the first of them where its kernel has an even extent, that of the last map.
    """
    kernels = [k for k, v in tensors.items() if v.ndim == 4 and k.endswith(".weight")]
    sides = {name: _extent_of(tensors[name].shape) for name in kernels}
    first = next((place for place, name in enumerate(kernels) if sides[name] == 1), None)
    if first is None:
        return {}
    dense = [name for name in kernels[first:] if sides[name] == 1]
    if first and sides[kernels[first - 1]] % 2 == 0:
        dense.insert(0, kernels[first - 1])
    return {name: _as_matrix(tensors[name]) for name in dense}


def _extent_of(shape: Shape) -> int:
    return shape[0] if _is_hwio(shape) else shape[2]


def _is_hwio(shape: Shape) -> bool:
    """Whether a kernel is (k, k, I, O) and not (O, I, k, k): kernels are square, and smaller than
    the number of channels where that is the same twice."""
    first, last = shape[:2], shape[2:]
    return first[0] == first[1] and (last[0] != last[1] or first[0] < last[0])


def _as_matrix(kernel: NDArray[Any]) -> NDArray[Any]:
    """(H·W·I, O) of HWIO, (O, I·H·W) of OIHW."""
    if _is_hwio(kernel.shape):
        return kernel.reshape(-1, kernel.shape[-1])
    return kernel.reshape(kernel.shape[0], -1)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts ``features.8`` before ``features.10``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
