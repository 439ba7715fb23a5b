"""Every figure in README and docs is what the committed records give."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.analysis.audit.begun import begun_of
from bench.analysis.audit.checks import audit, notes_of
from bench.analysis.experiments import by_dataset
from bench.analysis.results import Results
from bench.cli.calibration import COPY, NOISES, SHAPES
from bench.core.kinds import THROUGHPUT
from bench.core.records import RecordStore
from bench.report.blocks import stale, unmarked
from bench.report.chapters.speed.interleaved import interleaved_rows
from bench.report.format import percent
from bench.report.tables import write_tables
from bench.stats.seeds import welch_difference

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
    assert unmarked(page) == []


def test_the_gap_at_framework_defaults_is_welchs_interval():
    """The one figure of docs/results.md that no table holds; its footnote names its records."""
    accuracies = {"pytorch": [], "keras-tensorflow": []}
    for record in RecordStore(ROOT / "results" / "reference-2026-11-21-waterfall").read():
        if record.ok and record.case.defaults == "own" and record.case.variant == "cifar-bn":
            accuracies[record.case.framework].append(record.samples[0])
    gap = welch_difference(accuracies["keras-tensorflow"], accuracies["pytorch"])
    shown = "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * value for value in gap)).replace("-", "−")
    assert shown in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


RUNS = sorted(path.parent for path in (ROOT / "results").glob("reference-*/**/records.jsonl"))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_published_run_passes_the_audit(run):
    """When this fails: measure again, or say what is wrong with ``alexbench annotate``."""
    found = audit(RecordStore(run).read(), notes_of(run), begun_of(run))
    assert [finding.line for finding in found] == []


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_tables_of_every_published_run_are_what_the_records_give(run, tmp_path):
    """When this fails: ``alexbench report RUN -o FOLDER``, then copy the tables."""
    if not (run / "tables").exists():
        return  # groups of a calibration
    write_tables(RecordStore(run).read(), tmp_path)
    made, there = (
        {path.name: path.read_text(encoding="utf-8") for path in folder.glob("tables/*")}
        for folder in (tmp_path, run)
    )
    assert made == there


def test_the_published_calibration_is_what_was_counted():
    """The table of docs/statistics.md; its footnote has the command."""
    folder = ROOT / "results" / "reference-2026-11-21-calibration"
    counted = json.loads((folder / "simulated.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    shares: dict[tuple[str, int], list[str]] = {}
    for count in counted:
        share = percent(count["correct"] / count["total"]).removesuffix(" %")
        shares.setdefault((count["source"], count["processes"]), []).append(share)
    for noise in NOISES:
        (line,) = re.findall(rf"^\| {noise.name}: .*$", text, re.MULTILINE)
        cells = [cell.strip() for cell in line.split("|")[2:-1]]
        found = [shares[noise.name, n] for n, _ in SHAPES if n > 1]
        assert cells == [f"{right} / {slower} %" for right, slower in found]


def test_the_published_real_calibration_is_what_was_measured():
    folder = ROOT / "results" / "reference-2026-11-26-calibration-quick"
    rows = json.loads((folder / "real.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    text = text.partition("make bench` times a group")[2].partition("## The clock")[0]
    for name in ("pytorch-twin", "pytorch-slowed"):
        *single, pooled = (row for row in rows if row["framework"] == name)
        slower = sum(row["verdict"] == "slower" for row in single)
        (line,) = re.findall(rf"^\| `{name}`.*$", text, re.MULTILINE)
        assert [int(n) for n in re.findall(r"(\d+)(?: of 8)? \|", line)][:2] == [8 - slower, slower]
        figures = "{ratio:.3f}x [{ratio_low:.3f}x, {ratio_high:.3f}x], {verdict}".format(**pooled)
        assert figures in line
    halves = sorted(
        100 * ((row["ratio_high"] / row["ratio_low"]) ** 0.5 - 1)
        for row in rows
        if row["framework"] == "pytorch-twin" and row["processes"] < 10
    )
    shown = f"{halves[0]:.1f} to {halves[-1]:.1f} % to each side, {np.median(halves):.1f} %"
    assert shown in text


def test_the_two_runs_to_compare_have_the_verdicts_that_the_document_says():
    """docs/comparing.md."""
    folders = [ROOT / "results" / f"reference-2026-11-26-{n}" for n in ("make-bench", "executions")]
    rows = [row for row in bench.compare(*folders) if row.kind in THROUGHPUT and row.ratio]
    verdicts = Counter(row.verdict for row in rows)
    assert verdicts == {"tie": 3, "inconclusive": 4, "faster": 1}
    (faster,) = (row for row in rows if row.verdict == "faster")
    assert [round(100 * (v - 1)) for v in (faster.ratio, faster.low, faster.high)] == [8, 1, 15]


def test_the_published_misses_of_the_fastest_blocks_are_what_the_records_have():
    """docs/statistics.md: of eight real A/A tests two, and none by the medians."""
    missed = {"fastest_ratio": 0, "ratio": 0}
    matches = sorted((ROOT / "results" / "reference-2026-11-21-calibration").glob("match-*"))
    for folder in matches:
        records = [replace(r, parity={"status": "pass"}) for r in RecordStore(folder).read()]
        (results,) = (Results(some, data) for data, some in by_dataset(records))
        (row,) = (r for r in interleaved_rows(results) if r["framework"].endswith(COPY))
        for name in missed:
            missed[name] += not row[f"{name}_low"] <= 1 <= row[f"{name}_high"]
    assert len(matches) == 8
    assert missed == {"fastest_ratio": 2, "ratio": 0}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
