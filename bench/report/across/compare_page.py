"""The page of ``alexbench compare --html``: several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.across.side_by_side import Key, SideBySide, letter
from bench.analysis.comparison.compare import Comparison
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.report.across.forest import forest
from bench.report.across.page import Chapter, Part, Trouble, drawn, page
from bench.report.across.text import head
from bench.report.across.words import (
    CaseCells,
    counted,
    figure_of,
    kind_label,
    noise,
    share,
    value_of,
    verdict_of,
)
from bench.report.format import NOTHING
from bench.report.plot_style import style


def compare_page(found: SideBySide, failures: Sequence[str] | None = None) -> str:
    """The page as HTML.

    Args:
        found: The runs.
        failures: What a gate found (`bench.analysis.comparison.gate`); None without a gate.
    """
    chapters = (_figures(found), _cases(found), _differing(found), _reasons(found))
    names = [run.name for run in found.runs]
    return page(
        f"{' and '.join(names[1:])} compared with {names[0]}",
        chapters,
        lead=_lead(found, failures),
        facts=[
            (f"{letter(place)}: {run.name}", head(run.records))
            for place, run in enumerate(found.runs)
        ],
        trouble=Trouble("The gate fails", tuple(failures)) if failures else None,
    )


def _lead(found: SideBySide, failures: Sequence[str] | None) -> list[str]:
    lines = [
        f"{other} compared with A: {counted(some, ('A', other))}."
        for other, some in zip(_others(found), found.comparisons, strict=True)
    ]
    return [*lines, "The gate passes."] if failures is not None and not failures else lines


def _cases(found: SideBySide) -> Chapter:
    rows = found.rows()
    cases = {key: _case(found, key) for key, _ in rows}
    case_cells = CaseCells(cases.values())
    others = _others(found)
    headers = [letter(place) for place in range(len(found.runs))]
    right = [True] * len(found.runs)
    for other in others:
        headers += [f"{other} / A", f"{other} is", "detectable", "noise"]
        right += [True, False, True, True]
    cells = []
    for key, comparisons in rows:
        figures = [value_of(record) for record in found.records[key]]
        for other, row in zip(others, comparisons, strict=True):
            figures += _compared(row, other)
        cells.append(case_cells.row(cases[key], key[1], figures))
    part = Part.table(case_cells.headers(headers), case_cells.right(right), cells)
    return Chapter(
        "cases",
        "Case by case",
        "Ratios are of speed, above 1x where the later run is faster, with their 95 % interval "
        "over processes; accuracies are differences in points, with the interval of the mean over "
        "seeds. An interval that contains 1x (0 points) is a tie where it lies "
        "wholly within ± 10 % (± 1 point); detectable is the smallest "
        "difference that these processes would have found four times out of five; noise is the "
        "interquartile range of the blocks of a process over their median, of the noisier run.",
        (part,) if cells else (),
    )


def _others(found: SideBySide) -> list[str]:
    """The letters of the runs that are compared with A."""
    return [letter(place) for place in range(1, len(found.runs))]


def _compared(row: Comparison | None, other: str) -> list[str]:
    if row is None:
        return [""] * 4
    sides = ("A", other)
    return [figure_of(row), verdict_of(row, sides), share(row.detectable), noise(row.noise)]


def _case(found: SideBySide, key: Key) -> Case:
    return next(record.case for record in found.records[key] if record is not None)


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
    rows = [
        [row.case, kind_label(row.kind), other, verdict_of(row, ("A", other)), row.reason or ""]
        for other, some in zip(_others(found), found.comparisons, strict=True)
        for row in some
        if row.reason or not row.has_figure
    ]
    headers = ("case", "of", "run", "verdict", "reason")
    return Chapter(
        "reasons",
        "Why there is no verdict",
        "Cases that were refused, that only one run has, or whose interval says nothing; and what "
        "else a reader must know of a row.",
        (Part.table(headers, [False] * 5, rows, folded=f"{len(rows):,} rows"),) if rows else (),
    )


def _figures(found: SideBySide) -> Chapter:
    with style():
        drawings = [drawing for name in KINDS if (drawing := forest(found, name))]
        figures = drawn(drawings)
    return Chapter(
        "ratios",
        "All ratios",
        "Right of the line the later run is faster (or more accurate). Lines are 95 % intervals; a "
        "mark without a verdict of a difference is hollow.",
        (Part(figures=tuple(figures)),) if figures else (),
    )
