"""The middle of an enlarged image, and unknown pixels of a recipe."""

from __future__ import annotations

import pytest
from PIL import Image

from bench.core.errors import UserError
from bench.inference.transforms import center_crop
from bench.networks.resize import cropped
from bench.training.recipes.base import Recipe


@pytest.mark.parametrize(("extent", "size"), [(256, 224), (257, 224), (255, 224), (32, 32)])
def test_the_middle_is_that_of_torchvisions_centre_crop(extent: int, size: int) -> None:
    ramp = Image.new("I", (extent, extent))
    ramp.putdata([x for _ in range(extent) for x in range(extent)])
    middle = cropped(extent, size)
    assert middle.stop - middle.start == size
    assert center_crop(ramp, size).getpixel((0, 0)) == middle.start


def test_a_recipe_with_unknown_pixels_is_refused() -> None:
    with pytest.raises(UserError, match="unknown pixels 'cifar'"):
        Recipe("plain", "", pixels="cifar")
