"""The plot of all ratios between runs: a line per case, a mark per run."""

from __future__ import annotations

from bench.analysis.across.entries import Entry
from bench.analysis.across.side_by_side import SideBySide
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.report.across.run_lines import Line, Mark, RunLines
from bench.report.across.words import figure_of, kind_label, names_of
from bench.report.plot_style import Drawing
from bench.stats.verdicts import ACCURACY, SPEED

_DIFFERENT = (SPEED.above, SPEED.below, ACCURACY.above, ACCURACY.below)
_SPEEDS = "Ratio of speeds, later run over the first: right of the line at 1x it is faster."
_POINTS = (
    "Difference of mean accuracy in percentage points, later run minus the first: right of the "
    "line at 0 it is more accurate."
)


def forest(found: SideBySide, name: str, *, narrow: bool = False) -> Drawing | None:
    """The drawing of one kind; accuracies once for all seeds. None without a figure.

    Args:
        found: The runs.
        name: The kind.
        narrow: Whether it is for the width of a phone.
    """
    label, timed = kind_label(name), kind(name).timed
    plot = RunLines(
        f"compare_{name}",
        f"{label[:1].upper()}{label[1:]}: compared with {found.runs[0].name}",
        _SPEEDS if timed else _POINTS,
        timed,
        "speed over that of A" if timed else "points above A",
        [run.name for run in found.runs],
    )
    return plot.draw(_lines(found, name), narrow=narrow)


def _lines(found: SideBySide, name: str) -> list[Line]:
    marks: dict[Case, dict[int, Mark]] = {}
    records: dict[Case, list[Record]] = {}
    for place, some in enumerate(found.entries, start=1):
        for entry in some:
            if entry.comparison.kind != name or not entry.comparison.has_figure:
                continue
            members = found.members[entry.key]
            records.setdefault(entry.case, [*members[0]]).extend(members[place])
            marks.setdefault(entry.case, {})[place] = _mark(entry)
    names = names_of(marks)
    return [Line(names[case], case.framework, own, records[case]) for case, own in marks.items()]


def _mark(entry: Entry) -> Mark:
    row = entry.comparison
    value = row.difference if row.ratio is None else row.ratio
    assert value is not None
    figures = ", ".join(filter(None, [figure_of(row), entry.same]))
    return Mark((value, row.low, row.high), row.verdict in _DIFFERENT, figures)
