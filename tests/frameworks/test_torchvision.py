"""The ``torchvision`` row is torchvision's own network, to the last bit."""

import pytest

from bench.networks.variants import variant
from tests.frameworks.support.client import ask_reference


@pytest.mark.parametrize("layers", ["shared", "stock"])
def test_logits_are_torchvisions_exactly(layers: str) -> None:
    facts = ask_reference("published").facts
    assert facts["spread"] > 0
    assert facts[layers] is True


def test_parameters_are_torchvisions() -> None:
    facts = ask_reference("published").facts
    assert facts["parameters"] == variant("torchvision").architecture().parameters == 61_100_840
