"""Layers that the suite writes itself compute the same as the framework's own."""

import numpy as np
import pytest

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.support.client import ask

with_pairs = pytest.mark.parametrize(
    "framework",
    [
        pytest.param(name, marks=[pytest.mark.skip(reason=why)] if (why := row.missing()) else ())
        for name, row in FRAMEWORKS.items()
        if row.layer_pairs
    ],
)


@with_pairs
def test_both_sides_give_the_same_output_and_gradient(framework: str) -> None:
    answer = ask(framework, "layer_pairs")
    pairs = answer.facts["pairs"]
    assert [pair["layer"] for pair in pairs] == ["conv1_lrn", "conv2_lrn"]
    for pair in pairs:
        assert pair["shape"][0] == 3
        assert pair["difference"] < 1e-5
        for part in ("y", "dx"):
            ours, theirs = (
                answer.arrays[f"{pair['layer']}/{side}/{part}"] for side in ("ours", "theirs")
            )
            assert ours.shape == tuple(pair["shape"])
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
            assert ours.std() > 0


@with_pairs
def test_the_inputs_are_large_enough_for_the_norm_to_matter(framework: str) -> None:
    answer = ask(framework, "layer_pairs")
    y = answer.arrays["conv1_lrn/theirs/y"]
    # Without the norm it would be a ReLU of normal numbers times 200: 160 in the mean, 800 at most.
    assert y[y > 0].mean() < 120
    assert 100 < y.max() < 600
