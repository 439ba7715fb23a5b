"""Images that stay on the device: a step gets the same pixels, and learns the same."""

import numpy as np
import pytest

from bench.data.batching import gather
from tests.frameworks.probes.training.held import CLOSED, PADDINGS, SPLIT, batches
from tests.frameworks.support.client import ask, each_framework
from tests.frameworks.support.networks import FREE, TINY


@each_framework
@pytest.mark.parametrize("padding", PADDINGS)
def test_crops_on_the_device_are_those_of_the_batch_plan_to_the_bit(
    framework: str, padding: int
) -> None:
    arrays = ask(framework, "training.held").arrays
    for step, batch in enumerate(batches(padding)):
        assert batch.flips.any()
        images, _ = gather(SPLIT, batch, padding)
        # TensorFlow holds images as float16 on a GPU.
        names = [name for name in arrays if name.startswith(f"cut/{padding}/{step}")]
        assert len(names) == (1 if framework == "pytorch" else 2)
        for name in names:
            assert arrays[name].dtype == np.uint8
            np.testing.assert_array_equal(arrays[name], images)


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize("track", [CLOSED, *FREE])
def test_training_on_held_images_is_training_on_the_given_ones(framework: str, track: str) -> None:
    answer = ask(framework, "training.held_training")
    held, given = (answer.facts[f"{track}/{there}"] for there in (True, False))
    np.testing.assert_allclose(held, given, rtol=1e-5)
    for name in TINY.weight_shapes():
        here, there = (answer.arrays[f"{track}/{side}/{name}"] for side in (True, False))
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5 * np.abs(there).max())


def test_images_that_take_over_half_of_the_free_memory_are_not_held() -> None:
    found = ask("pytorch", "training.held").facts["held_with"]
    assert found == {"twice": True, "less": False}


@each_framework
def test_a_device_that_is_not_there_is_one_line(framework: str) -> None:
    """On a machine without CUDA, which the probes hide."""
    said = ask(framework, "training.held").facts["unusable"]
    assert said.startswith("device cuda: ")
    assert "--device cpu" in said
    assert "\n" not in said
