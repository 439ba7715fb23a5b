"""The page of ``alexbench compare --html``: several runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.analysis.across.entries import Entry
from bench.analysis.across.side_by_side import SideBySide, letter
from bench.analysis.comparison.compare import REFUSED, Comparison
from bench.core.kinds import KINDS
from bench.report.across.forest import forest
from bench.report.across.page import Chapter, Fact, Group, Part, Trouble, drawn, page
from bench.report.across.text import facts_in, nothing_compared, when
from bench.report.across.within import within
from bench.report.across.words import (
    NOT_INTERLEAVED,
    CaseCells,
    by_seeds,
    counted,
    figure_of,
    kind_label,
    names_of,
    noise,
    order_of,
    share,
    value_of,
    verdict_of,
)
from bench.report.captions import With, read_with
from bench.report.format import NOTHING, joined
from bench.report.plot_style import style
from bench.stats.verdicts import INCONCLUSIVE


def compare_page(found: SideBySide, failures: Sequence[str] | None = None) -> str:
    """The page as HTML.

    Args:
        found: The runs.
        failures: What a gate found (`bench.analysis.comparison.gate`); None without a gate.
    """
    cases, own, why = _cases(found), within(found), _reasons(found)
    some = any(row.has_figure for rows in found.comparisons for row in rows)
    # Where nothing was compared, what can be read comes first.
    order = (_figures(found), cases, own, why) if some else (own, why, cases)
    chapters = (*order, _differing(found), _caveats(found))
    names = [run.name for run in found.runs]
    return page(
        f"{joined(names[1:])} compared with {names[0]}",
        chapters,
        lead=_lead(found, failures),
        facts=_facts(found),
        trouble=Trouble("The gate fails", tuple(failures)) if failures else None,
    )


def _facts(found: SideBySide) -> list[Fact]:
    """Of each run the days and what it does not share with all others; last what all share."""
    facts = [facts_in(run.records) for run in found.runs]
    shared = [fact for fact in facts[0] if all(fact in some for some in facts)]
    rows = []
    for place, (run, some) in enumerate(zip(found.runs, facts, strict=True)):
        own = [fact for fact in some if fact not in shared]
        rows.append(Fact(f"{letter(place)}: {run.name}", ", ".join([when(run.records), *own])))
    return [*rows, *([Fact("All runs", ", ".join(shared))] if shared else [])]


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
    headers, right = ["A"], [True]
    for other in others:
        headers += [other, f"{other} / A", f"{other} is", "rests on", "detectable", "noise"]
        right += [True, True, False, False, True, True]
    cells = []
    for key, entries in rows:
        first, *values = [value_of(records) for records in found.members[key]]
        figures = [first]
        for other, value, entry in zip(others, values, entries, strict=True):
            figures += [value, *_compared(entry, other)]
        cells.append(case_cells.row(cases[key], key[1], figures))
    names, numbers = case_cells.headers(headers), case_cells.right(right)
    part = Part.table(names, numbers, cells, who=case_cells.who)
    compared = [row for rows in found.comparisons for row in rows if row.has_figure]
    how = _how_cases(compared, joined([f'"{other} is"' for other in others]))
    return Chapter("cases", "Case by case", how, (part,) if cells else ())


def _how_cases(compared: Sequence[Comparison], verdicts: str) -> str:
    """How to read the columns that the table has."""
    if not compared:
        return f"{_EACH_RUN} None was compared: the reason stands below {verdicts}."
    there = {
        _RATIOS: any(row.ratio is not None for row in compared),
        _POINTS: any(row.difference is not None for row in compared),
        _DETECTABLE: any(row.detectable is not None for row in compared),
        _NOISE: any(row.noise is not None for row in compared),
    }
    return read_with(_HOW, {name for name, found in there.items() if found})


_RATIOS, _POINTS, _DETECTABLE, _NOISE = "ratios", "points", "detectable", "noise"
_EACH_RUN = "A row has the result of each run."
_HOW = (
    _EACH_RUN,
    With(
        (_RATIOS,),
        "Ratios are of speed, above 1x where the later run is faster, with their 95 % interval "
        "over processes; one that contains 1x is a tie where it lies wholly within ± 10 %. "
        f"{NOT_INTERLEAVED}",
    ),
    With(
        (_POINTS,),
        "Accuracies are mean differences in points over the seeds that both runs have, with the "
        "means of these seeds; an interval that contains 0 points is a tie where it lies wholly "
        "within ± 1 point.",
    ),
    With(
        (_DETECTABLE,),
        "Detectable is the smallest difference that these processes would have found four times "
        "out of five.",
    ),
    With(
        (_NOISE,),
        "Noise is the interquartile range of the blocks of a process over their median, of the "
        "noisier run.",
    ),
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
    verdict = verdict_of(entry, ("A", other))
    if row.verdict == REFUSED and row.reasons:
        why = ", ".join(dict.fromkeys(reason.partition(":")[0] for reason in row.reasons))
        verdict = f"{verdict}: {why}"
    figures = [figure_of(row), verdict, by_seeds(entry)]
    return [*figures, share(row.detectable), noise(row.noise)]


def _differing(found: SideBySide) -> Chapter:
    runs = [f"{letter(place)}: {run.name}" for place, run in enumerate(found.runs)]
    rows = [
        [row.name, f"{row.cases:,}", *(value or NOTHING for value in row.values)]
        for row in found.differing
    ]
    nothing = "Data, certificates, settings, versions and machine are the same in all shared cases."
    if not any(sum(r is not None and r.ok for r in some) > 1 for some in found.records.values()):
        nothing = "No case has a result in two of the runs."
    right = [False, True, *(False for _ in runs)]
    headers = ["fact", "cases", *runs]
    part = Part.table(headers, right, rows) if rows else Part(lines=(nothing,))
    return Chapter(
        "differing",
        "What differs",
        "Only what is known of two runs of the same case and not equal: data, certificate, "
        "versions, machine, and settings in force. A difference in data, certificate, machine or "
        "settings refuses a comparison; one in versions or commit does not, nor do other images "
        "where accuracies are compared with --across-data.",
        (part,),
    )


_UNDECIDED = (INCONCLUSIVE, REFUSED)


def _reasons(found: SideBySide) -> Chapter:
    told = _grouped(
        found,
        lambda row: [(row.verdict, row.reason)] if row.verdict in _UNDECIDED and row.reason else [],
    )
    return Chapter(
        "reasons",
        "Why there is no verdict",
        "Cases that were refused, or whose interval says nothing.",
        (_groups(told),) if told else (),
    )


def _caveats(found: SideBySide) -> Chapter:
    told = _grouped(
        found, lambda row: [(why,) for why in row.reasons if row.verdict not in _UNDECIDED]
    )
    return Chapter(
        "caveats",
        "What else to know",
        "What goes with a verdict: how a run was measured, and which seeds were left out.",
        (_groups(told),) if told else (),
    )


def _grouped(
    found: SideBySide, told_of: Callable[[Comparison], Iterable[tuple[str, ...]]]
) -> dict[tuple[str, ...], list[str]]:
    """The rows that say the same, by run and words; the decided ones first."""
    names = names_of(entry.case for some in found.entries for entry in some)
    told: dict[tuple[str, ...], list[str]] = {}
    for other, some in zip(_others(found), found.entries, strict=True):
        for entry in sorted(some, key=lambda entry: order_of(entry.comparison.verdict)):
            name = f"{names[entry.case]} ({kind_label(entry.comparison.kind)})"
            for words in told_of(entry.comparison):
                told.setdefault((other, *words), []).append(name)
    return told


def _groups(told: Mapping[tuple[str, ...], Sequence[str]]) -> Part:
    return Part(groups=tuple(Group(": ".join(key), tuple(cases)) for key, cases in told.items()))


def _figures(found: SideBySide) -> Chapter:
    with style():
        wide, narrow = (
            [drawing for name in KINDS if (drawing := forest(found, name, narrow=phone))]
            for phone in (False, True)
        )
        figures = drawn(wide, narrow)
    return Chapter(
        "ratios",
        "All ratios",
        "The same figures as a plot of each measurement: every case that was compared is a line.",
        (Part(figures=tuple(figures)),) if figures else (),
    )
