"""Keras on JAX with two devices: all that a training holds is on the one that was chosen, or a
batch is divided between both."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.support.client import ROOT, environment
from tests.frameworks.support.two_devices import SECOND

ROW = FRAMEWORKS["keras-jax"]
FEW = 64
"""Elements of constants and counters that JAX itself may hold on its first device."""


def two_devices(*arguments: str) -> dict[str, Any]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-m", "tests.frameworks.support.two_devices", *arguments],
        cwd=ROOT,
        env={**environment(ROW), "XLA_FLAGS": flags.strip()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(bool(ROW.missing()), reason=str(ROW.missing()))
def test_every_array_of_a_training_is_on_the_chosen_device() -> None:
    found = two_devices()
    assert found["devices"] == 2
    assert found["tracks"]
    for track, facts in found["tracks"].items():
        elements = facts["elements"]
        assert elements.get(str(SECOND), 0) > 10_000, track
        assert elements.get("0", 0) <= FEW, (track, elements)
        assert facts["device"] == "cpu"


@pytest.mark.slow
@pytest.mark.skipif(bool(ROW.missing()), reason=str(ROW.missing()))
def test_the_loop_that_overhead_is_compared_with_divides_its_batch() -> None:
    found = two_devices("both")
    assert found["arrays"] >= 2  # images and labels
    assert found["divided"] == found["arrays"]
