"""docs/reading-the-report.md shows every kind of plot once."""

import re

from bench.report.plots import CHARTS
from tests.support.gallery import FOLDER, ROOT, SOURCES

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
