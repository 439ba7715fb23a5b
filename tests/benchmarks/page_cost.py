"""What a page costs its reader: bytes, first paint and the time of a sort, in headless Chromium.

``make bench-report`` prints it for each report; ``python -m tests.benchmarks.page_cost PAGE…`` for
pages that are there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from tests.support.browser import browser, missing, page_of

GOAL_BYTES, GOAL_PAINT, GOAL_SORT = 15_000_000, 2.0, 0.3
"""For 10,000 records."""

_SORTS = 5

_OPEN = """() => {
  const folds = [...document.querySelectorAll("details.table")];
  const rows = (fold) => Number(fold.firstElementChild.textContent.replace(/\\D/g, ""));
  const fold = folds.reduce((one, other) => (rows(one) < rows(other) ? other : one));
  const began = performance.now();
  fold.open = true;
  return new Promise((done) => fold.addEventListener("toggle", () =>
    requestAnimationFrame(() => setTimeout(() => done(
      [fold.closest("section").id, rows(fold), performance.now() - began])))));
}"""
"""Opens the table with the most rows: its name, rows and milliseconds."""

_SORT = """(name) => {
  const tables = [...document.querySelectorAll(`#${name} .part table`)];
  const header = tables[0].querySelector("thead th.right");
  const began = performance.now();
  header.click();
  return new Promise((done) => requestAnimationFrame(() => setTimeout(() =>
    done(performance.now() - began))));
}"""
"""Milliseconds from a click on the first column of numbers to the next frame."""


def line(path: Path) -> str:
    """Bytes, first paint, opening and sorting of the largest table; why not, without a browser."""
    size = f"page {path.stat().st_size / 1e6:.1f} MB"
    if why := missing():
        return f"{size}; not opened: {why}"
    with browser() as started, page_of(started, path) as page:
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        entry = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        paint = page.evaluate(entry) / 1000
        name, rows, opening = page.evaluate(_OPEN)
        sort = median(page.evaluate(_SORT, name) for _ in range(_SORTS)) / 1000
    return (
        f"{size}, first paint {paint:.2f} s; {name} with {rows:,} rows: opened in "
        f"{opening / 1000:.2f} s, sorted in {sort:.3f} s"
    )


def goal() -> str:
    """What is wanted of a page of 10,000 records."""
    return (
        f"goal for a page of 10,000: {GOAL_BYTES / 1e6:.0f} MB, first paint {GOAL_PAINT:g} s, "
        f"sort {GOAL_SORT:g} s"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.page_cost",
        description="Measure what pages of reports cost their reader, in headless Chromium.",
    )
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE", help="a report.html")
    for path in parser.parse_args().pages:
        print(line(path))
    print(goal())
