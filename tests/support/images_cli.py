"""What the tests of ``predict`` and ``embed`` share: the command, images, expected numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.cli.main import main
from bench.inference.transforms import prepare
from tests.support.plugins import fake_server

NAMES = tuple(f"kind {index}" for index in range(fake_server.CLASSES))

Call = Callable[..., int]


def caller(monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command in this process; its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["alexbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        return caught.value.code

    return call


def write_images(folder: Path, count: int) -> list[Path]:
    """Images of noise around a colour each, of several sizes."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(count):
        size = (17 + 3 * index, 30 - index, 3)
        colour = rng.integers(20, 200, 3)
        noise = rng.integers(0, 50, size)
        paths.append(folder / f"{index}.png")
        Image.fromarray((colour + noise).astype(np.uint8)).save(paths[-1])
    return paths


def features(paths: list[Path]) -> NDArray[np.float32]:
    """What :class:`fake_server.FakeServer` makes of images, (N, 6)."""
    how = fake_server.pretrained().facts.preprocessing
    rows = []
    for path in paths:
        with Image.open(path) as image:
            means = prepare(image, how, path).mean(axis=(1, 2))
        rows.append(np.maximum(np.concatenate([means, -means]), 0))
    return np.array(rows, np.float32)


def logits(paths: list[Path]) -> NDArray[Any]:
    """(N, 10)."""
    return features(paths) @ fake_server.pretrained().tensors["dense3.weight"].T
