"""The part of a report that a plot's function takes, made from synthetic records."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analysis.experiments import by_dataset
from bench.analysis.results import Results
from bench.core.records import Record
from bench.report.report import Part


def results_of(records: Sequence[Record]) -> Results:
    """The results of records of one dataset."""
    ((data, some),) = by_dataset(records)
    return Results(some, data)


def row_names(axes: Axes) -> list[str]:
    """The names of a panel's rows (`bench.report.plot_style.name_rows`), from the top."""
    return [text.get_text() for text in axes.texts if text.get_ha() == "right"]


def part_of(records: Sequence[Record]) -> Part:
    """The certified part of the track of the first record."""
    return Part(results_of(records), records[0].case.track)
