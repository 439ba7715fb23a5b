"""What a network is fed with is what torchvision's own transforms make of the image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import UserError
from bench.inference.transforms import center_crop, normalise, prepare, resized_size
from bench.networks.preprocessing import BVLC, TORCHVISION, Preprocessing

MEAN, STD = TORCHVISION.mean, TORCHVISION.std


@pytest.mark.parametrize(
    ("size", "shorter", "expected"),
    [
        ((500, 375), 256, (341, 256)),  # 341.33, down
        ((375, 500), 256, (256, 341)),
        ((32, 32), 256, (256, 256)),
        ((3, 2), 5, (7, 5)),
    ],
)
def test_the_longer_side_is_rounded_down(
    size: tuple[int, int], shorter: int, expected: tuple[int, int]
) -> None:
    assert resized_size(size, shorter) == expected


def test_the_centre_crop_rounds_halves_to_the_even_number() -> None:
    columns = np.tile(np.arange(7, dtype=np.uint8)[None, :, None], (7, 1, 3))
    image = Image.fromarray(columns)
    # (7 - 4) / 2 = 1.5 -> 2, and (7 - 2) / 2 = 2.5 -> 2.
    assert np.asarray(center_crop(image, 4))[0, :, 0].tolist() == [2, 3, 4, 5]
    assert np.asarray(center_crop(image, 2))[0, :, 0].tolist() == [2, 3]


def test_images_smaller_than_the_crop_are_padded_with_black() -> None:
    padded = np.asarray(center_crop(Image.new("RGB", (3, 2), "white"), 4))[..., 0]
    assert padded.tolist() == [[0] * 4, [255] * 3 + [0], [255] * 3 + [0], [0] * 4]


def test_pixels_in_0_to_255_are_not_divided() -> None:
    pixels = np.array([[[0, 10, 255]]], np.uint8)
    found = normalise(pixels, BVLC)
    assert found.shape == (3, 1, 1)
    np.testing.assert_allclose(found.ravel(), [-122.679, 10 - 116.669, 255 - 104.007], rtol=1e-6)


def test_a_resize_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(UserError, match=r"^thin\.png: 1x20000 pixels, .* 256x5120000"):
        prepare(Image.new("RGB", (1, 20_000)), TORCHVISION, Path("thin.png"))


def test_an_unknown_interpolation_is_refused() -> None:
    how = Preprocessing(MEAN, STD, size=8, resize=8, interpolation="box")
    with pytest.raises(UserError, match=r"unknown interpolation 'box'; known: nearest, bilinear"):
        prepare(Image.new("RGB", (8, 8)), how, Path("x.png"))
