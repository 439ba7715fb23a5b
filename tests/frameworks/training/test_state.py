"""A training that goes on from its exported state has the losses and weights of one in one go."""

import pytest

from tests.frameworks.probes.training.state import THOROUGH, TRAININGS, WHERE, same_training
from tests.frameworks.support.client import ask, each_framework

pytestmark = pytest.mark.slow

each_place = pytest.mark.parametrize(
    ("training", "place"), [(name, place) for name, places in WHERE.items() for place in places]
)


@each_framework
@each_place
def test_losses_and_weights_have_the_bits_of_a_training_in_one_go(
    framework: str, training: str, place: str
) -> None:
    facts = ask(framework, "training.state").facts
    found = facts[f"{same_training(framework, training)} {place}"]
    assert found["losses"]
    assert found["resumed"] == found["losses"]
    assert found["differing weights"] == []
    assert not found["differing predictions"]


@each_framework
@pytest.mark.parametrize("training", THOROUGH)
def test_exporting_the_state_changes_no_weight(framework: str, training: str) -> None:
    assert ask(framework, "training.state").facts["disturbed"][training] == []


@each_framework
@pytest.mark.parametrize("training", THOROUGH)
def test_the_state_of_another_training_is_refused(framework: str, training: str) -> None:
    found = ask(framework, "training.state").facts["refused"][training]
    assert list(found) == ["missing", "shape", "type", "slot"]
    assert all(text.startswith("state of another training: ") for text in found.values())


def test_every_training_is_exported_within_a_call() -> None:
    assert list(WHERE) == list(TRAININGS)
    assert all("within" in places for places in WHERE.values())
