"""Keras on JAX with two devices: all that a training holds is on the one that was chosen."""

import json
import os
import subprocess
import sys

import pytest

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.support.client import ROOT, environment
from tests.frameworks.support.two_devices import SECOND

ROW = FRAMEWORKS["keras-jax"]
FEW = 64
"""Elements of constants and counters that JAX itself may hold on its first device."""


@pytest.mark.slow
@pytest.mark.skipif(bool(ROW.missing()), reason=str(ROW.missing()))
def test_every_array_of_a_training_is_on_the_chosen_device() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-m", "tests.frameworks.support.two_devices"],
        cwd=ROOT,
        env={**environment(ROW), "XLA_FLAGS": flags.strip()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["devices"] == 2
    assert found["tracks"]
    for track, facts in found["tracks"].items():
        elements = facts["elements"]
        assert elements.get(str(SECOND), 0) > 10_000, track
        assert elements.get("0", 0) <= FEW, (track, elements)
        assert facts["device"] == "cpu"
