"""float16 with loss scaling trains, and a step that overflows changes no weight."""

from typing import Any

import pytest

from tests.frameworks.support.client import ask, each_framework
from tests.frameworks.support.networks import FREE

pytestmark = pytest.mark.slow

each_track = pytest.mark.parametrize("track", FREE)


def trained(framework: str, track: str, precision: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(framework, "training.half").facts[f"{track}/{precision}"]
    assert "unavailable" not in found, found
    return found


@each_framework
@each_track
def test_float16_learns_as_float32_does(framework: str, track: str) -> None:
    half, single = (trained(framework, track, name) for name in ("float16", "float32"))
    assert half["losses"][0] == pytest.approx(single["losses"][0], rel=1e-2)
    assert half["losses"][-1] < half["losses"][0]
    assert half["losses"][-1] == pytest.approx(single["losses"][-1], rel=0.25)
    assert half["logits"] == ["float32", True]


@each_framework
@each_track
def test_what_is_in_force_is_read_back(framework: str, track: str) -> None:
    half, single = (trained(framework, track, name) for name in ("float16", "float32"))
    assert (half["compute_dtype"], single["compute_dtype"]) == ("float16", "float32")
    assert half["scale"] > 1
    assert single["scale"] is None


@each_framework
@each_track
def test_squares_of_large_values_are_not_infinite_in_an_lrn(framework: str, track: str) -> None:
    found = trained(framework, track, "float16")
    stock = framework == "pytorch" and track == "idiomatic"  # PyTorch's own layer: docs/gpu.md
    assert found["large_values"] or stock


@each_framework
@each_track
def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_halved(
    framework: str, track: str
) -> None:
    found = trained(framework, track, "float16")["overflow"]
    before, after = found["scales"]
    assert found["moved"] == []
    assert after == before / 2
