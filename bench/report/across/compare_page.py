"""The page of ``alexbench compare --html``: several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.across.entries import Entry
from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.comparison.compare import REFUSED
from bench.core.kinds import KINDS
from bench.report.across.forest import forest
from bench.report.across.page import Chapter, Part, Trouble, drawn, page
from bench.report.across.text import facts_in, nothing_compared, when
from bench.report.across.words import (
    CaseCells,
    by_seeds,
    counted,
    figure_of,
    kind_label,
    many,
    names_of,
    noise,
    order_of,
    share,
    value_of,
    verdict_of,
)
from bench.report.format import NOTHING, joined
from bench.report.plot_style import style
from bench.stats.verdicts import INCONCLUSIVE


def compare_page(found: SideBySide, failures: Sequence[str] | None = None) -> str:
    """The page as HTML.

    Args:
        found: The runs.
        failures: What a gate found (`bench.analysis.comparison.gate`); None without a gate.
    """
    chapters = (_figures(found), _cases(found), _differing(found), _reasons(found), _caveats(found))
    names = [run.name for run in found.runs]
    return page(
        f"{joined(names[1:])} compared with {names[0]}",
        chapters,
        lead=_lead(found, failures),
        facts=_facts(found),
        trouble=Trouble("The gate fails", tuple(failures)) if failures else None,
    )


def _facts(found: SideBySide) -> list[tuple[str, str]]:
    """Of each run the days and what it does not share with all others; last what all share."""
    facts = [facts_in(run.records) for run in found.runs]
    shared = [fact for fact in facts[0] if all(fact in some for some in facts)]
    rows = []
    for place, (run, some) in enumerate(zip(found.runs, facts, strict=True)):
        own = [fact for fact in some if fact not in shared]
        rows.append((f"{letter(place)}: {run.name}", ", ".join([when(run.records), *own])))
    return [*rows, *([("All runs", ", ".join(shared))] if shared else [])]


def _lead(found: SideBySide, failures: Sequence[str] | None) -> list[str]:
    nothing = nothing_compared(found)
    lines = [
        f"{other} compared with A: {nothing.get(place) or counted(some, ('A', other))}."
        for place, (other, some) in enumerate(
            zip(_others(found), found.entries, strict=True), start=1
        )
    ]
    return [*lines, "The gate passes."] if failures is not None and not failures else lines


def _cases(found: SideBySide) -> Chapter:
    rows = sorted(found.rows(), key=lambda row: _order(row[1]))
    cases = {entry.key: entry.case for some in found.entries for entry in some}
    case_cells = CaseCells((cases[key], key[1]) for key, _ in rows)
    others = _others(found)
    headers = [letter(place) for place in range(len(found.runs))]
    right = [True] * len(found.runs)
    for other in others:
        headers += [f"{other} / A", f"{other} is", "rests on", "detectable", "noise"]
        right += [True, False, False, True, True]
    cells = []
    for key, entries in rows:
        figures = [value_of(records) for records in found.members[key]]
        for other, entry in zip(others, entries, strict=True):
            figures += _compared(entry, other)
        cells.append(case_cells.row(cases[key], key[1], figures))
    part = Part.table(case_cells.headers(headers), case_cells.right(right), cells)
    return Chapter(
        "cases",
        "Case by case",
        "Ratios are of speed, above 1x where the later run is faster, with their 95 % interval "
        "over processes; accuracies are mean differences in points over the seeds that both "
        "runs have, with the means of these seeds. An interval that contains 1x (0 points) is a "
        "tie where it lies wholly within ± 10 % (± 1 point); detectable is the smallest "
        "difference that these processes would have found four times out of five; noise is the "
        "interquartile range of the blocks of a process over their median, of the noisier run.",
        (part,) if cells else (),
    )


def _others(found: SideBySide) -> list[str]:
    """The letters of the runs that are compared with A."""
    return [letter(place) for place in range(1, len(found.runs))]


def _order(entries: Sequence[Entry | None]) -> int:
    """Sorting key of a row: the best placed verdict of its runs."""
    return min(order_of(entry.comparison.verdict) for entry in entries if entry)


def _compared(entry: Entry | None, other: str) -> list[str]:
    if entry is None:
        return [""] * 5
    row = entry.comparison
    figures = [figure_of(row), verdict_of(entry, ("A", other)), by_seeds(entry)]
    return [*figures, share(row.detectable), noise(row.noise)]


def _differing(found: SideBySide) -> Chapter:
    headers = ["fact", *(f"{letter(place)}: {run.name}" for place, run in enumerate(found.runs))]
    rows = [
        [row.name, *(value or NOTHING for value in row.values), f"{row.cases:,}"]
        for row in found.differing
    ]
    nothing = "Data, certificates, settings, versions and machine are the same in all shared cases."
    right = [*(False for _ in headers), True]
    part = Part.table([*headers, "cases"], right, rows) if rows else Part(lines=(nothing,))
    return Chapter(
        "differing",
        "What differs",
        "Only what is known of two runs of the same case and not equal: data, certificate, "
        "versions, machine, and settings in force. A difference in data, certificate, machine or "
        "settings refuses a comparison; one in versions or commit does not.",
        (part,),
    )


def _reasons(found: SideBySide) -> Chapter:
    names = names_of(entry.case for some in found.entries for entry in some)
    rows = [
        [names[entry.case], kind_label(row.kind), other, row.verdict, row.reason]
        for other, some in zip(_others(found), found.entries, strict=True)
        for entry in sorted(some, key=lambda entry: order_of(entry.comparison.verdict))
        for row in [entry.comparison]
        if row.verdict in (INCONCLUSIVE, REFUSED) and row.reason
    ]
    headers = ("case", "measured", "run", "verdict", "reason")
    folded = many(len(rows), "row")
    return Chapter(
        "reasons",
        "Why there is no verdict",
        "Cases that were refused, or whose interval says nothing.",
        (Part.table(headers, [False] * 5, rows, folded=folded),) if rows else (),
    )


def _caveats(found: SideBySide) -> Chapter:
    names = names_of(entry.case for some in found.entries for entry in some)
    told: dict[tuple[str, str], list[str]] = {}
    for other, some in zip(_others(found), found.entries, strict=True):
        for entry in some:
            row = entry.comparison
            for why in row.reasons if row.verdict not in (INCONCLUSIVE, REFUSED) else ():
                name = f"{names[entry.case]} ({kind_label(row.kind)})"
                told.setdefault((other, why), []).append(name)
    rows = [[*key, f"{len(cases):,}", "; ".join(cases)] for key, cases in told.items()]
    headers = ("run", "caveat", "rows", "which")
    folded = many(len(rows), "caveat")
    return Chapter(
        "caveats",
        "What else to know",
        "What goes with a verdict: how a run was measured, and which seeds were left out.",
        (Part.table(headers, [False, False, True, False], rows, folded=folded),) if rows else (),
    )


def _figures(found: SideBySide) -> Chapter:
    with style():
        drawings = [drawing for name in KINDS if (drawing := forest(found, name))]
        figures = drawn(drawings)
    return Chapter(
        "ratios",
        "All ratios",
        "Right of the line the later run is faster (or more accurate). Lines are 95 % intervals; a "
        "mark without a verdict of a difference is hollow. Within the grey band is a tie.",
        (Part(figures=tuple(figures)),) if figures else (),
    )
