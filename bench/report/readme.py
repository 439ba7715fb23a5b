"""The overview of a run: accuracy, speed and latency of each network in one table; and the rows of
any table, as README and docs show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.analysis.across.entries import entries_of
from bench.analysis.certified import is_certified_row
from bench.analysis.experiments import labels
from bench.analysis.results import Results
from bench.analysis.rows import Row, provenance_columns
from bench.core.case import Case
from bench.core.errors import unknown
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.report import footnotes
from bench.report.chapters.normalisation import normalisation_rows
from bench.report.chapters.speed.interleaved import interleaved_rows
from bench.report.columns import case_of
from bench.report.format import NOTHING, markdown, percent, ratio, significant
from bench.report.report import Report
from bench.report.tables import TABLES, frame
from bench.training.tracks import TRACKS

_HEADERS = (
    "network",
    "framework",
    "test accuracy",
    "training images/s",
    "vs reference",
    "inference images/s",
    "latency p50 (ms)",
)
_TABLES = ("throughput", "latency", "accuracy")
_MEDIANS = (
    "Images/s are of all processes of a row; ratios are of pairs of neighbouring blocks, in the "
    "processes that ran interleaved. Where the quotient of two rows differs from their ratio, use "
    "the ratio."
)
_RIGHT = (False, False, True, True, True, True, True)


def rows_of(name: str, records: Sequence[Record]) -> list[Row]:
    """The rows of a table of the report, over all datasets; None for what is not known.

    Raises:
        UserError: There is no such table; the message names those there are.
    """
    tables = {table.name: table for table in TABLES}
    if name not in tables:
        raise unknown("table", name, tables)
    rows = frame(tables[name], records).to_dict("records")
    return [{str(key): _known(value) for key, value in row.items()} for row in rows]


def comparison_rows(a: Sequence[Record], b: Sequence[Record]) -> list[Row]:
    """A row for each accuracy that two runs share, on whatever images: the second minus the first.

    ``difference`` with ``low`` and ``high`` is in fractions.
    """
    rows = []
    for entry in entries_of(a, b, across_data=True):
        found = entry.comparison
        if found.mean is None:
            continue
        low, high = (None if end is None else end / 100 for end in (found.low, found.high))
        both = provenance_columns([record for pair in entry.pairs for record in pair])
        row = {**asdict(entry.case), "seeds": found.runs, "verdict": found.verdict}
        row["caveats"] = both["caveats"]
        rows.append(row | {"difference": found.mean / 100, "low": low, "high": high})
    return rows


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def overview(records: Sequence[Record], tracks: Sequence[str] = ()) -> list[str]:
    """Paragraphs of Markdown: tables of accuracy, speed and latency, with their notes.

    Args:
        records: One per case and kind.
        tracks: The tracks to show, one table per dataset for all of them; all by default.
    """
    parts = []
    for results in Report(records).datasets:
        rows = [row for table in _TABLES for row in rows_of(table, results.records)]
        cells: list[list[str]] = []
        notes: list[str] = []
        for name in tracks or TRACKS:
            shown = [row for row in rows if row["track"] == name and row["seeds"]]
            certified = [row for row in shown if is_certified_row(row)]
            cells += [[name, *line] for line in _lines(certified)]
            notes += _notes(certified, shown)
        medians = _medians(results) if cells else []
        if cells:
            parts.append(markdown(("track", *_HEADERS), cells, (False, *_RIGHT)))
        # Both in one paragraph: each would be two more lines of a README.
        first, *rest = [*dict.fromkeys(notes)] or [""]
        parts += [part for part in (" ".join([*medians, first]).strip(), *rest) if part]
    return parts


def _medians(results: Results) -> list[str]:
    """Which figures hold where those of one run seem to differ, where cases ran interleaved."""
    networks = results.once(normalisation_rows)
    paired = results.once(interleaved_rows) or any(row["speed_pairs"] for row in networks)
    return [_MEDIANS] if paired else []


def _notes(certified: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """What is not compared or left out, and why: a sentence each."""
    left_out = (f"Left out as uncertified: {why}" for why in footnotes.why_uncertified(rows))
    caveats = footnotes.mixed_caveats(certified)
    return [f"{line}." for line in (*footnotes.not_compared(certified), *left_out, *caveats)]


def _lines(rows: Sequence[Row]) -> list[list[str]]:
    """A line per network and framework; rows of different recipes meet, as speed has none.

    Where two recipes trained one network, each has an accuracy of its own, and a line.
    """
    merged: dict[Case, dict[str, Row]] = {}
    for row in rows:
        kind = row.get("kind") or ("accuracy" if "accuracy" in row else "latency")
        own = case_of(row)
        taken = kind in merged.get(replace(own, recipe=""), {})
        merged.setdefault(own if taken else replace(own, recipe=""), {})[kind] = row
    # Latency is measured at batch 1: it goes into its network's lines of every batch size.
    _spread_latency(merged)
    merged = _named(merged)
    names = labels(replace(case, framework="") for case in merged)
    return [
        [
            names[replace(case, framework="")],
            footnotes.signed(case.framework_label, on=any(map(_has_caveat, found.values()))),
            *_cells(found),
        ]
        for case, found in merged.items()
    ]


def _has_caveat(row: Row) -> bool:
    return footnotes.has_caveat(row, seconds=footnotes.is_timed(row))


def _named(merged: dict[Case, dict[str, Row]]) -> dict[Case, dict[str, Row]]:
    """With the recipe of the row that speeds stand in, where another one has its own."""
    several = {replace(case, recipe="") for case in merged if case.recipe}
    return {
        replace(case, recipe=found["accuracy"]["recipe"])
        if case in several and "accuracy" in found
        else case: found
        for case, found in merged.items()
    }


def _spread_latency(merged: dict[Case, dict[str, Row]]) -> None:
    alone = [
        case
        for case, found in merged.items()
        if all(KINDS[name].summary == "percentiles" for name in found)
    ]
    for case in alone:
        homes = [
            other
            for other in merged
            if other != case and replace(other, batch_size=case.batch_size) == case
        ]
        if homes:
            row = merged.pop(case)["latency"]
            for home in homes:
                merged[home].setdefault("latency", row)


def _cells(found: dict[str, Row]) -> list[str]:
    accuracy, train = found.get("accuracy"), found.get("train_throughput")
    inference, latency = found.get("inference"), found.get("latency")
    return [
        percent(accuracy["accuracy"]) + _seeds(accuracy) if accuracy else NOTHING,
        significant(train["images_per_second"]) if train else NOTHING,
        _ratio(train) if train else NOTHING,
        significant(inference["images_per_second"]) if inference else NOTHING,
        significant(1000 * latency["p50"]) if latency else NOTHING,
    ]


def _ratio(row: Row) -> str:
    if row["not_compared"]:
        return str(row["verdict"])
    return ratio(row["ratio"], row["ratio_low"], row["ratio_high"])


def _seeds(row: Row) -> str:
    """How many seeds a mean is over, where it is over more than one; and those that diverged."""
    over = f" ({row['seeds']} seeds)" if row["seeds"] > 1 else ""
    return over + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
