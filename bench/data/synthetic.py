"""Ten classes of 32x32 colour images drawn from a seed, for machines without CIFAR-10.

Each image shows one shape near the middle, turned and stretched, in random colours on a sloping
background, over a disc that carries no information, under noise. It is as often brighter than its
background as darker: a linear classifier, which adds pixels up, sees little of it. A small
convolutional network learns it in some 90 steps, with BatchNorm clearly better than without.

The pixels come from integers, sums, products, quotients and square roots alone, which IEEE 754
rounds alike everywhere, so that a seed gives the same fingerprint on every machine.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import SIDE, Dataset, Split, describe_pixels

VERSION = 3  # raise it when a seed gives other images than before

Plane = NDArray[np.float32]  # (N, 32, 32)
Distance = Callable[[Plane, Plane], Plane]

_CHUNK = 500  # images drawn at once: few enough for the processor's cache
_ANGLES = 1024
_TURN = 50  # of these, either way: 18 degrees
_CLUTTER = 1  # discs beneath the shape
_BRIGHTER = 0.5  # share of images whose shape is brighter than its background
_JITTER = 3.5  # pixels that the centre lies off the middle at most, each way
_RADIUS = (9.0, 13.0)  # pixels
_STRETCH = (0.9, 1.1)
_CONTRAST = (40, 100)  # grey levels between shape and background, per channel
_NOISE = (10.0, 30.0)  # grey levels either way, drawn per image


def generate(train: int = 50_000, test: int = 10_000, seed: int = 0) -> Dataset:
    """A dataset of the given sizes, its classes balanced to within one image.

    Labels run 0, 1, … 9, 0, 1, … through each split. The splits are drawn from streams of their
    own. Raises ValueError for a size below 10 (a class would be empty) or a negative seed.
    """
    if min(train, test) < len(_SHAPES) or seed < 0:
        raise ValueError(f"sizes start at 10, seeds at 0. Received: {train}, {test}, {seed}")
    training, testing = _draw_split(train, [seed, 0]), _draw_split(test, [seed, 1])
    return describe_pixels("generated", tuple(_SHAPES), training, testing)


def _draw_split(size: int, entropy: list[int]) -> Split:
    images = np.empty((size, SIDE, SIDE, 3), np.uint8)

    def draw_chunk(start: int) -> None:
        rng = np.random.default_rng([*entropy, start])
        images[start : start + _CHUNK] = _draw(rng)[: size - start]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy computes without the GIL
        list(pool.map(draw_chunk, range(0, size, _CHUNK)))
    return Split(images, np.arange(size, dtype=np.int64) % len(_SHAPES))


def _draw(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A chunk of images, (500, 32, 32, 3) uint8, whose labels are 0, 1, … 9, 0, 1, …"""
    cover = _shape_cover(rng)
    discs = [_disc_cover(rng) for _ in range(_CLUTTER)]
    ground, slope_y, slope_x = (_colours(rng, *span) for span in ((40, 215), (-2, 2), (-2, 2)))
    sign = np.where(rng.random((_CHUNK, 1)) < _BRIGHTER, 1, -1).astype(np.float32)
    figure = ground + sign * _colours(rng, *_CONTRAST)
    disc_colours = [ground + _colours(rng, -90, 90) for _ in discs]
    noise = rng.integers(0, 256, (_CHUNK, SIDE, SIDE, 3), np.uint8)
    strength = _uniform(rng, *_NOISE) / np.float32(127.5)
    images = np.empty(noise.shape, np.uint8)
    y, x = _grid()
    for channel in range(3):
        slope = _spread(slope_y, channel) * y + _spread(slope_x, channel) * x
        plane = slope + _spread(ground, channel)
        for disc, colour in zip(discs, disc_colours, strict=True):
            plane += disc * (_spread(colour, channel) - plane)
        plane += cover * (_spread(figure, channel) - plane)
        plane += (noise[..., channel] - np.float32(127.5)) * strength
        images[..., channel] = np.clip(plane, 0, 255, out=plane)
    return images


def _shape_cover(rng: np.random.Generator) -> Plane:
    """How much of each pixel the shape covers, 0..1: (500, 32, 32), labels 0, 1, … 9, 0, …"""
    y, x = _grid()
    y, x = y - _uniform(rng, -_JITTER, _JITTER), x - _uniform(rng, -_JITTER, _JITTER)
    angle = rng.integers(-_TURN, _TURN + 1, (_CHUNK, 1, 1))
    # rounded: sine and cosine are the functions whose last bit differs between machines
    turn = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    cos, sin = (np.round(f(turn), 6).astype(np.float32)[angle] for f in (np.cos, np.sin))
    radius, stretch = _uniform(rng, *_RADIUS), _uniform(rng, *_STRETCH)
    u = (x * cos + y * sin) / radius * stretch
    v = (y * cos - x * sin) / radius
    cover: Plane = np.empty_like(u)
    for label, distance in enumerate(_SHAPES.values()):
        mine = slice(label, None, len(_SHAPES))
        cover[mine] = np.float32(0.5) - distance(u[mine], v[mine]) * radius[mine]
    np.clip(cover, 0, 1, out=cover)
    return cover


def _disc_cover(rng: np.random.Generator) -> Plane:
    y, x = _grid()
    y, x = y - _uniform(rng, -16, 16), x - _uniform(rng, -16, 16)
    cover: Plane = _uniform(rng, 2, 4.5) + np.float32(0.5) - np.sqrt(x * x + y * y)
    np.clip(cover, 0, 1, out=cover)
    return cover


def _grid() -> tuple[Plane, Plane]:
    """Rows and columns in pixels from the middle, (1, 32, 1) and (1, 1, 32)."""
    line = np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    return line[None, :, None], line[None, None, :]


def _uniform(rng: np.random.Generator, low: float, high: float) -> Plane:
    """One number per image, (500, 1, 1)."""
    return np.float32(low) + np.float32(high - low) * rng.random((_CHUNK, 1, 1), np.float32)


def _colours(rng: np.random.Generator, low: float, high: float) -> Plane:
    """One number per image and channel, (500, 3)."""
    return np.float32(low) + np.float32(high - low) * rng.random((_CHUNK, 3), np.float32)


def _spread(colours: Plane, channel: int) -> Plane:
    return colours[:, channel, None, None]


# The shapes, as distances from the edge: negative within, in units of the radius. u and v are
# coordinates in the shape's own turned frame.


def _radial(u: Plane, v: Plane) -> Plane:
    distance: Plane = np.sqrt(u * u + v * v)
    return distance


def _box(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    across, along = np.abs(u) - np.float32(half_width), np.abs(v) - np.float32(half_height)
    edge: Plane = np.maximum(across, along)
    return edge


def _disc(u: Plane, v: Plane) -> Plane:
    return _radial(u, v) - np.float32(0.75)


def _ring(u: Plane, v: Plane) -> Plane:
    edge: Plane = np.abs(_radial(u, v) - np.float32(0.75)) - np.float32(0.17)
    return edge


def _square(u: Plane, v: Plane) -> Plane:
    return _box(u, v, 0.68, 0.68)


def _frame(u: Plane, v: Plane) -> Plane:
    return np.abs(_box(u, v, 0.68, 0.68)) - np.float32(0.15)


def _triangle(u: Plane, v: Plane) -> Plane:
    slanted = np.abs(u) * np.float32(0.866) + v * np.float32(0.5)
    return np.maximum(slanted, -v) - np.float32(0.5)


def _plus(u: Plane, v: Plane) -> Plane:
    return np.minimum(_box(u, v, 0.95, 0.25), _box(u, v, 0.25, 0.95))


def _bar(u: Plane, v: Plane) -> Plane:
    return _box(u, v, 1.1, 0.27)


def _two_dots(u: Plane, v: Plane) -> Plane:
    return _radial(np.abs(u) - np.float32(0.62), v) - np.float32(0.4)


def _crescent(u: Plane, v: Plane) -> Plane:
    bite = np.float32(0.72) - _radial(u - np.float32(0.45), v)
    edge: Plane = np.maximum(_radial(u, v) - np.float32(0.9), bite)
    return edge


def _stripes(u: Plane, v: Plane) -> Plane:
    return _box(np.abs(np.abs(u) - np.float32(0.375)) - np.float32(0.375), v, 0.15, 0.85)


_SHAPES: dict[str, Distance] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "plus": _plus,
    "bar": _bar,
    "two dots": _two_dots,
    "crescent": _crescent,
    "stripes": _stripes,
}
