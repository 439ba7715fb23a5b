"""Reports of many records: caps on figures and panels, and the shape of the records."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.core.kinds import KINDS
from bench.report import computing, plots
from bench.report.chapters import TABLES
from bench.report.panels import FEW_PANELS, LARGE, first_panels
from bench.report.plots import left_out, write_plots
from bench.report.report import Report
from tests.support.synthetic_records.many_records import many_records
from tests.support.synthetic_records.synthetic import make_record


def test_many_records_have_one_record_of_each_case_and_kind():
    records = many_records(300)
    assert len(records) == 300
    assert set(Counter(record.key for record in records).values()) == {1}
    assert {record.kind for record in records} == set(KINDS)
    assert any(not record.ok for record in records)


def test_first_panels_says_how_many_are_left_out():
    panels = {make_record(name).case: name for name in ("cifar-bn", "cifar-lrn", "cifar-plain")}
    shown, words = first_panels(panels, "latency", 2)
    assert list(shown.values()) == ["cifar-bn", "cifar-lrn"]
    assert words == " Only the first 2 of 3 networks are drawn; tables/latency.csv has all."
    assert first_panels(panels, "latency") == (panels, "")


@pytest.fixture
def large(monkeypatch):
    """A report of few records that counts as a large one."""
    report = Report([make_record(name, track=track) for name in NETWORKS for track in TRACKS])
    monkeypatch.setattr(report, "large", True)
    return report


NETWORKS = ("cifar-bn", "cifar-lrn", "cifar-plain")
TRACKS = ("closed", "tuned")


@pytest.mark.parametrize("processors", [1, 2])
def test_large_report_draws_the_first_panels_as_svg_alone(large, processors, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "_processors", lambda: processors)
    found = write_plots(large, tmp_path)
    names = ["latency_closed", "parity_closed", "latency_tuned"]
    assert [plot.name for plot in found] == names
    latency = [plot for plot in found if plot.table == "latency"]
    assert all(f"Only the first {FEW_PANELS} of 3 networks" in plot.how for plot in latency)
    assert all(plot.png is None for plot in found)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        f"{name}.svg" for name in names
    }


def test_large_report_names_the_tracks_without_plots(large, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "_DRAWN", 1)
    assert [plot.name for plot in write_plots(large, tmp_path)] == [
        "latency_closed",
        "parity_closed",
    ]
    (line,) = left_out(large)
    assert line.startswith("Plots show 1 of 2 pairs of track and data")
    assert "tuned on cifar10" in line


def test_rows_of_two_processes_are_those_of_one(monkeypatch):
    records = many_records(300)
    alone, shared = Report(records), Report(records)
    monkeypatch.setattr(computing, "worthwhile", lambda: True)
    computing.compute_rows(shared.datasets)
    for one, other in zip(alone.datasets, shared.datasets, strict=True):
        for table in TABLES:
            assert repr(other.once(table.rows)) == repr(one.once(table.rows))


def test_report_of_usual_size_is_not_large():
    report = Report([make_record()])
    assert not report.large
    assert left_out(report) == []
    assert LARGE > 100
