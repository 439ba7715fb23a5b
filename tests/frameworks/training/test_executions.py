"""Execution is a dimension: eager and compiled compute the same, and say which they are."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.core.case import GRAPHS, NO_XLA, XLA
from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.probes.training.executions import CALLS, STEPS
from tests.frameworks.probes.training.held import CLOSED
from tests.frameworks.support.client import ROOT, ask, each_framework, environment
from tests.frameworks.support.networks import FREE

pytestmark = pytest.mark.slow

each_track = pytest.mark.parametrize("track", [CLOSED, *FREE])
SEVERAL_STEPS = ("keras-tensorflow", "keras-jax")
"""Frameworks whose ``fit`` takes several steps in one call."""
TENSORFLOW = FRAMEWORKS["keras-tensorflow"]
WITH_AND_WITHOUT_XLA = (TENSORFLOW.name,)
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
@pytest.mark.parametrize("execution", [GRAPHS, CALLS, NO_XLA])
def test_another_execution_trains_alike_or_says_that_there_is_none(
    framework: str, track: str, execution: str
) -> None:
    found = ask(framework, "training.executions").facts[f"{track}/{execution}"]
    several = framework in SEVERAL_STEPS and execution == CALLS and track != CLOSED
    either = framework in WITH_AND_WITHOUT_XLA and execution == NO_XLA
    assert ("unavailable" not in found) == (several or either)
    if not several and not either:
        assert found["unavailable"].startswith(f"execution {execution}: ")
        assert "\n" not in found["unavailable"]
        return
    eager, other = (found[name] for name in ("eager", execution))
    assert other["steps"] == eager["steps"] == STEPS
    if several:
        assert other["execution"] == "fit, 2 steps in a call"
    else:
        assert other["jit_compile"] is False
        assert other["execution"] == ("tf.function" if track == CLOSED else "fit")
    np.testing.assert_allclose(other["losses"], eager["losses"], rtol=1e-4)
    scale = np.abs(eager["logits"]).max()
    np.testing.assert_allclose(other["logits"], eager["logits"], rtol=0, atol=2e-4 * scale)


@each_framework
def test_xla_has_no_deterministic_step_in_the_closed_track(framework: str) -> None:
    found = ask(framework, "training.executions").facts[f"{CLOSED}/{XLA}"]
    words = "deterministic" if framework in WITH_AND_WITHOUT_XLA else "with XLA and without"
    assert words in found["unavailable"]


@pytest.mark.skipif(bool(TENSORFLOW.missing()), reason=str(TENSORFLOW.missing()))
@pytest.mark.parametrize("track", ["idiomatic", "tuned"])
def test_xla_computes_the_step_of_the_graph(track: str) -> None:
    """As Keras's ``jit_compile="auto"`` has it on a GPU; on the CPU where it is asked for."""
    found = {}
    for execution in (XLA, NO_XLA):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.frameworks.support.fresh",
                TENSORFLOW.name,
                "2",
                track,
                execution,
            ],
            cwd=ROOT,
            env=environment(TENSORFLOW),
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        found[execution] = json.loads(done.stdout)
    assert found[XLA]["jit_compile"] is True
    assert found[NO_XLA]["jit_compile"] is False
    assert found[XLA]["compilation"]["graphs"] >= 1
    np.testing.assert_allclose(found[XLA]["losses"], found[NO_XLA]["losses"], rtol=1e-4)


@each_framework
@each_track
def test_graphs_and_graph_breaks_are_counted(framework: str, track: str) -> None:
    facts = ask(framework, "training.executions").facts
    counted = facts[f"{track}/compiled"]["settings"].get("compilation")
    assert facts[f"{track}/eager"]["settings"].get("compilation") is None
    assert counted["graphs"] > 0
    assert isinstance(counted["recompilations"], int)
    # What XLA and TensorFlow cannot trace is an error.
    assert ("graph_breaks" in counted) == ("torch" in FRAMEWORKS[framework].modules)
    if framework == "pytorch":
        # Of training and of evaluation. The networks of the other tracks were recompilations.
        assert (counted["graphs"], counted["graph_breaks"]) == (2, 0)


def test_a_graph_that_is_not_replayed_as_a_cuda_graph_is_in_the_row() -> None:
    """Asked for is not in force: Inductor warns, and launches its kernels one by one."""
    found = ask("pytorch", "training.captured").facts
    assert found["before"] == "torch.compile, reduce-overhead"
    assert found["after"] == "torch.compile, reduce-overhead, 1 without CUDA graphs"
    assert found["plain"] == "torch.compile"
