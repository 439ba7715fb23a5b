"""Keras's weights in the core's names and layouts: by the names of layers, else by their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.core.errors import UserError
from bench.networks import layouts
from bench.networks.variants import HEADS, VARIANTS
from bench.networks.weight_names import renamed
from bench.weights.files import Tensors
from bench.weights.identify import AmbiguousError, Network, identify, unusual
from bench.weights.match import matched, naming


def from_keras(
    tensors: Tensors, where: str, named: str | None, head: str | None
) -> tuple[Tensors, Network, tuple[str, ...]]:
    """The tensors under the core's names in the core's layouts, their network, and what was
    matched.

    Files that the suite wrote have the core's names. In any other model the i-th convolution, dense
    layer and BatchNorm is that of the variant.

    Raises:
        UserError: Neither fits a network.
    """
    turned = {name: layouts.from_keras(name, array, {}) for name, array in tensors.items()}
    first: UserError | None = None
    fitting: list[tuple[Network, Mapping[str, str]]] = []
    for names in _namings(turned, [named] if named else list(VARIANTS), head):
        shapes = {ours: turned[own].shape for own, ours in names.items()}
        theirs = {ours: own for own, ours in names.items()}
        try:
            network = identify(shapes, where, named=named, head=head, theirs=theirs)
        except AmbiguousError:
            raise
        except UserError as error:
            first = first or error
            continue
        fitting.append((network, names))
        if all(own == ours for own, ours in names.items()) or not any(unusual(network)):
            break
    if not fitting:
        raise first or UserError(f"{where}: no weights in it; expected those of an AlexNet")
    network, names = min(fitting, key=lambda pair: unusual(pair[0]))
    order = layouts.flattened(network.architecture)
    found = renamed(tensors, names)
    turned_back = {k: layouts.from_keras(k, array, order) for k, array in found.items()}
    return turned_back, network, matched(names)


def _namings(
    turned: Tensors, variants: Iterable[str], head: str | None
) -> Iterable[Mapping[str, str]]:
    """Possible names of the tensors, the file's own first; each once."""
    seen: list[Mapping[str, str]] = [{name: name for name in turned}]
    shapes = {name: array.shape for name, array in turned.items()}
    for name in variants:
        for each in [head] if head else HEADS:
            found = naming(shapes, VARIANTS[name].architecture(head=each).layers)
            if found is not None and found not in seen:
                seen.append(found)
    return seen
