"""The tuned track's SGD is Keras's own, in fewer passes over memory."""

import numpy as np
import pytest

from tests.frameworks.support.client import ask, each_keras


@each_keras
def test_weights_and_velocities_are_those_of_keras_s_own(framework: str) -> None:
    if framework == "keras-jax":
        pytest.skip("takes Keras's own")
    answer = ask(framework, "sgd")
    rates = answer.facts["rates"]
    assert rates[-1] == 0
    assert 0 < rates.index(max(rates)) < len(rates) - 2, "it rises and falls"
    compared = [name for name in answer.arrays if not name.startswith("theirs/")]
    arms = {name.partition("/")[0] for name in compared}
    assert arms == ({"ours", "compiled"} if framework == "keras-tensorflow" else {"ours"})
    assert len(compared) == len(arms) * 4 * 6  # three weights and their velocities
    for name in compared:
        theirs = answer.arrays["theirs/" + name.partition("/")[2]]
        np.testing.assert_allclose(answer.arrays[name], theirs, rtol=2e-6, atol=2e-6, err_msg=name)


@each_keras
def test_xla_is_left_to_fuse_by_itself(framework: str) -> None:
    expected = "SGD" if framework == "keras-jax" else "FewPassesSGD"
    facts = ask(framework, "sgd").facts
    assert facts["with_momentum"] == [expected] * 4
    assert facts["plain"] == "SGD"


@each_keras
def test_weight_decay_is_left_to_keras(framework: str) -> None:
    assert ask(framework, "sgd").facts["decay"] == [None, 0.01, None, 0.01]


@each_keras
def test_a_slowed_weight_without_a_gradient_stays(framework: str) -> None:
    assert ask(framework, "sgd").facts["moved"] == [False, True]
