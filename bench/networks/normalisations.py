"""Pairs of networks that differ in nothing but their normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from bench.networks.variants import VARIANTS


@dataclass(frozen=True)
class Normalisation:
    """A network with a normalisation, and the network that it is compared with.

    Attributes:
        name: Layers of both, counted: ``9 BN over none``.
        variant: Name of the network.
        base: Name of the one that it is compared with.
    """

    name: str
    variant: str
    base: str


NORMALISATIONS = (
    Normalisation("9 BN over none", "cifar-bn", "cifar-plain"),
    Normalisation("2 LRN over none", "cifar-lrn", "cifar-plain"),
    Normalisation("2 BN over none", "cifar-bn2", "cifar-plain"),
    Normalisation("2 BN over 2 LRN", "cifar-bn2", "cifar-lrn"),
    Normalisation("2 BN over 2 LRN", "imagenet-bn", "imagenet-lrn"),
)
"""The first two do not exchange one normalisation for the other: BN stands after nine layers there,
LRN after two. The last two do."""


def normalisation_of(variant: str) -> str:
    """The normalisation of a network by `Layer.normalisation`, ``none`` where it has none;
    ``unknown`` for a network that is not here."""
    if variant not in VARIANTS:
        return "unknown"
    layers = VARIANTS[variant].architecture().layers
    return next((layer.normalisation for layer in layers if layer.normalisation), "none")


def family(variant: str) -> tuple[str, ...]:
    """The networks that are compared with this one for their normalisation, itself among them.

    Alone where there is none. In the order of `NORMALISATIONS`, so that it is the same for all.
    """
    found = {variant}
    while (
        more := {
            name
            for pair in NORMALISATIONS
            if {pair.variant, pair.base} & found
            for name in (pair.variant, pair.base)
        }
        - found
    ):
        found |= more
    order = dict.fromkeys(name for pair in NORMALISATIONS for name in (pair.variant, pair.base))
    return tuple(name for name in order if name in found) or (variant,)
