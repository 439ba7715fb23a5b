"""The page of ``alexbench history --html``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.across.changes import MISSING, History, can_find, histories
from bench.analysis.runs import Run
from bench.report.across.history_plot import Axis, history, peers
from bench.report.across.page import Chapter, Part, drawn, page
from bench.report.across.words import (
    case_columns,
    change_words,
    figure_of,
    interval_of_point,
    kind_label,
    value_of_point,
)
from bench.report.format import NOTHING
from bench.report.plot_style import style

FIGURES = 60
"""Plots of one page at most."""


def history_page(runs: Sequence[Run], by: str) -> str:
    """The page as HTML.

    Args:
        runs: In any order.
        by: One of `bench.report.across.history_plot.BY`.
    """
    found = histories(runs)
    repeated = [entry for entry in found if len(entry.series.points) > 1]
    lead = [
        f"{len(runs)} runs, {len(found):,} cases, {len(repeated):,} of them in more than one run. "
        f"{sum(len(entry.changes) for entry in found)} change points."
    ]
    chapters = (
        _latest(repeated),
        _changes(repeated),
        _breaks(repeated),
        _curves(repeated, by),
        _points(found),
        _missing(found),
    )
    return page(
        f"History of {len(runs)} runs",
        chapters,
        lead=lead if can_find() else [*lead, f"{MISSING}."],
        facts=[(name, words) for name, words in _spans(runs)],
    )


def _spans(runs: Sequence[Run]) -> list[tuple[str, str]]:
    records = [record for run in runs for record in run.records]
    days = sorted({record.started_at[:10] for record in records if record.started_at})
    cpus = dict.fromkeys(str(r.environment["cpu"]) for r in records if r.environment.get("cpu"))
    spans = [("Runs", ", ".join(run.name for run in runs))]
    spans += [("Days", " to ".join(dict.fromkeys((days[0], days[-1]))))] if days else []
    return [*spans, *(("Machine", cpu) for cpu in cpus)]


def _rows(found: Iterable[History]) -> tuple[list[str], list[tuple[History, list[str]]]]:
    """Headers of the case's columns, and each series with its cells."""
    every = list(found)
    identity = case_columns(entry.series.case for entry in every)
    cells = [
        (entry, [*(show(entry.series.case) for _, show in identity), kind_label(entry.series.kind)])
        for entry in every
    ]
    return [*(header for header, _ in identity), "of"], cells


def _latest(found: Sequence[History]) -> Chapter:
    headers, rows = _rows(found)
    cells = []
    for entry, case in rows:
        points, last = entry.series.points, entry.series.last
        why = "break" if points[-1].broken else ""
        versus = [figure_of(last), last.verdict] if last else ["", why]
        values = [value_of_point(point) for point in (points[0], points[-1])]
        cells.append([*case, f"{len(points)}", *values, *versus])
    right = [*(False for _ in headers), True, True, True, True, False]
    titles = [*headers, "runs", "first", "last", "last / one before", "verdict"]
    return Chapter(
        "latest",
        "Latest",
        "The last run of each case compared with the one before, where data, machine and settings "
        "are the same. One process on a side gives no verdict.",
        (Part.table(titles, right, cells),) if cells else (),
    )


def _changes(found: Sequence[History]) -> Chapter:
    headers, rows = _rows([entry for entry in found if entry.changes])
    cells = []
    for entry, case in rows:
        for change in entry.changes:
            points = entry.series.points
            point = points[change.place]
            where = [point.run, point.started_at[:10], point.commit or NOTHING]
            what = [change_words(change, entry.series.kind), change.verdict]
            counts = [f"{change.before}", f"{change.after}"]
            cells.append([*case, *where, *what, *counts, ", ".join(point.changed)])
    titles = [*headers, "first run after", "day", "commit", "after / before", "verdict"]
    titles += ["runs before", "runs after", "changed with it"]
    right = [*(False for _ in headers), False, False, False, True, False, True, True, False]
    nothing = Part(lines=("No change point was found.",))
    return Chapter(
        "changes",
        "Change points",
        "Where the mean of a case changed (PELT, from ruptures), among runs of one machine, data "
        "and settings, and kept only where the runs after it differ from those before it with "
        "their whole 95 % interval, the run being the unit. Two runs are needed on each side.",
        (Part.table(titles, right, cells) if cells else nothing,),
    )


def _breaks(found: Sequence[History]) -> Chapter:
    breaks: dict[tuple[str, str, str], int] = {}
    for entry in found:
        for before, now in zip(entry.series.points, entry.series.points[1:], strict=False):
            for words in now.broken:
                key = (before.run, now.run, words)
                breaks[key] = breaks.get(key, 0) + 1
    rows = [[*key, f"{number:,}"] for key, number in breaks.items()]
    part = Part.table(("after", "before", "what", "cases"), (False, False, False, True), rows)
    return Chapter(
        "breaks",
        "Breaks",
        "Where machine, settings, data or certificate changed between two runs of a case: such "
        "runs are not joined, and no change point is looked for across them.",
        (part,) if rows else (),
    )


def _curves(found: Sequence[History], by: str) -> Chapter:
    panels = peers(found)
    axis = Axis(found, by)
    with style():
        drawings = [
            history(case, name, entries, axis)
            for (case, name), entries in list(panels.items())[:FIGURES]
        ]
        figures = drawn(drawings)
    more = len(panels) - FIGURES
    lines = (f"The other {more:,} are in the tables.",) if more > 0 else ()
    return Chapter(
        "curves",
        "Curves",
        "A panel per network and measurement, a line per framework.",
        (Part(figures=tuple(figures), lines=lines),) if figures else (),
    )


def _points(found: Sequence[History]) -> Chapter:
    headers, rows = _rows(found)
    cells = []
    for entry, case in rows:
        for point in entry.series.points:
            where = [point.run, point.started_at[:10], point.commit or NOTHING]
            what = [value_of_point(point), interval_of_point(point)]
            cells.append([*case, *where, *what, f"{point.repeats}", f"{point.conditions + 1}"])
    titles = [*headers, "run", "day", "commit", "value", "95 % interval", "repeats", "conditions"]
    right = [*(False for _ in headers), False, False, False, True, True, True, True]
    return Chapter(
        "points",
        "All points",
        "Repeats are processes, or seeds of an accuracy. Points of one case may be compared where "
        "the number of their conditions is the same.",
        (Part.table(titles, right, cells, folded=f"{len(cells):,} points"),) if cells else (),
    )


def _missing(found: Sequence[History]) -> Chapter:
    rows = [
        [entry.series.case.id, kind_label(entry.series.kind), line]
        for entry in found
        for line in entry.series.missing
    ]
    part = Part.table(("case", "of", "run"), (False,) * 3, rows, folded=f"{len(rows):,} results")
    return Chapter(
        "missing", "Without a result", "Runs in which a case failed.", (part,) if rows else ()
    )
