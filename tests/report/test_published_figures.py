"""Every figure in README and docs is what the committed records give."""

from pathlib import Path

import pytest

from bench.report.blocks import stale

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "<!-- table:" in page.read_text(encoding="utf-8")
    or "<!-- value:" in page.read_text(encoding="utf-8")
]


def test_the_pages_with_published_figures_have_blocks():
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert names >= {"README.md", "docs/results.md", "docs/performance.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_published_figures_are_what_the_records_give(page):
    """When this fails: ``alexbench report --readme FILE``, then read what has changed."""
    assert stale(page, write=False) == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
