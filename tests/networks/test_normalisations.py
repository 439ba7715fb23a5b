"""Pairs of networks that differ in their normalisation alone, and the words for them."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from bench.networks.architecture import BatchNorm, Dense, Flatten, Layer, LocalResponseNorm, Shape
from bench.networks.init import initial_weights
from bench.networks.normalisations import NORMALISATIONS, Normalisation, family, normalisation_of
from bench.networks.variants import VARIANTS, Variant, variant
from bench.report.plot_style import marker

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


@dataclass(frozen=True)
class _GroupNorm(Layer):
    """A normalisation that no row of the project has."""

    kind: ClassVar[str] = "group_norm"
    normalisation: ClassVar[str] = "GroupNorm"

    def weights(self, shape: Shape) -> dict[str, Shape]:
        return {f"{self.name}.weight": shape[:1], f"{self.name}.bias": shape[:1]}


def test_a_new_normalisation_has_its_name_a_mark_and_a_scale_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def layers(classes: int) -> tuple[Layer, ...]:
        return _GroupNorm("gn"), Flatten("flatten"), Dense("out", classes)

    monkeypatch.setitem(VARIANTS, "grouped", Variant("grouped", "a test", 8, 10, layers))
    assert normalisation_of("grouped") == "GroupNorm"
    assert marker("grouped") not in {marker(name) for name in VARIANTS if name != "grouped"}
    weights = initial_weights(VARIANTS["grouped"].architecture(), seed=0)
    assert set(weights["gn.weight"]) == {1.0}
    assert set(weights["gn.bias"]) == {0.0}
