"""The page of ``alexbench history --html``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from bench.analysis.across.changes import History, histories
from bench.analysis.experiments import device_of
from bench.analysis.runs import Run
from bench.core.records import Record
from bench.core.system.environment import gpu_line
from bench.core.text import many
from bench.report.across.history_axis import Axis, days_of
from bench.report.across.history_breaks import breaks_of
from bench.report.across.history_latest import cells_of, latest
from bench.report.across.history_plot import history, how, panels
from bench.report.across.history_text import changes_found
from bench.report.across.page import Chapter, Fact, ListedBreak, Part, drawn, page
from bench.report.across.words import change_words, estimate_of_point, kind_label
from bench.report.format import NOTHING
from bench.report.plot_style import style
from bench.training.tracks import peers_of

FIGURES = 60
"""Plots of one page at most."""
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
    total = f"{many(len(runs), 'run')}, {many(len(found), 'case')}"
    lead = [f"{total}, {len(repeated):,} of them in more than one run. {changes_found(found)}."]
    if not repeated:
        lead = [f"{total}, none in two runs."]
    chapters = (
        _curves(repeated, by),
        latest(repeated, len(found)),
        _changes(repeated),
        _breaks(repeated),
        _points(found),
        _missing(found),
    )
    return page(
        f"History of {many(len(runs), 'run')}",
        chapters,
        lead=lead,
        facts=_facts(runs),
    )


def _facts(runs: Sequence[Run]) -> list[Fact]:
    records = [record for run in runs for record in run.records]
    days = sorted({record.started_at[:10] for record in records if record.started_at})
    machines = dict.fromkeys(_machine(record) for record in records)
    names = [run.name for run in runs]
    facts = [Fact("Runs", ", ".join(names[:_NAMED]), tuple(names[_NAMED:]))]
    facts += [Fact("Days", " to ".join(dict.fromkeys((days[0], days[-1]))))] if days else []
    return [*facts, *(Fact("Machine", machine) for machine in machines if machine)]


def _machine(record: Record) -> str:
    """Processor, and GPU where there is one."""
    cpu = str(record.environment.get("cpu") or "")
    return ", ".join(filter(None, [cpu, gpu_line(record.environment)]))


def _days(found: Sequence[History]) -> dict[str, str]:
    """By run what its day is called in all tables of the page."""
    days = days_of(point for entry in found for point in entry.series.points)
    return {run: day or NOTHING for run, day in days.items()}


def _changes(found: Sequence[History]) -> Chapter:
    changed = [entry for entry in found if entry.changes]
    case_cells, rows, days = cells_of(changed), [], _days(found)
    for entry in changed:
        for change in entry.changes:
            point = entry.series.points[change.place]
            where = [point.run, days[point.run], point.commit or NOTHING]
            what = [change_words(change, entry.series.kind), change.verdict]
            figures = [
                *what,
                *where,
                f"{change.before}",
                f"{change.after}",
                ", ".join(point.changed),
            ]
            rows.append(case_cells.row(entry.series.case, entry.series.kind, figures))
    headers = ["after / before", "verdict", "first run after", "begun (UTC)", "commit"]
    headers = case_cells.headers([*headers, "runs before", "runs after", "changed with it"])
    right = case_cells.right([True, False, False, False, False, True, True, False])
    nothing = Part(lines=(f"{changes_found(found)}.",))
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
    days = _days(found)
    for entry in found:
        for before, now in pairwise(entry.series.points):
            for broken in now.broken:
                where = days[now.run], before.run, now.run
                breaks[*where, broken.name, broken.before, broken.now] += 1
    rows = [
        [day, *what, f"{number:,}", before, after]
        for (day, before, after, *what), number in sorted(breaks.items())
    ]
    headers = (
        "before the run of",
        "what changed",
        "from",
        "to",
        "cases",
        "run before",
        "run after",
    )
    part = Part.table(headers, (*[False] * 4, True, False, False), rows)
    return Chapter(
        "breaks",
        "Breaks",
        "Where machine, settings, data or certificate changed between two runs of a case: such "
        "runs are not joined, and no change point is looked for across them. A break stands before "
        "a run and has the day on which that run began (UTC), with the time where several did, "
        "here and below the curves.",
        (part,) if rows else (),
    )


def _curves(found: Sequence[History], by: str) -> Chapter:
    every = panels(found)
    shown = every[:FIGURES]
    axes = [Axis(entries, by) for _, entries in shown]
    with style():
        wide, narrow = (
            [history(*panel, Axis(panel[1], by, narrow=phone)) for panel in shown]
            for phone in (False, True)
        )
        plain = drawn(wide, narrow)
    figures = [
        replace(figure, breaks=tuple(_listed(entries, axis)), facets=_facets(entries))
        for figure, (_, entries), axis in zip(plain, shown, axes, strict=True)
    ]
    more = len(every) - FIGURES
    lines = (f"The other {more:,} are in the tables.",) if more > 0 else ()
    return Chapter(
        "curves",
        "Curves",
        how(found, steps=by == "time" and any(axis.steps for axis in axes)),
        (Part(figures=tuple(figures), lines=lines),) if figures else (),
    )


def _facets(entries: Sequence[History]) -> tuple[str, ...]:
    """What a panel can be filtered by: no framework where it has several."""
    case = peers_of(entries[0].series.case)
    frameworks = {entry.series.case.framework_label for entry in entries}
    framework = frameworks.pop() if len(frameworks) == 1 else ""
    return case.variant, framework, device_of(case), case.precision, case.track


def _listed(entries: Sequence[History], axis: Axis) -> list[ListedBreak]:
    """The breaks of a panel as the list below it has them."""
    return [
        ListedBreak(line.number, axis.name(line.nows[0]), part.curves, part.facts)
        for line in breaks_of(entries)
        for part in line.parts
    ]


def _points(found: Sequence[History]) -> Chapter:
    case_cells, rows, days = cells_of(found), [], _days(found)
    for entry in found:
        for point in entry.series.points:
            where = [point.run, days[point.run], point.commit or NOTHING]
            counts = [f"{point.repeats}", f"{point.conditions + 1}"]
            figures = [estimate_of_point(point), *where, *counts]
            rows.append(case_cells.row(entry.series.case, entry.series.kind, figures))
    once = all(len(entry.series.points) == 1 for entry in found)
    folded = "" if once else many(len(rows), "point")
    headers = ["value", "run", "begun (UTC)", "commit", "repeats", "conditions"]
    headers = case_cells.headers(headers)
    right = case_cells.right([True, False, False, False, True, True])
    return Chapter(
        "points",
        "All points",
        "Every result with its 95 % interval. Repeats are processes, or seeds of an accuracy. "
        "Points of one case may be compared where the number of their conditions is the same.",
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
