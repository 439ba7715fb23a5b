"""The last run of each case of a history, and what moved together in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.across.changes import History
from bench.analysis.across.entries import Entry
from bench.analysis.experiments import curve_names
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.text import many
from bench.report.across.page import Chapter, Group, Part
from bench.report.across.words import (
    CaseCells,
    by_seeds,
    figure_of,
    interval_of_point,
    kind_label,
    names_of,
    value_of_point,
    verdict_of,
)
from bench.report.captions import With, read_with
from bench.report.format import NOTHING, RATIO, percent
from bench.stats.verdicts import SPEED
from bench.training.tracks import peers_of

_NOT_COMPARED = "not compared"

Compared = tuple[History, Entry | None]
"""A case, and its last run compared with the one before; None where they are not compared."""


def cells_of(found: Iterable[History]) -> CaseCells:
    """The cells that name the cases of a history."""
    return CaseCells((entry.series.case, entry.series.kind) for entry in found)


def latest(found: Sequence[History], cases: int) -> Chapter:
    """The chapter.

    Args:
        found: The cases that are in more than one run.
        cases: How many there are in all.
    """
    case_cells = cells_of(found)
    compared = [(entry, entry.series.last) for entry in found]
    rows = [
        case_cells.row(entry.series.case, entry.series.kind, _figures(entry, last))
        for entry, last in compared
    ]
    headers = ["last run", "last / before", "verdict", "interval of last run", "first like it"]
    headers = case_cells.headers([*headers, "runs", "compared", "break before it"])
    right = case_cells.right([True, True, False, True, True, True, False, False])
    part = Part.table(headers, right, rows, who=case_cells.who, groups=tuple(_together(compared)))
    how = _how(compared, f"{len(found):,} of {many(cases, 'case')}")
    return Chapter("latest", "Latest", how, (part,) if rows else ())


def _figures(entry: History, last: Entry | None) -> list[str]:
    points = entry.series.points
    now = points[-1]
    first = next(point for point in points if point.conditions == now.conditions)
    return [
        value_of_point(now),
        figure_of(last.comparison) if last else NOTHING,
        verdict_of(last) if last else _NOT_COMPARED,
        interval_of_point(now),
        NOTHING if first is now else value_of_point(first),
        f"{len(points)}",
        by_seeds(last) if last else "",
        ", ".join(dict.fromkeys(broken.what for broken in now.broken)),
    ]


def _how(compared: Sequence[Compared], which: str) -> str:
    """How to read the columns that the table has."""
    kinds = [kind(entry.series.kind) for entry, last in compared if last]
    there = {
        _SPEEDS: any(one.timed for one in kinds),
        _ACCURACIES: any(not one.timed for one in kinds),
        _BREAKS: any(entry.series.points[-1].broken for entry, _ in compared),
    }
    of = f"The last run of each case that is in more than one run ({which})."
    return read_with((of, *_HOW), {name for name, found in there.items() if found})


_SPEEDS, _ACCURACIES, _BREAKS = "speeds", "accuracies", "breaks"
_HOW = (
    With(
        (_SPEEDS,),
        "Last / before is a ratio of speeds even where seconds are shown: above 1x the last run is "
        "faster. Its interval is of the processes within the two runs: what the machine does "
        "differently at another hour is in the ratio and not in the interval. Frameworks of one "
        "run share that hour: alexbench compare has their ratios within each run.",
    ),
    With(
        (_ACCURACIES,),
        "Of accuracies last / before is the mean difference in points over the seeds that both "
        "runs have, with the means of these seeds.",
    ),
    With(
        (_BREAKS,),
        "After a break a run is not compared; the table of breaks says what changed.",
    ),
    "One process or seed on a side gives no verdict. First like it is the first run with the same "
    "machine, data and settings, where that is another one.",
)


def _together(compared: Sequence[Compared]) -> list[Group]:
    """The networks whose frameworks all became faster, or slower, by much the same ratio."""
    found: dict[tuple[Case, str, str, str], dict[Case, Entry]] = {}
    for entry, last in compared:
        if last and kind(entry.series.kind).timed:
            earlier, later = entry.series.points[-2:]
            key = peers_of(entry.series.case), entry.series.kind, earlier.run, later.run
            found.setdefault(key, {})[entry.series.case] = last
    names = names_of(case for case, *_ in found)
    told: dict[str, list[str]] = {}
    for (case, name, before, now), lasts in found.items():
        ratios = [last.comparison.ratio for last in lasts.values()]
        verdicts = {last.comparison.verdict for last in lasts.values()}
        apart = max(ratios) / min(ratios)  # type: ignore[type-var, operator]
        if len(lasts) > 1 and verdicts in ({SPEED.above}, {SPEED.below}) and apart <= SPEED.high:
            (verdict,) = verdicts
            curves = curve_names([lasts])
            own = ", ".join(
                f"{curves[of]} {RATIO.value(last.comparison.ratio)}" for of, last in lasts.items()
            )
            told.setdefault(verdict, []).append(
                f"{names[case]} · {kind_label(name)}, {now} over {before}: {own}; their ratio to "
                f"each other moved by {percent(apart - 1)} at most"
            )
    return [
        Group(
            f"All frameworks {verdict} by much the same ratio: a cause that they share, such as "
            "the machine at that hour, is likelier than one in each of them.",
            tuple(lines),
        )
        for verdict, lines in told.items()
    ]
