"""The idiomatic track's SGD is Keras's own, in fewer passes over memory."""

import numpy as np
from probes.client import ask, each_keras


@each_keras
def test_weights_and_velocities_are_those_of_keras_s_own(framework: str) -> None:
    answer = ask(framework, "sgd")
    rates = answer.facts["rates"]
    assert rates[-1] == 0
    assert len(set(rates[:-1])) == len(rates) - 1, "it rises and falls"
    compared = [name for name in answer.arrays if name.startswith("ours/")]
    assert len(compared) == 36  # three weights in eight arms, and the velocities of four
    for name in compared:
        theirs = answer.arrays[name.replace("ours/", "theirs/")]
        np.testing.assert_allclose(answer.arrays[name], theirs, rtol=2e-6, atol=1e-6, err_msg=name)


@each_keras
def test_xla_is_left_to_fuse_by_itself(framework: str) -> None:
    expected = "SGD" if framework == "keras-jax" else "FewPassesSGD"
    facts = ask(framework, "sgd").facts
    assert facts["with_momentum"] == [expected] * 4
    assert facts["without"] == ["SGD"] * 4
