"""The report of a run: its records by dataset, and everything computed from them once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.analysis.certified import is_certified, is_certified_row
from bench.analysis.comparison.mixed import with_mixed_seeds_noted
from bench.analysis.experiments import Data, Experiment, by_dataset, framework_labels_of
from bench.analysis.results import Results
from bench.analysis.rows import Row
from bench.core.records import Record
from bench.report.panels import LARGE, PANELS
from bench.report.plot_style import PHONE


class Report:
    """What CSV, Markdown, page, headlines, README block and plots are made from.

    Args:
        records: All records, one per case, kind and dataset (`bench.analysis.experiments.latest`).
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = tuple(with_mixed_seeds_noted(records))
        self.datasets = [Results(some, data) for data, some in by_dataset(self.records)]
        self.large = len(self.records) > LARGE

    @classmethod
    def of(cls, records: Records) -> Report:
        """A report of records; a report as it is."""
        return records if isinstance(records, Report) else cls(records)


_PHONE_LETTERS = 28
"""Of a title above the only panel of a row of a narrow figure."""


Records = Report | Sequence[Record]
"""A report, or the records that one is made of."""


@dataclass(frozen=True)
class Part:
    """What one plot shows: results of one dataset and track, certified or uncertified."""

    results: Results
    track: str
    certified: bool = True
    panels: int = PANELS
    """Panels of one figure at most."""
    narrow: bool = False
    """Whether it is for the width of a phone: panels in one column, names above their rows."""

    @property
    def data(self) -> Data:
        """The dataset."""
        return self.results.data

    @cached_property
    def frameworks(self) -> list[str]:
        """Labels of the part's frameworks, in the order of tables."""
        return framework_labels_of(
            record.case
            for record in self.results.records
            if record.case.track == self.track and is_certified(record) == self.certified
        )

    def width(self, wide: float) -> float:
        """Inches of a figure that is as wide as given where there is room."""
        return PHONE if self.narrow else wide

    def across(self, number: int, most: int = 2) -> int:
        """How many of so many panels stand side by side."""
        return 1 if self.narrow else min(most, number)

    def letters(self, wide: int) -> int:
        """Letters of a line of a title above a panel."""
        return min(wide, _PHONE_LETTERS) if self.narrow else wide

    def experiments(self, *kinds: str) -> list[Experiment]:
        """The part's experiments of these kinds, in the order of tables."""
        return [
            experiment
            for experiment in self.results.experiments(*kinds)
            if experiment.case.track == self.track and experiment.certified == self.certified
        ]

    def rows(self, make: Callable[[Results], list[Row]]) -> list[Row]:
        """The part's rows of a table."""
        return [
            row
            for row in self.results.once(make)
            if row["track"] == self.track and is_certified_row(row) == self.certified
        ]
