"""The ``torchvision`` row is torchvision's own network, to the last bit."""

import pytest

from bench.networks.variants import variant
from tests.frameworks.probes.client import ask_reference


@pytest.mark.parametrize("closed", [True, False])
def test_logits_are_torchvisions_exactly(closed: bool) -> None:
    facts = ask_reference("published").facts
    assert facts["spread"] > 0
    assert facts[f"closed={closed}"] is True


def test_parameters_are_torchvisions() -> None:
    facts = ask_reference("published").facts
    assert facts["parameters"] == variant("torchvision").architecture().parameters == 61_100_840


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("missing", "missing ['features.6.bias'], extra []"),
        ("extra", "missing [], extra ['features.99.weight']"),
    ],
)
def test_other_states_are_refused_by_name(wrong: str, named: str) -> None:
    said = ask_reference("published").facts["refusals"]
    assert wrong in said, "taken without a word"
    assert named in said[wrong]
