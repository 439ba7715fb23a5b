"""Execution is a dimension: eager and compiled compute the same, and say which they are."""

import numpy as np
import pytest

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.probes.training.held import CLOSED
from tests.frameworks.support.client import ask, each_framework
from tests.frameworks.support.networks import FREE

pytestmark = pytest.mark.slow

each_track = pytest.mark.parametrize("track", [CLOSED, *FREE])
COMPILED = {"pytorch": "torch.compile", "keras-tensorflow": "tf.function", "keras-jax": "jax.jit"}


@each_framework
@each_track
def test_both_executions_train_alike(framework: str, track: str) -> None:
    answer = ask(framework, "training.executions")
    eager, compiled = (answer.facts[f"{track}/{name}"] for name in ("eager", "compiled"))
    np.testing.assert_allclose(compiled["losses"], eager["losses"], rtol=1e-4)
    one, other = (answer.arrays[f"{track}/{name}"] for name in ("eager", "compiled"))
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-4 * np.abs(one).max())


@each_framework
@each_track
def test_the_execution_in_force_is_read_back(framework: str, track: str) -> None:
    facts = ask(framework, "training.executions").facts
    eager, compiled = (facts[f"{track}/{name}"]["settings"] for name in ("eager", "compiled"))
    assert "eager" in eager["execution"] or eager["jit_compile"] is False
    assert (eager["execution"], eager["jit_compile"]) != (
        compiled["execution"],
        compiled["jit_compile"],
    )
    if track == CLOSED and framework in COMPILED:
        assert compiled["execution"].startswith(COMPILED[framework])


@each_framework
@each_track
def test_graphs_and_graph_breaks_are_counted_where_pytorch_compiles(
    framework: str, track: str
) -> None:
    facts = ask(framework, "training.executions").facts
    counted = facts[f"{track}/compiled"]["settings"].get("compilation")
    assert facts[f"{track}/eager"]["settings"].get("compilation") is None
    if "torch" not in FRAMEWORKS[framework].modules:
        assert counted is None
        return
    assert counted["graphs"] > 0
    if framework == "pytorch":
        # Of training and of evaluation. The networks of the other tracks were recompilations.
        assert (counted["graphs"], counted["graph_breaks"]) == (2, 0)
