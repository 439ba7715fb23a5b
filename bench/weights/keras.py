"""Keras's weights in the core's names and layouts: by the names of layers, else by their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from bench.core.errors import UserError
from bench.networks import layouts
from bench.networks.architecture import BatchNorm, Conv, Dense, Layer
from bench.networks.variants import HEADS, VARIANTS
from bench.networks.weight_names import renamed
from bench.weights.files import Tensors
from bench.weights.identify import Network, identify

_KINDS: tuple[type[Layer], ...] = (Conv, Dense, BatchNorm)


def from_keras(
    tensors: Tensors, where: str, named: str | None, head: str | None
) -> tuple[Tensors, Network]:
    """The tensors under the core's names in the core's layouts, and their network.

    Files that the suite wrote have the core's names. In any other model the i-th convolution, dense
    layer and BatchNorm is that of the variant.

    Raises:
        UserError: Neither fits a network.
    """
    turned = {name: layouts.from_keras(name, array, {}) for name, array in tensors.items()}
    first: UserError | None = None
    for names in _namings(turned, [named] if named else list(VARIANTS), head):
        shapes = {ours: turned[own].shape for own, ours in names.items()}
        theirs = {ours: own for own, ours in names.items()}
        try:
            network = identify(shapes, where, named=named, head=head, theirs=theirs)
        except UserError as error:
            first = first or error
            continue
        order = layouts.flattened(network.architecture)
        found = renamed(tensors, names)
        return {k: layouts.from_keras(k, array, order) for k, array in found.items()}, network
    raise first or UserError(f"{where}: no weights in it; expected those of an AlexNet")


def _namings(
    turned: Tensors, variants: Iterable[str], head: str | None
) -> Iterable[Mapping[str, str]]:
    """Possible names of the tensors, the file's own first; each once."""
    seen: list[Mapping[str, str]] = [{name: name for name in turned}]
    theirs = _by_kind(turned)
    for name in variants:
        for each in [head] if head else HEADS:
            ours = _layers_of(VARIANTS[name].architecture(head=each).layers)
            if [len(row) for row in ours] != [len(row) for row in theirs]:
                continue
            layers = dict(zip(chain(*theirs), chain(*ours), strict=True))
            naming = {
                own: f"{layers[own.rpartition('.')[0]]}.{own.rpartition('.')[2]}" for own in turned
            }
            if naming not in seen:
                seen.append(naming)
    return seen


def _layers_of(rows: Iterable[Layer]) -> list[list[str]]:
    found = list(rows)
    return [[row.name for row in found if isinstance(row, kind)] for kind in _KINDS]


def _by_kind(turned: Tensors) -> list[list[str]]:
    """Names of the layers of each of `_KINDS`, by the axes of their weights, in order."""
    axes = {name.rpartition(".")[0]: 0 for name in turned}
    for name, array in turned.items():
        if name.endswith(".weight"):
            axes[name.rpartition(".")[0]] = array.ndim
    return [[layer for layer, count in axes.items() if count == wanted] for wanted in (4, 2, 1)]
