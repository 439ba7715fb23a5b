"""The page of ``alexbench history --html``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from bench.analysis.across.changes import MISSING, History, can_find, histories
from bench.analysis.runs import Run
from bench.core.text import many
from bench.report.across.history_axis import Axis
from bench.report.across.history_breaks import breaks_of
from bench.report.across.history_plot import HOW, history, panels
from bench.report.across.page import Chapter, ListedBreak, Part, drawn, page
from bench.report.across.words import (
    CaseCells,
    by_seeds,
    change_words,
    figure_of,
    interval_of_point,
    kind_label,
    value_of_point,
    verdict_of,
)
from bench.report.format import NOTHING
from bench.report.plot_style import (
    style,
)

FIGURES = 60
"""Plots of one page at most."""
_NOT_COMPARED = "not compared"
_NAMED = 6
"""Runs that the head of a page names at most; the table of points has all."""


def history_page(runs: Sequence[Run], by: str) -> str:
    """The page as HTML.

    Args:
        runs: In any order.
        by: One of `bench.report.across.history_axis.BY`.
    """
    found = histories(runs)
    repeated = [entry for entry in found if len(entry.series.points) > 1]
    lead = [
        f"{many(len(runs), 'run')}, {many(len(found), 'case')}, {len(repeated):,} of them in more "
        f"than one run. {many(sum(len(entry.changes) for entry in found), 'change point')}."
    ]
    if not repeated:
        lead = [f"{many(len(runs), 'run')}, {many(len(found), 'case')}, none in two runs."]
    chapters = (
        _curves(repeated, by),
        _latest(repeated),
        _changes(repeated),
        _breaks(repeated),
        _points(found),
        _missing(found),
    )
    return page(
        f"History of {many(len(runs), 'run')}",
        chapters,
        lead=lead if can_find() else [*lead, f"{MISSING}."],
        facts=[(name, words) for name, words in _spans(runs)],
    )


def _spans(runs: Sequence[Run]) -> list[tuple[str, str]]:
    records = [record for run in runs for record in run.records]
    days = sorted({record.started_at[:10] for record in records if record.started_at})
    cpus = dict.fromkeys(str(r.environment["cpu"]) for r in records if r.environment.get("cpu"))
    names = [run.name for run in runs]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    spans = [("Runs", ", ".join(names[:_NAMED]) + more)]
    spans += [("Days", " to ".join(dict.fromkeys((days[0], days[-1]))))] if days else []
    return [*spans, *(("Machine", cpu) for cpu in cpus)]


def _cells_of(found: Iterable[History]) -> CaseCells:
    cases = [(entry.series.case, entry.series.kind) for entry in found]
    return CaseCells(cases, values_first=True)


def _latest(found: Sequence[History]) -> Chapter:
    case_cells, rows = _cells_of(found), []
    for entry in found:
        points, last = entry.series.points, entry.series.last
        now = points[-1]
        first = next(point for point in points if point.conditions == now.conditions)
        versus = [NOTHING, _NOT_COMPARED]
        if last:
            versus = [figure_of(last.comparison), verdict_of(last)]
        figures = [value_of_point(now), interval_of_point(now), *versus]
        figures += [NOTHING if first is now else value_of_point(first), f"{len(points)}"]
        figures += [
            by_seeds(last) if last else "",
            ", ".join(dict.fromkeys(b.what for b in now.broken)),
        ]
        rows.append(case_cells.row(entry.series.case, entry.series.kind, figures))
    headers = ["last run", "95 % interval", "last / before", "verdict", "first like it", "runs"]
    headers = case_cells.headers([*headers, "compared", "break before it"])
    right = case_cells.right([True, True, True, False, True, True, False, False])
    part = Part.table(headers, right, rows, who=case_cells.who)
    return Chapter(
        "latest",
        "Latest",
        "The last run of each case, and its ratio to the run before; of accuracies the mean "
        "difference over the seeds that both have, with the means of these seeds. After a break it "
        "is not compared; the table of breaks says what changed. One process on a side gives no "
        "verdict. First like it is the first run with the same machine, data and settings, where "
        "that is another one.",
        (part,) if rows else (),
    )


def _changes(found: Sequence[History]) -> Chapter:
    changed = [entry for entry in found if entry.changes]
    case_cells, rows = _cells_of(changed), []
    for entry in changed:
        for change in entry.changes:
            point = entry.series.points[change.place]
            where = [point.run, point.started_at[:10], point.commit or NOTHING]
            what = [change_words(change, entry.series.kind), change.verdict]
            figures = [
                *what,
                *where,
                f"{change.before}",
                f"{change.after}",
                ", ".join(point.changed),
            ]
            rows.append(case_cells.row(entry.series.case, entry.series.kind, figures))
    headers = ["after / before", "verdict", "first run after", "day", "commit"]
    headers = case_cells.headers([*headers, "runs before", "runs after", "changed with it"])
    right = case_cells.right([True, False, False, False, False, True, True, False])
    nothing = Part(lines=("No change point was found.",))
    return Chapter(
        "changes",
        "Change points",
        "Where the mean of a case changed (PELT, from ruptures), among runs of one machine, data "
        "and settings, and kept only where the runs after it differ from those before it with "
        "their whole 95 % interval, the run being the unit. Two runs are needed on each side.",
        (Part.table(headers, right, rows, who=case_cells.who) if rows else nothing,)
        if found
        else (),
    )


def _breaks(found: Sequence[History]) -> Chapter:
    breaks: Counter[tuple[str, ...]] = Counter()
    for entry in found:
        for before, now in pairwise(entry.series.points):
            for broken in now.broken:
                where = now.started_at[:10] or NOTHING, before.run, now.run
                breaks[*where, broken.name, broken.before, broken.now] += 1
    rows = [[*key, f"{number:,}"] for key, number in sorted(breaks.items())]
    headers = (
        "before the run of",
        "run before",
        "run after",
        "what changed",
        "from",
        "to",
        "cases",
    )
    part = Part.table(headers, (*[False] * 6, True), rows)
    return Chapter(
        "breaks",
        "Breaks",
        "Where machine, settings, data or certificate changed between two runs of a case: such "
        "runs are not joined, and no change point is looked for across them. A break has the day "
        "of the run that it stands before, here and below the curves.",
        (part,) if rows else (),
    )


def _curves(found: Sequence[History], by: str) -> Chapter:
    every = panels(found)
    shown = every[:FIGURES]
    with style():
        wide, narrow = (
            [history(*panel, Axis(panel[1], by, narrow=phone)) for panel in shown]
            for phone in (False, True)
        )
        plain = drawn(wide, narrow)
    figures = [
        replace(figure, breaks=tuple(_listed(entries, Axis(entries, by))))
        for figure, (_, entries) in zip(plain, shown, strict=True)
    ]
    more = len(every) - FIGURES
    lines = (f"The other {more:,} are in the tables.",) if more > 0 else ()
    return Chapter(
        "curves",
        "Curves",
        HOW,
        (Part(figures=tuple(figures), lines=lines),) if figures else (),
    )


def _listed(entries: Sequence[History], axis: Axis) -> list[ListedBreak]:
    """The breaks of a panel as the list below it has them."""
    return [
        ListedBreak(line.number, axis.name(line.nows[0]), part.curves, part.facts)
        for line in breaks_of(entries)
        for part in line.parts
    ]


def _points(found: Sequence[History]) -> Chapter:
    case_cells, rows = _cells_of(found), []
    for entry in found:
        for point in entry.series.points:
            where = [point.run, point.started_at[:10], point.commit or NOTHING]
            what = [value_of_point(point), interval_of_point(point)]
            figures = [*where, *what, f"{point.repeats}", f"{point.conditions + 1}"]
            rows.append(case_cells.row(entry.series.case, entry.series.kind, figures))
    once = all(len(entry.series.points) == 1 for entry in found)
    folded = "" if once else many(len(rows), "point")
    headers = ["run", "day", "commit", "value", "95 % interval", "repeats", "conditions"]
    headers = case_cells.headers(headers)
    right = case_cells.right([False, False, False, True, True, True, True])
    return Chapter(
        "points",
        "All points",
        "Repeats are processes, or seeds of an accuracy. Points of one case may be compared where "
        "the number of their conditions is the same.",
        (Part.table(headers, right, rows, folded=folded, who=case_cells.who),) if rows else (),
    )


def _missing(found: Sequence[History]) -> Chapter:
    rows = [
        [entry.series.case.id, kind_label(entry.series.kind), run, why]
        for entry in found
        for run, why in entry.series.missing
    ]
    part = Part.table(
        ("case", "measured", "run", "why"), (False,) * 4, rows, folded=many(len(rows), "result")
    )
    return Chapter(
        "missing",
        "Without a result",
        "Runs in which a case failed, or has the measurement of another run.",
        (part,) if rows else (),
    )
