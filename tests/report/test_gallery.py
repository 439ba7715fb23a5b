"""docs/reading-the-report.md shows every kind of plot once."""

import re

import numpy as np
from matplotlib import colormaps
from PIL import Image

from bench.report.plots import CHARTS
from tests.support.gallery import FOLDER, ROOT, SOURCES, palette

PAGE = ROOT / "docs" / "reading-the-report.md"
SMALL = 150_000
"""Bytes of a plot at most."""


def test_every_kind_of_picture_is_shown_once():
    shown = re.findall(r"\]\(plots/(\w+)\.png\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(CHARTS)
    assert SOURCES.keys() == CHARTS.keys()


def test_pictures_are_there_and_small():
    files = {path.stem: path.stat().st_size for path in FOLDER.glob("*.png")}
    assert files.keys() == CHARTS.keys()
    assert max(files.values()) < SMALL


def test_a_heat_map_keeps_its_shades():
    """Planted: all shades of a matrix and the greys of text, which are too many for a palette of
    lines and marks."""
    blues = 255 * colormaps["Blues"](np.linspace(0, 1, 120))[:, :3]
    greys = np.repeat(np.linspace(0, 255, 120)[:, None], 3, axis=1)
    plot = Image.fromarray(np.repeat([[*blues, *greys]], 50, axis=0).round().astype(np.uint8))

    def off(chart):
        small = np.asarray(palette(plot, chart).convert("RGB"), dtype=int)
        return abs(small - np.asarray(plot, dtype=int)).max()

    assert (off("confusion"), off("latency") > 8) == (0, True)
