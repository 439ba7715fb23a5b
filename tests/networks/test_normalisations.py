"""Pairs of networks that differ in their normalisation alone, and the words for them."""

import pytest

from bench.networks.architecture import BatchNorm, LocalResponseNorm
from bench.networks.normalisations import NORMALISATIONS, Normalisation, family
from bench.networks.variants import VARIANTS, variant

NORMS = {BatchNorm: "BN", LocalResponseNorm: "LRN"}


def counted(name: str) -> str:
    kinds = [type(layer) for layer in variant(name).architecture().layers]
    words = [f"{kinds.count(kind)} {word}" for kind, word in NORMS.items() if kind in kinds]
    return " and ".join(words) or "none"


@pytest.mark.parametrize("norm", NORMALISATIONS, ids=lambda n: f"{n.variant}-{n.base}")
def test_a_name_counts_the_layers_of_both_networks(norm: Normalisation) -> None:
    assert norm.name == f"{counted(norm.variant)} over {counted(norm.base)}"


@pytest.mark.parametrize("norm", NORMALISATIONS, ids=lambda n: f"{n.variant}-{n.base}")
def test_without_their_normalisation_both_networks_are_one(norm: Normalisation) -> None:
    one, other = (
        [row for row in variant(name).layers(10) if not isinstance(row, tuple(NORMS))]
        for name in (norm.variant, norm.base)
    )
    assert one == other


def test_sources_count_what_is_exchanged() -> None:
    """Nine BatchNorms are not exchanged for two LRNs: `alexbench list` says the numbers."""
    for name, base in (("cifar-lrn", "cifar-bn"), ("imagenet-bn", "imagenet-lrn")):
        assert VARIANTS[name].source.endswith(f", {counted(name)} for its {counted(base)}")
    assert f", {counted('cifar-bn2')} where cifar-lrn has LRN" in VARIANTS["cifar-bn2"].source


def test_a_family_is_all_that_are_compared_directly_or_not() -> None:
    cifar = ("cifar-bn", "cifar-plain", "cifar-lrn", "cifar-bn2")
    assert {family(name) for name in cifar} == {cifar}
    assert family("imagenet-lrn") == family("imagenet-bn") == ("imagenet-bn", "imagenet-lrn")
    assert family("torchvision") == ("torchvision",)
