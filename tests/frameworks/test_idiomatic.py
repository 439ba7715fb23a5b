"""The idiomatic track: stock classes only, the documented settings in force, the same results."""

from typing import Any

import numpy as np
import pytest

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.probes.idiomatic import NETWORKS, SIZES, STEPS
from tests.frameworks.support.client import ask, each_framework, each_keras
from tests.frameworks.support.networks import IDIOMATIC, TINY, seeded_weights

pytestmark = pytest.mark.slow

_WHY = FRAMEWORKS["pytorch"].missing()
for_pytorch = pytest.mark.skipif(bool(_WHY), reason=_WHY or "")

KERAS_LACKS = "models_keras.layers.lrn.StockLocalResponseNorm"


def settings(framework: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(framework, "idiomatic").facts["settings"]
    return found


@each_framework
@pytest.mark.parametrize("network", NETWORKS)
def test_every_class_is_the_frameworks(framework: str, network: str) -> None:
    found = ask(framework, "idiomatic").facts["classes"][network]
    ours = [name for name in found if name.partition(".")[0] not in ("torch", "keras")]
    keras = "keras" in FRAMEWORKS[framework].modules
    assert ours == ([KERAS_LACKS] if keras and network == "cifar-lrn" else [])
    kinds = [name.rpartition(".")[2] for name in found]
    assert {"Conv2d", "Linear"} <= set(kinds) or {"Conv2D", "Dense"} <= set(kinds)
    assert "Dropout" in kinds
    assert "SGD" in kinds


@for_pytorch
def test_pytorch_takes_its_own_response_normalisation() -> None:
    found = ask("pytorch", "idiomatic").facts["classes"]["cifar-lrn"]
    assert "torch.nn.modules.normalization.LocalResponseNorm" in found


@for_pytorch
def test_pytorchs_recommended_settings_are_in_force() -> None:
    found = settings("pytorch")
    assert (found["memory_layout"], found["weight_layout"]) == ("NHWC", "OHWI")
    assert (found["compute_dtype"], found["weight_dtype"]) == ("bfloat16", "float32")
    assert found["fused"] is True
    assert (found["execution"], found["jit_compile"]) == ("eager", False)
    assert found["evaluates_a_copy"] is False


@each_keras
def test_kerass_recommended_settings_are_in_force(framework: str) -> None:
    """On a CPU, ``jit_compile="auto"`` compiles on JAX only."""
    found = settings(framework)
    assert (found["execution"], found["jit_compile"]) == ("fit", framework == "keras-jax")
    assert (found["compute_dtype"], found["weight_dtype"]) == ("bfloat16", "float32")
    # float32: the response normalisation that Keras lacks, and the logits.
    assert found["policies"] == ["float32", "mixed_bfloat16"]


@each_framework
def test_it_trains_as_the_closed_track_does(framework: str) -> None:
    """Without dropout, weight decay or a schedule the arithmetic is the same but for rounding."""
    losses = ask(framework, "idiomatic").facts["losses"]
    assert len(losses[IDIOMATIC]) == STEPS
    assert losses[IDIOMATIC] == pytest.approx(losses["closed"], rel=1e-4)
    assert losses["closed"][-1] < 0.9 * losses["closed"][0]


@each_framework
@pytest.mark.parametrize("size", SIZES)
def test_it_evaluates_as_the_closed_track_does(framework: str, size: int) -> None:
    """At the images' own size and resized."""
    arrays = ask(framework, "idiomatic").arrays
    found, closed = arrays[f"{size}/{IDIOMATIC}"], arrays[f"{size}/closed"]
    assert np.abs(found - closed).max() < 1e-4 * np.abs(closed).max()


@each_framework
def test_weights_come_out_as_they_were_loaded(framework: str) -> None:
    assert ask(framework, "idiomatic").facts["exported"] == list(seeded_weights(TINY))
