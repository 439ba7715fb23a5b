"""Markdown summaries for a CI job: of a comparison of runs, and of one run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.across.entries import Entry
from bench.analysis.across.side_by_side import SideBySide, letter, side_by_side
from bench.analysis.comparison.gate import Gate, Rule
from bench.analysis.rows import Row
from bench.analysis.runs import Run
from bench.analysis.speeds import speeds
from bench.core.case import Case
from bench.core.errors import UserError, cannot_write
from bench.core.files import expanded, write_whole
from bench.core.kinds import TIMED
from bench.core.records import Record
from bench.core.text import many
from bench.report.across import text
from bench.report.across.words import (
    CaseCells,
    by_seeds,
    counted,
    figure_of,
    noise,
    order_of,
    share,
    value_of,
    verdict_of,
)
from bench.report.chapters.speed import interleaved
from bench.report.columns import case_of
from bench.report.format import NOTHING, joined, markdown, ratio
from bench.report.report import Report
from bench.stats.estimates import noise_of

VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file of a GitHub job's summary, to which steps add."""

_NAMED = 4
"""Runs that a heading names at most."""
_ROWS = 200
"""Of one table at most: GitHub shows summaries of up to 1 MiB."""
_HOW = (
    "Ratios are of speed with 95 % intervals; a verdict needs two processes on each side, and a "
    "tie an interval within ± 10 %. Noise is the interquartile range of the blocks of a process "
    "over their median; detectable is the smallest difference that this many processes would have "
    "found four times out of five."
)


def comparison_summary(found: SideBySide, rules: Sequence[Rule] = ()) -> str:
    """Every run compared with the first, worst rows first, with what a gate found."""
    first, *others = found.runs
    names = ", ".join(run.name for run in others)
    parts = [f"### {_plain(names)} compared with {_plain(first.name)}"]
    if rules:
        failures = text.failures(found, rules)
        verdict = "❌ gate failed" if failures else "✅ gate passed"
        parts.append(f"**{verdict}** ({', '.join(rule.text for rule in rules)})")
        parts += ["\n".join(f"- {_plain(line)}" for line in failures)] if failures else []
    for place, some in enumerate(found.entries, start=1):
        parts += _compared(found, place, some)
    if found.differing:
        headers = ["differs", *(run.name for run in found.runs)]
        rows = [[row.name, *(value or NOTHING for value in row.values)] for row in found.differing]
        parts.append(markdown(headers, rows, [False] * len(headers)))
    return "\n\n".join([*parts, _HOW]) + "\n"


def _compared(found: SideBySide, place: int, entries: Sequence[Entry]) -> list[str]:
    """The table of one run, and how many cases have no figure."""
    sides = ("A", letter(place))
    parts = [f"{_plain(found.runs[place].name)}: {counted(entries, sides)}."]
    rows = sorted(
        (entry for entry in entries if entry.comparison.has_figure),
        key=lambda entry: order_of(entry.comparison.verdict),
    )
    if not rows:
        return parts
    before, now = found.runs[0].name, found.runs[place].name
    case_cells, cells = CaseCells((e.case, e.comparison.kind) for e in rows), []
    seeds = any(entry.pairs for entry in rows)
    for entry in rows:
        row, members = entry.comparison, found.members[entry.key]
        figures = [value_of(members[0]), value_of(members[place])]
        figures += [figure_of(row), verdict_of(entry, sides)]
        figures += [noise(row.noise) or NOTHING, share(row.detectable) or NOTHING]
        figures += [by_seeds(entry) or NOTHING] if seeds else []
        cells.append(case_cells.row(entry.case, row.kind, figures))
    headers = [before, now, "ratio", "verdict", "noise", "detectable"]
    headers += ["rests on"] if seeds else []
    right = case_cells.right([True, True, True, False, True, True, *([False] if seeds else [])])
    return [*parts, _table(case_cells.headers(headers), cells, right)]


def run_summary(records: Sequence[Record], name: str) -> str:
    """The frameworks of one run compared with the reference that they ran interleaved with.

    Args:
        records: Those of a run, or of several.
        name: The heading where the records name no run.
    """
    parts = [f"### {_plain(_heading(records, name))}"]
    for results in Report.of(records).datasets:
        noises = {
            (e.case, e.kind): noise_of(speeds(e)) for e in results.experiments(*TIMED) if e.ok
        }
        rows = results.once(interleaved.interleaved_rows)
        if rows:
            parts += [f"Data: {_plain(results.data.label)}", _run_table(rows, noises)]
    failed = sum(not record.ok for record in records)
    if len(parts) == 1:
        parts.append("No two frameworks ran interleaved: there is no ratio.")
    parts.append(f"{many(len(records), 'record')}, {failed:,} without a result.")
    return "\n\n".join([*parts, _HOW]) + "\n"


def _heading(records: Sequence[Record], name: str) -> str:
    runs = list(dict.fromkeys(record.run for record in records if record.run))
    return (joined(runs) if len(runs) <= _NAMED else f"{len(runs)} runs") if runs else name


def session_summary(folder: Path, records: Sequence[Record], gate: Gate | None) -> str:
    """The summary of a pytest session: compared with the earlier run of its gate, or on its own."""
    if gate is None:
        return run_summary(records, folder.name)
    earlier = next((record.run for record in gate.earlier), "")
    runs = [
        Run(earlier or "the earlier run", tuple(gate.earlier), folder),
        Run(folder.name, tuple(records), folder),
    ]
    return comparison_summary(side_by_side(runs), gate.rules)


def _run_table(rows: Sequence[Row], noises: dict[tuple[Case, str], float | None]) -> str:
    cases = [case_of(row) for row in rows]
    kinds = [str(row["kind"]) for row in rows]
    case_cells, cells = CaseCells(zip(cases, kinds, strict=True)), []
    for case, row in zip(cases, rows, strict=True):
        found = ratio(row["ratio"], row["ratio_low"], row["ratio_high"])
        noisy = noise(noises.get((case, row["kind"]))) or NOTHING
        detectable = share(row["detectable"]) or NOTHING
        figures = [interleaved.reference_of(row), found, row["verdict"] or NOTHING]
        figures += [noisy, detectable]
        cells.append(case_cells.row(case, row["kind"], figures))
    headers = case_cells.headers(["compared with", "ratio", "verdict", "noise", "detectable"])
    return _table(headers, cells, case_cells.right([False, True, False, True, True]))


def _plain(line: str) -> str:
    """A line in which nothing begins HTML."""
    return line.replace("&", "&amp;").replace("<", "&lt;")


def _table(headers: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    table = markdown(headers, cells[:_ROWS], right)
    more = len(cells) - _ROWS
    return f"{table}\n\n… and {more:,} more rows." if more > 0 else table


def write_summary(where: str, content: str) -> None:
    """Write a summary to a file; the one that ``$GITHUB_STEP_SUMMARY`` names is added to.

    Raises:
        UserError: There is no name, or the file cannot be written.
    """
    if not where:
        raise UserError(f"--summary: the name of the file is empty; is ${VARIABLE} set?")
    path = expanded(where)
    try:
        if os.environ.get(VARIABLE) == where:
            with path.open("a", encoding="utf-8") as file:
                file.write(content)
        else:
            write_whole(path, content)
    except OSError as error:
        raise cannot_write(Path(where), error, "give another file with --summary") from error
