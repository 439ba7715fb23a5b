"""Ratios within each run: frameworks compared in every run on its own, runs next to each other.

Where machines differ, runs are not compared; what they say about frameworks can still be read side
by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.certified import is_certified_row
from bench.analysis.experiments import latest
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.report.across.page import Chapter, Part, drawn
from bench.report.across.run_lines import Line, Mark, RunLines
from bench.report.across.words import CaseCells, kind_label, names_of
from bench.report.chapters.speed import interleaved
from bench.report.columns import case_of
from bench.report.format import NOTHING, joined, known, ratio
from bench.report.plot_style import Drawing, style
from bench.report.report import Report
from bench.stats.verdicts import SPEED


@dataclass(frozen=True)
class Within:
    """A framework over its reference, in each run on its own.

    Attributes:
        case: Of the framework.
        kind: Kind of measurement.
        reference: The framework that it ran interleaved with, as tables name it.
        rows: By run the row of the table of interleaved runs; None where it has none.
    """

    case: Case
    kind: str
    reference: str
    rows: tuple[Row | None, ...]

    @property
    def overlapping(self) -> bool | None:
        """Whether each two of the intervals have a value in common; None where one is unknown."""
        found = [row for row in self.rows if row]
        ends = [(row["ratio_low"], row["ratio_high"]) for row in found]
        if not all(low is not None and high is not None for low, high in ends):
            return None
        return all(a[0] <= b[1] and b[0] <= a[1] for a, b in combinations(ends, 2))


def ratios_within(found: SideBySide) -> list[Within]:
    """The ratios that two runs at least have, in the order of tables."""
    rows: dict[tuple[str, Case, str], list[Row | None]] = {}
    for place, run in enumerate(found.runs):
        for results in Report.of(latest(run.records)[0]).datasets:
            for row in results.once(interleaved.interleaved_rows):
                if is_certified_row(row) and known(row["ratio"]):
                    key = row["kind"], case_of(row), interleaved.reference_of(row)
                    own = rows.setdefault(key, [None] * len(found.runs))
                    own[place] = own[place] or row
    return [
        Within(case, name, reference, tuple(own))
        for (name, case, reference), own in rows.items()
        if sum(row is not None for row in own) > 1
    ]


def within(found: SideBySide) -> Chapter:
    """The chapter: plot and table."""
    every = ratios_within(found)
    with style():
        wide, narrow = (
            [drawing for drawing in [_plot(found, every, narrow=phone)] if drawing]
            for phone in (False, True)
        )
        figures = drawn(wide, narrow)
    parts = (replace(_table(found, every), figures=tuple(figures)),) if every else ()
    return Chapter(
        "within",
        "Frameworks within each run",
        "The speed of a framework over that of its reference, with which it ran interleaved in "
        "processes of the same run, on one machine: above 1x it is faster there. So runs of "
        "different machines can be read next to each other. Whether 95 % intervals overlap is "
        "no test, and there is no verdict across machines: the processor is not the only thing "
        "that two runs may differ in.",
        parts,
    )


def _plot(found: SideBySide, every: Sequence[Within], *, narrow: bool) -> Drawing | None:
    names = names_of(one.case for one in every)
    references = list(dict.fromkeys(one.reference for one in every))
    lines = [
        Line(
            f"{names[one.case]} · {kind_label(one.kind)}",
            one.case.framework,
            {place: _mark(row) for place, row in enumerate(one.rows) if row},
            [record for run in found.runs for record in run.records if record.case == one.case],
        )
        for one in every
    ]
    plot = RunLines(
        "within",
        "Speed over the reference framework within each run",
        "Right of the line at 1x a framework is faster than its reference in the same run.",
        True,
        f"speed over {joined(references)} in the same run",
        [run.name for run in found.runs],
    )
    return plot.draw(lines, narrow=narrow)


def _mark(row: Row) -> Mark:
    interval = row["ratio"], row["ratio_low"], row["ratio_high"]
    return Mark(interval, row["verdict"] in (SPEED.above, SPEED.below), ratio(*interval))


def _table(found: SideBySide, every: Sequence[Within]) -> Part:
    cells_of = CaseCells((one.case, one.kind) for one in every)
    letters = [letter(place) for place in range(len(found.runs))]
    rows = [
        cells_of.row(
            one.case,
            one.kind,
            [one.reference, *map(_estimate, one.rows), _OVERLAP[one.overlapping]],
        )
        for one in every
    ]
    headers = cells_of.headers(["compared with", *letters, "intervals overlap"])
    right = cells_of.right([False, *[True] * len(letters), False])
    return Part.table(headers, right, rows, who=cells_of.who + 1)


_OVERLAP = {True: "yes", False: "no", None: NOTHING}


def _estimate(row: Row | None) -> str:
    return ratio(row["ratio"], row["ratio_low"], row["ratio_high"]) if row else NOTHING
