"""The tutorials' training loops in every framework: that they train."""

import numpy as np
import pytest

from tests.frameworks.probes.loops import tutorial_loop as probe
from tests.frameworks.support.client import ask, each_framework

pytestmark = pytest.mark.slow


@each_framework
def test_it_learns_what_colours_mean(framework: str) -> None:
    answer = ask(framework, "loops.tutorial_loop")
    losses = answer.facts["losses"]
    assert len(losses) == answer.facts["called"] == probe.STEPS
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]
    right = answer.arrays["logits"].argmax(axis=1) == np.array(answer.facts["labels"])
    assert right.mean() > 0.5  # of ten classes


@each_framework
def test_it_says_what_it_does(framework: str) -> None:
    reported = ask(framework, "loops.tutorial_loop").facts["loop"]
    assert reported["batch_size"] == (64 if framework == "pytorch" else 32)
    assert reported["precision"] == "float32"
    assert reported["loop"]


@each_framework
def test_small_pictures_are_enlarged_for_a_large_network(framework: str) -> None:
    arrays = ask(framework, "loops.tutorial_loop").arrays
    if framework == "keras-jax":
        pytest.skip("it compiles for half a minute")
    assert arrays["large"].shape == (2, probe.CLASSES)
    assert np.isfinite(arrays["large"]).all()
