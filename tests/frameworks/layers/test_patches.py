"""Convolutions written another way: the same result, only where a backend's own are slow."""

import numpy as np
import pytest

from tests.frameworks.support.client import ask, each_keras
from tests.frameworks.support.convolutions import GROUPED, KERNELS, SEEING_ALL
from tests.frameworks.support.networks import TUNED

pytestmark = pytest.mark.slow


@each_keras
@pytest.mark.parametrize("kernel", KERNELS)
def test_patches_are_the_same_convolution(framework: str, kernel: int) -> None:
    arrays = ask(framework, "patches").arrays
    own, patches = arrays[f"{kernel}/own"], arrays[f"{kernel}/patches"]
    assert own.shape == (3, 4, 3, 7)
    np.testing.assert_allclose(patches, own, rtol=0, atol=1e-5 * np.abs(own).max())


@each_keras
@pytest.mark.parametrize("how", ["/".join(map(str, pair)) for pair in GROUPED])
def test_a_convolution_for_each_group_is_the_same(framework: str, how: str) -> None:
    arrays = ask(framework, "patches").arrays
    own, split = arrays[f"{how}/own"], arrays[f"{how}/split"]
    assert own.shape[-1] == 8
    np.testing.assert_allclose(split, own, rtol=0, atol=1e-5 * np.abs(own).max())


KINDS = ("DenseConv2D", "DensePatchConv2D")


@each_keras
@pytest.mark.parametrize("when", ["training", "evaluation"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", SEEING_ALL)
def test_a_window_that_sees_all_is_a_dense_layer(
    framework: str, case: str, kind: str, when: str
) -> None:
    arrays = ask(framework, "patches").arrays
    own, ours = arrays[f"{case}/own"], arrays[f"{case}/{kind}/{when}"]
    assert own.shape == (3, *SEEING_ALL[case][0], 7)
    np.testing.assert_allclose(ours, own, rtol=0, atol=1e-5 * np.abs(own).max())


@each_keras
def test_it_is_one_in_training_alone(framework: str) -> None:
    facts = ask(framework, "patches").facts
    for kind in KINDS:
        assert set(facts["products"][f"{kind}/training"]) == {1}
        assert set(facts["products"][f"{kind}/evaluation"]) == {0}
    taken = [] if framework == "keras-tensorflow" else ["conv3", "conv4", "conv5"]
    assert facts["trained"] == {"training": taken, "evaluation": []}


@each_keras
def test_they_are_taken_where_the_kernel_is_larger_than_the_map(framework: str) -> None:
    facts = ask(framework, "patches").facts
    # 5×5 on 4×4, then 3×3 on 2×2, which see all of it
    expected = {
        "keras-tensorflow": [],
        "keras-jax": ["conv2", "conv3", "conv4", "conv5"],
        "keras-torch": ["conv3", "conv4", "conv5"],
    }[framework]
    assert facts["cifar-bn"] == {"tuned": expected, "plain": []}
    # Maps of 13×13 at the least, but groups.
    groups = [] if framework == "keras-torch" else ["conv2", "conv4", "conv5"]
    assert facts["imagenet-lrn"] == {"tuned": groups, "plain": []}
    tracks = facts["tracks"]
    assert tracks.pop(TUNED) == expected
    assert tracks
    assert not any(tracks.values())
