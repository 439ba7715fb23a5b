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
def test_a_part_of_an_epoch_is_of_all_classes(framework: str) -> None:
    seen = ask(framework, "loops.tutorial_loop").facts["seen"]
    assert framework == "pytorch" or len(seen) > 5  # 32 images; the first 32 are of three classes


@each_framework
def test_a_last_batch_of_one_image_ends_no_training(framework: str) -> None:
    assert ask(framework, "loops.tutorial_loop").facts["steps_of_odd"] == 6


@each_framework
def test_images_are_enlarged_for_a_network_of_larger_ones(framework: str) -> None:
    logits = ask(framework, "loops.tutorial_loop").arrays["enlarged"]
    assert logits.shape == (2, probe.CLASSES)
    assert np.isfinite(logits).all()


@each_framework
def test_images_of_another_size_than_32_are_taken_as_they_are(framework: str) -> None:
    """The loop cut 32 pixels out of them, or failed: `--profile loops --resize 64`."""
    logits = ask(framework, "loops.tutorial_loop").arrays["of larger images"]
    assert logits.shape == (2, probe.CLASSES)
    assert np.isfinite(logits).all()
