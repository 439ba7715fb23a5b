"""Images to predict on: crops of a photograph that matplotlib includes."""

from __future__ import annotations

from pathlib import Path

from matplotlib import cbook
from PIL import Image

SIZES = {
    "portrait.png": (300, 411),
    "landscape.webp": (509, 257),
    "odd.bmp": (225, 287),
    "tiny.png": (32, 32),
    "long.png": (40, 331),
    "exact.png": (224, 256),
}
"""(width, height) by name; formats without loss, so that every reader sees the same pixels."""


def photograph() -> Image.Image:
    """512×600, RGB."""
    with cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return image.convert("RGB")


def write(folder: Path) -> list[Path]:
    """The whole photograph as JPEG and the cut-outs, in the order of their names here."""
    whole = photograph()
    paths = [folder / "whole.jpg"]
    whole.save(paths[0], quality=92)
    for index, (name, (width, height)) in enumerate(SIZES.items()):
        left, top = 37 * index % (512 - width), 61 * index % (600 - height)
        paths.append(folder / name)
        cut = whole.crop((left, top, left + width, top + height))
        cut.save(paths[-1], **({"lossless": True} if name.endswith(".webp") else {}))
    return paths
