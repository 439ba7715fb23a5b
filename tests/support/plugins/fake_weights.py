"""Weight sources that lie nowhere, for tests of what is selected: facts without numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.harness import selection
from bench.networks.preprocessing import BVLC, TORCHVISION
from bench.networks.pretrained import Facts, Pretrained

TRUNK = ("conv1", "conv2", "conv3", "conv4", "conv5")
SOURCES = {
    "torchvision": Facts(
        "torchvision",
        "a" * 64,
        "torchvision",
        (*TRUNK, "dense1", "dense2", "dense3"),
        TORCHVISION,
        classes=1000,
        input_size=224,
    ),
    "bvlc": Facts("bvlc", "b" * 64, "imagenet-lrn", TRUNK, BVLC),
}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test: `SOURCES` in the place of what could be opened."""

    def opened(spec: str, **_: object) -> tuple[Pretrained, Path]:
        return Pretrained(SOURCES[spec], {}), Path(f"{spec}.safetensors")

    monkeypatch.setattr(selection, "open_weights", opened)
