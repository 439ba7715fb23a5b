"""The published article's training loop in PyTorch: its network, its images, its steps."""

import numpy as np
import pytest

from tests.frameworks.support.client import ask_reference

pytestmark = pytest.mark.slow


def test_the_network_is_the_articles() -> None:
    facts = ask_reference("loops.article").facts
    # torchvision's with 4096·4096 replaced by 4096·1024 and the last layer by 1024·10.
    expected = 61_100_840 - (4096 * 4096 + 4096 + 4096 * 1000 + 1000)
    assert facts["parameters"] == expected + (4096 * 1024 + 1024) + (1024 * 10 + 10)
    assert facts["trained"] == facts["parameters"]
    assert facts["started_from"] == ["conv1", "conv2", "conv3", "conv4", "conv5", "dense1"]
    assert facts["dropout_active"] is False


def test_a_picture_is_resized_by_pillow_and_its_middle_cut_out() -> None:
    arrays = ask_reference("loops.article").arrays
    assert arrays["image"].shape == (3, 224, 224)
    np.testing.assert_allclose(arrays["image"], arrays["expected_image"], atol=1e-6)


def test_it_learns_and_takes_as_many_steps_as_it_is_told() -> None:
    facts = ask_reference("loops.article").facts
    assert facts["called"] == len(facts["losses"]) == 30  # more than an epoch of 20 images
    assert np.mean(facts["losses"][-5:]) < 0.7 * np.mean(facts["losses"][:5])


def test_every_epoch_is_shuffled_and_has_every_picture() -> None:
    facts = ask_reference("loops.article").facts
    assert sorted(facts["order"]) == sorted(facts["labels"])
    assert facts["order"] != facts["labels"]


def test_the_workers_of_its_loader_give_the_same_batches_and_go() -> None:
    facts = ask_reference("loops.article").facts
    assert facts["with_workers"] == pytest.approx(facts["without_workers"], rel=1e-5)
    assert facts["children_left"] == 0
