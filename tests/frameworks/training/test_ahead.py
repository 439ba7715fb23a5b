"""What a step needs is on the device before it begins."""

import numpy as np

from tests.frameworks.probes.training.ahead import STEPS
from tests.frameworks.support.client import ask, each_framework
from tests.frameworks.support.networks import TINY


@each_framework
def test_steps_of_inputs_that_were_brought_ahead_are_the_same_to_the_bit(framework: str) -> None:
    answer = ask(framework, "training.ahead")
    assert answer.facts["of_the_host"] == 0
    for name in TINY.weight_shapes():
        brought, given = (answer.arrays[f"{ahead}/{name}"] for ahead in (True, False))
        np.testing.assert_array_equal(brought, given, err_msg=name)


def test_a_step_of_jax_transfers_nothing_that_was_brought_ahead() -> None:
    """The brought steps ran while JAX refused transfers; masks of the host are one."""
    assert "host-to-device transfer" in ask("keras-jax", "training.ahead").facts["refused"]


@each_framework
def test_the_end_of_the_queue_is_reached_within_a_training(framework: str) -> None:
    assert ask(framework, "training.ahead").facts["ends"] == 2 * STEPS


def test_work_that_jax_has_queued_when_sync_returns_early_is_found() -> None:
    *once, queued = ask("keras-jax", "training.ahead").facts["late"]
    assert once == [""] * 4  # late once, as a host that hesitates, is no fault
    assert queued.startswith("work is still queued on the device after sync")


def test_sync_within_a_fit_of_jax_waits_for_the_weights() -> None:
    """Not for the logged loss alone."""
    assert ask("keras-jax", "training.ahead").facts["waited_in_fit"] == [False, True]
