"""Inference of every framework compared with the float64 reference, for batches of any size."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.networks.architecture import Architecture
from bench.parity.reference import Context, apply
from tests.frameworks.probes.serving import BATCHES, COUNT, network, random_images
from tests.frameworks.support.client import ask, each_framework
from tests.frameworks.support.networks import seeded_weights

Array = NDArray[Any]


def outputs(architecture: Architecture) -> dict[str, Array]:
    """Output of every layer in evaluation mode, in float64, by its name."""
    weights = {k: v.astype(np.float64) for k, v in seeded_weights(architecture).items()}
    x, found = random_images().astype(np.float64), {}
    for layer in architecture.layers:
        front = f"{layer.name}."
        own = {k.removeprefix(front): w for k, w in weights.items() if k.startswith(front)}
        x, _ = apply(layer, x, Context(own))
        found[layer.name] = x
    return found


def worst(found: Array, expected: Array) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@each_framework
@pytest.mark.parametrize("norm", [False, True])
def test_output_is_the_references_for_every_batch_size(framework: str, norm: bool) -> None:
    architecture = network(norm)
    expected = outputs(architecture)
    arrays = ask(framework, "serving").arrays
    for size in BATCHES[architecture.name]:
        key = f"{architecture.name}/{{}}/{size}"
        logits, features = arrays[key.format(None)], arrays[key.format("d2_relu")]
        assert logits.dtype == features.dtype == np.float32
        assert len(logits) == COUNT
        assert worst(logits, expected["d3"]) < 2e-6  # measured: 5e-7
        assert worst(features, expected["d2_relu"]) < 2e-6


@each_framework
def test_the_batch_size_does_not_change_the_output(framework: str) -> None:
    arrays = ask(framework, "serving").arrays
    for embedding in (None, "d2_relu"):
        one, *others = (arrays[f"small/{embedding}/{size}"] for size in BATCHES["small"])
        assert others
        assert max(worst(other, one) for other in others) < 1e-6


@each_framework
@pytest.mark.parametrize("norm", [False, True])
def test_both_ways_to_an_embedding_agree(framework: str, norm: bool) -> None:
    arrays = ask(framework, "serving").arrays
    name = network(norm).name
    for size in BATCHES[name]:
        key = f"{name}/d2_relu/{size}"
        assert (arrays[key] >= 0).all(), "after the ReLU"
        assert (arrays[key] > 0).any()
        assert worst(arrays[f"{key}/slice"], arrays[key]) < 1e-6
