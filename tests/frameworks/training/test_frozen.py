"""A head on cached features of a frozen trunk equals one on recomputed features."""

from typing import Any

import numpy as np
import pytest

from tests.frameworks.probes.training import frozen
from tests.frameworks.support.client import ask, each_framework
from tests.frameworks.support.networks import FREE

pytestmark = pytest.mark.slow

HOW = ("cached", "recomputed")

each_track = pytest.mark.parametrize("track", frozen.TRACKS)


def recorded(framework: str, track: str, how: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(framework, "training.frozen").facts[f"{track}/{how}"]
    return found


@each_framework
@each_track
def test_cached_features_train_the_same_head(framework: str, track: str) -> None:
    arrays = ask(framework, "training.frozen").arrays
    names = [name.removeprefix(f"{track}/cached/") for name in arrays if f"{track}/cached" in name]
    assert sorted(names) == ["head1.bias", "head1.weight", "head2.bias", "head2.weight"]
    for name in names:
        cached, recomputed = arrays[f"{track}/cached/{name}"], arrays[f"{track}/recomputed/{name}"]
        # bfloat16 keeps 8 bits, and a batch of another size may be summed in another order.
        bound = 2e-2 if track in FREE else 1e-4
        # Dropout of the free tracks is drawn, from one seed, in both.
        assert np.abs(cached - recomputed).max() <= bound * np.abs(recomputed).max()


@each_framework
def test_losses_are_the_same_step_by_step(framework: str) -> None:
    cached, recomputed = (
        recorded(framework, "closed", how)["step_losses"] for how in ("cached", "recomputed")
    )
    assert len(cached) == frozen.steps()
    assert cached == pytest.approx(recomputed, rel=1e-4)
    assert cached[0] != pytest.approx(cached[-1], rel=1e-3)


@each_framework
@each_track
def test_every_view_goes_through_the_trunk_once(framework: str, track: str) -> None:
    cached, recomputed = (
        recorded(framework, track, how)["features"] for how in ("cached", "recomputed")
    )
    images = frozen.steps() * frozen.BATCH
    assert recomputed["trunk_images"] == images
    assert recomputed["cached"] is False
    # Two views of each image, in three epochs.
    assert cached["trunk_images"] <= 2 * frozen.IMAGES < images
    assert cached["cached"] is True
    assert cached["trunk_seconds"] > 0


@each_framework
@each_track
def test_a_record_has_the_difference_of_cached_and_recomputed_features(
    framework: str, track: str
) -> None:
    found = recorded(framework, track, "cached")["features"]["largest_difference"]
    assert found is not None
    assert found <= (1e-2 if track in FREE else 1e-5)


@each_framework
@each_track
def test_features_are_those_of_the_whole_network(framework: str, track: str) -> None:
    arrays = ask(framework, "training.frozen").arrays
    whole = arrays["whole"]
    bound = 3e-2 if track in FREE else 1e-5
    assert np.abs(arrays[f"{track}/features"] - whole).max() <= bound * np.abs(whole).max()


@each_framework
def test_a_record_says_what_came_from_the_weights(framework: str) -> None:
    reported = recorded(framework, "closed", "cached")["start"]
    assert reported["weights"]["layers"] == list(frozen.TRUNK)
    assert reported["weights"]["initialised"] == ["head1", "head2"]
    assert reported["weights"]["preprocessing"]["pixel_range"] == 255.0
    assert len(reported["initial_weights_sha256"]) == 64


@each_framework
@each_track
def test_a_record_has_the_cost_of_recomputing(framework: str, track: str) -> None:
    cached, recomputed = (
        recorded(framework, track, how)["features"] for how in ("cached", "recomputed")
    )
    assert cached["recomputed"]["images"] == 4 * frozen.BATCH
    assert cached["recomputed"]["seconds"] > 0
    assert "recomputed" not in recomputed
