"""The layers of a file that fit a network, where the rest is of another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.errors import UserError
from bench.networks.architecture import Shape
from bench.networks.variants import VARIANTS, Variant, variant
from bench.weights.identify import AmbiguousError, Network, candidate, last_units
from bench.weights.match import LAYERS, Pair, aligned


class NothingFitsError(UserError):
    """No layer of a file fits any network."""


@dataclass(frozen=True)
class Fitting:
    """The layers that fit.

    Attributes:
        network: With these layers.
        names: The core's name by the name in the file, of what is taken.
        sentence: What was taken and what not.
    """

    network: Network
    names: dict[str, str]
    sentence: str


def fitting_layers(shapes: Mapping[str, Shape], where: str, named: str | None) -> Fitting:
    """The network with the most layers in a file, each from the first one of its kind on.

    Args:
        shapes: By ``layer.part``, in the order of the network, in the core's layouts.
        where: The file, for errors.
        named: The variant, where the user gives it.

    Raises:
        NothingFitsError: No layer fits.
        AmbiguousError: Several networks have as many.
    """
    rows = [variant(named)] if named else list(VARIANTS.values())
    found = [(row, _leading(row, shapes)) for row in rows]
    most = max(len(pairs) for _, pairs in found)
    if not most:
        nearest = f"{named} has no" if named else "no network here has a"
        raise NothingFitsError(f"{where}: --partial: {nearest} layer in common with it")
    best = [(row, pairs) for row, pairs in found if len(pairs) == most]
    best = [(row, pairs) for row, pairs in best if row.trunk_of not in [r.name for r, _ in best]]
    if len(best) > 1:
        names = ", ".join(row.name for row, _ in best)
        raise AmbiguousError(
            f"{where}: --partial: {most} layers fit {names} alike; say which with --variant "
            f"{best[0][0].name}"
        )
    (row, pairs) = best[0]
    layers = {pair.theirs: pair.ours.name for pair in pairs if pair.ours and pair.theirs}
    taken = {
        name: f"{layers[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}"
        for name in shapes
        if name.rpartition(".")[0] in layers
    }
    network = candidate(row, "source", {taken[name]: shapes[name] for name in taken})
    left = list(dict.fromkeys(n.rpartition(".")[0] for n in shapes if n not in taken))
    sentence = (
        f"{len(layers)} layers fit {row.name} and are taken ({', '.join(layers.values())}); left "
        f"out: {', '.join(left) or 'nothing'}"
    )
    return Fitting(network, taken, sentence)


def _leading(row: Variant, shapes: Mapping[str, Shape]) -> list[Pair]:
    """The layers that fit, from the first of each kind to the first that does not; no dense layer
    without all convolutions before it."""
    architecture = row.architecture(last_units(shapes))
    pairs = list(aligned(shapes, architecture))
    found: list[Pair] = []
    whole = True
    for kind in LAYERS:
        own = [pair for pair in pairs if isinstance(pair.ours, kind)]
        count = next((place for place, pair in enumerate(own) if not pair.fits), len(own))
        dense_first = kind is LAYERS[1] and not whole
        found += [] if dense_first else own[:count]
        whole = whole and count == len(own)
    return found
