"""Rotation and colour, compared with the definition for one image."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data import augmentation as pixels
from bench.data.batching import Augmentation, BatchPlan, gather
from bench.data.dataset import Split

Image = NDArray[np.uint8]

ANGLES = (0.0, 7.3, -14.9, 44.0, 90.0, -90.0, 123.4, 180.0)
FACTORS = ((1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0), (1.4, 1.3, 0.7), (0.6, 1.7, 2.5), (3, 3, 3))
NEAR_A_TIE = 1e-3  # of a pixel: rounding decides there, and nothing else


def noise(count: int, lowest: int = 0) -> Image:
    rng = np.random.default_rng(count)
    return rng.integers(lowest, 256, (count, 32, 32, 3), np.uint8)


def turned(image: Image, angle: float) -> tuple[Image, NDArray[np.bool_]]:
    """One image pixel by pixel, and which pixels rounding may decide otherwise."""
    found, tie = np.zeros_like(image), np.zeros((32, 32), bool)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    for row in range(32):
        for column in range(32):
            across, down = column - 15.5, row - 15.5
            x, y = across * cos - down * sin + 15.5, across * sin + down * cos + 15.5
            tie[row, column] = any(abs(v - math.floor(v) - 0.5) < NEAR_A_TIE for v in (x, y))
            at = (math.floor(y + 0.5), math.floor(x + 0.5))
            if all(0 <= place < 32 for place in at):
                found[row, column] = image[at]
    return found, tie


def recoloured(image: Image, factors: NDArray[np.float64]) -> Image:
    """One image, by the formulas of brightness, contrast and saturation."""

    def blend(one: NDArray[np.float64], other: object, factor: float) -> NDArray[np.float64]:
        return np.floor(np.clip(factor * one + (1 - factor) * np.asarray(other), 0, 255))

    def grey(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.floor(x @ [0.2989, 0.587, 0.114])

    x = blend(image.astype(float), 0, factors[0])
    x = blend(x, grey(x).mean(), factors[1])
    return blend(x, grey(x)[..., None], factors[2]).astype(np.uint8)


def test_rotation_is_that_of_one_image_at_a_time() -> None:
    images = noise(len(ANGLES), lowest=1)  # no black of their own
    found = pixels.rotate(images, np.array(ANGLES))
    for image, angle, rotated in zip(images, ANGLES, found, strict=True):
        expected, tie = turned(image, angle)
        assert tie.mean() < 0.05
        np.testing.assert_array_equal(rotated[~tie], expected[~tie], err_msg=f"{angle} degrees")


def test_quarter_turns_go_counter_clockwise_and_lose_nothing() -> None:
    images = noise(4)
    found = pixels.rotate(images, np.array([0.0, 90.0, 180.0, -90.0]))
    for quarters, (image, rotated) in enumerate(zip(images, found, strict=True)):
        np.testing.assert_array_equal(rotated, np.rot90(image, quarters))


def test_what_turns_in_from_outside_is_black() -> None:
    (found,) = pixels.rotate(noise(1, lowest=1), np.array([45.0]))
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert not corners.any()
    assert found[16, 16].all()
    assert 0.1 < (found == 0).all(axis=2).mean() < 0.25  # 1 - 2(√2 - 1) = 17 % of a square


def test_colour_is_that_of_one_image_at_a_time() -> None:
    images, factors = noise(len(FACTORS)), np.array(FACTORS, float)
    found = pixels.recolour(images, factors)
    for image, some, changed in zip(images, factors, found, strict=True):
        # float32 here and float64 there: a level where a value falls on a whole number.
        apart = np.abs(changed.astype(int) - recoloured(image, some))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.02
    np.testing.assert_array_equal(found[0], images[0])  # factors of 1 change nothing
    assert not found[1].any()  # no brightness: black
    assert len(np.unique(found[2])) == 1  # no contrast: one grey
    assert (found[3] == found[3][..., :1]).all()  # no saturation: greys


def test_one_image_does_not_change_another() -> None:
    images, angles, factors = noise(3), np.array([5.0, 50.0, -80.0]), np.array(FACTORS[3:6], float)
    for i in range(3):
        alone = slice(i, i + 1)
        together = pixels.rotate(images, angles)[alone]
        np.testing.assert_array_equal(pixels.rotate(images[alone], angles[alone]), together)
        together = pixels.recolour(images, factors)[alone]
        np.testing.assert_array_equal(pixels.recolour(images[alone], factors[alone]), together)


def test_a_square_is_black_and_is_cut_off_at_the_edge() -> None:
    images = noise(3)
    images[:] = np.maximum(images, 1)
    before = images.copy()
    middles = [[0.5, 0.5, 0.25], [0.0, 0.0, 0.25], [0.99, 0.5, 0.25]]
    pixels.blacken(images, np.array(middles))
    squares = [np.s_[12:20, 12:20], np.s_[0:4, 0:4], np.s_[27:32, 12:20]]
    for image, original, square in zip(images, before, squares, strict=True):
        assert not image[square].any()
        original[square] = 0
        np.testing.assert_array_equal(image, original)


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_gather_crops_flips_turns_colours_and_cuts_out_in_that_order(batch_size: int) -> None:
    split = Split(noise(9), np.arange(9))
    split.images.flags.writeable = False
    every = Augmentation(padding=4, flip=True, rotation=30, colour=0.4, cutout=0.5)
    plain = Augmentation(padding=4, flip=True)
    whole, part = (
        BatchPlan(images=9, batch_size=batch_size, seed=1, augmentation=some).batch(3)
        for some in (every, plain)
    )
    assert whole.angles is not None
    assert whole.factors is not None
    assert whole.squares is not None
    images, labels = gather(split, whole, 4)
    cropped, same_labels = gather(split, part, 4)
    np.testing.assert_array_equal(labels, same_labels)
    expected = pixels.recolour(pixels.rotate(cropped, whole.angles), whole.factors)
    pixels.blacken(expected, whole.squares)
    np.testing.assert_array_equal(images, expected)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert (images != cropped).any()
