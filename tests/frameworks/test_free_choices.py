"""The idiomatic and the tuned track: each learns, in the requested precision, at its rates."""

import numpy as np
import pytest

from bench.training.recipes import RECIPES, recipe
from tests.frameworks.probes.free_choices import RATES, STEPS, TRAINED
from tests.frameworks.support.client import ask, each_framework, each_keras
from tests.frameworks.support.networks import FREE, TUNED

PRECISIONS = ("float32", "bfloat16")

each_track = pytest.mark.parametrize("track", FREE)


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize(
    ("track", "name"),
    [(track, name) for track in FREE for name in (*TRAINED[track], *PRECISIONS)],
)
def test_loss_falls_on_a_repeated_batch(framework: str, track: str, name: str) -> None:
    facts = ask(framework, "free_choices").facts[track][name]
    early, late = facts["losses"]
    assert np.isfinite([early, late]).all()
    assert late < 0.9 * early
    assert facts["calls"] == 2 * STEPS


@pytest.mark.slow
@each_framework
@each_track
@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision_is_the_requested_one(framework: str, track: str, precision: str) -> None:
    facts = ask(framework, "free_choices").facts[track][precision]
    assert facts["settings"]["compute_dtype"] == precision
    assert facts["settings"]["weight_dtype"] == "float32"
    assert facts["computed_in"] == precision


@pytest.mark.slow
@each_framework
@each_track
def test_precision_shows_in_the_logits(framework: str, track: str) -> None:
    """The same weights: equal to float32 rounding, or to bfloat16's three digits."""
    found = ask(framework, "free_choices").arrays
    closed = found["closed"]
    arrays = {"closed": closed, **{name: found[f"{track}/{name}"] for name in PRECISIONS}}
    scale = np.abs(closed).max()
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert np.abs(arrays["float32"] - closed).max() < 1e-5 * scale
    assert 1e-4 * scale < np.abs(arrays["bfloat16"] - closed).max() < 0.05 * scale


@pytest.mark.slow
@each_framework
@each_track
def test_a_layer_with_a_rate_of_its_own_moves_by_that_much(framework: str, track: str) -> None:
    found = ask(framework, "free_choices").arrays
    arrays = {n.removeprefix(f"{track}/"): v for n, v in found.items() if n.startswith(track)}
    names = [n.removeprefix("moved at 1.0/") for n in arrays if n.startswith("moved at 1.0/")]
    moving = [name for name in names if np.abs(arrays[f"moved at 1.0/{name}"]).max() > 1e-6]
    assert {"c1.weight", "c2.weight"} <= set(moving)
    for name in moving:
        whole, slowed = (arrays[f"moved at {rate}/{name}"] for rate in RATES)
        expected = whole * (0.25 if name.startswith("c1.") else 1.0)
        # A step is the difference of float32 weights, of a size around 1.
        np.testing.assert_allclose(slowed, expected, rtol=1e-2, atol=3e-7)


@pytest.mark.slow
@each_framework
@each_track
@pytest.mark.parametrize("precision", PRECISIONS)
def test_evaluation_is_of_the_weights_that_were_trained(
    framework: str, track: str, precision: str
) -> None:
    facts = ask(framework, "free_choices").facts[track][precision]
    assert facts["evaluates_what_it_trained"]
    assert facts["evaluates_after_bare_loop"]
    assert facts["evaluates_what_was_loaded"]


@pytest.mark.slow
@each_keras
@each_track
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_tuned_track_evaluates_with_rounded_weights(
    framework: str, track: str, precision: str
) -> None:
    """BatchNorm computes in float32 under a mixed policy, so its weights stay as they are."""
    found = ask(framework, "free_choices").facts[track][precision]["predicts_as_it_trains"]
    rounded = precision if track == TUNED else "float32"
    assert found == [True, rounded, "float32", rounded]


@pytest.mark.slow
@each_framework
def test_closed_track_stays_float32_after_the_others(framework: str) -> None:
    facts = ask(framework, "free_choices").facts["closed"]
    assert facts["settings"]["compute_dtype"] == facts["computed_in"] == "float32"


@each_keras
@pytest.mark.parametrize("steps", [1, 7, 40, 6250])
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_schedule_is_the_recipes(framework: str, name: str, steps: int) -> None:
    row = recipe(name)
    expected = [row.rate(step, steps) for step in range(0, steps, 1 + steps // 100)]
    found = ask(framework, "layers").arrays[f"schedule/{name}/{steps}"]
    # float32: near the end 1 + cos is what is left of two numbers of size 1.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-7 * row.learning_rate)
