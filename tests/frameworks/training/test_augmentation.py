"""Rotation and colour, compared with torchvision."""

import numpy as np
import pytest

from bench.data import augmentation as pixels
from tests.frameworks.support.client import ask_reference


def test_rotation_is_torchvisions() -> None:
    arrays = ask_reference("training.augmentation").arrays
    found = pixels.rotate(arrays["images"], arrays["angles"])
    # torchvision computes the places in float32: a few pixels fall to the other neighbour.
    assert (found == arrays["rotated"]).all(axis=3).mean() > 0.999


@pytest.mark.parametrize("which", [0, 1, 2])
def test_brightness_contrast_and_saturation_are_torchvisions(which: int) -> None:
    arrays = ask_reference("training.augmentation").arrays
    alone = np.ones_like(arrays["factors"])
    alone[:, which] = arrays["factors"][:, which]
    found = pixels.recolour(arrays["images"], alone)
    assert np.abs(found.astype(int) - arrays[f"coloured{which}"]).max() <= 1
    assert np.abs(found.astype(int) - arrays["images"]).mean() > 5


def test_the_colours_together_are_torchvisions_one_after_the_other() -> None:
    arrays = ask_reference("training.augmentation").arrays
    found = pixels.recolour(arrays["images"], arrays["factors"])
    assert np.abs(found.astype(int) - arrays["coloured"]).max() <= 1
