"""What a network is fed with is what torchvision's own transforms make of the image."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import UserError
from bench.data.image_folders import decode
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


def _between(image: NDArray[np.float32], row: float, column: float) -> NDArray[np.float32]:
    """(C, H, W) at a place between its pixels; outside of them the nearest one counts."""
    y, x = (np.clip(at, 0, n - 1) for at, n in zip((row, column), image.shape[1:], strict=True))
    top, left = int(y), int(x)
    below, right = min(top + 1, image.shape[1] - 1), min(left + 1, image.shape[2] - 1)
    upper = (1 - x + left) * image[:, top, left] + (x - left) * image[:, top, right]
    lower = (1 - x + left) * image[:, below, left] + (x - left) * image[:, below, right]
    return np.asarray((1 - y + top) * upper + (y - top) * lower, np.float32)


@pytest.mark.parametrize(("stored", "resize", "size"), [(12, 20, 14), (12, 12, 12), (12, 8, 8)])
def test_an_image_is_prepared_as_the_training_set_was(stored: int, resize: int, size: int) -> None:
    """Read with ``--resize``, normalised, then resized by the device, which does not antialias."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    image = Image.fromarray(noise)
    file = io.BytesIO()
    image.save(file, "PNG")
    how = Preprocessing(MEAN, STD, size, resize, stored=stored)
    found = prepare(image, how, Path("a.png"))

    pixels = decode(file.getvalue(), "a.png", resize=stored)
    images = normalise(pixels, how)
    first = (resize - size) // 2
    places = [(k + first + 0.5) * stored / resize - 0.5 for k in range(size)]
    expected = [[_between(images, y, x) for x in places] for y in places]
    assert found.shape == (3, size, size)
    np.testing.assert_allclose(found, np.moveaxis(np.array(expected), 2, 0), atol=1e-6)


def test_a_thin_image_is_cut_before_it_is_resized() -> None:
    how = Preprocessing(MEAN, STD, size=8, resize=8, stored=8)
    assert prepare(Image.new("RGB", (1, 20_000)), how, Path("thin.png")).shape == (3, 8, 8)
