"""The results table of the README, between two markers: renewed by machine, never stale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.analysis.certified import is_certified_row
from bench.analysis.experiments import labels, latest
from bench.analysis.rows import Row, accuracy_rows, latency_rows, throughput_rows
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.records import Record
from bench.report import footnotes
from bench.report.columns import case_of
from bench.report.format import NOTHING, markdown, percent, ratio, significant
from bench.report.report import Report
from bench.report.summary import which_data, which_machine
from bench.report.tables import TRACK_TITLES

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"

_HEADERS = (
    "network",
    "framework",
    "test accuracy",
    "training images/s",
    "x reference",
    "inference images/s",
    "latency p50 ms",
)
_RIGHT = (False, False, True, True, True, True, True)


def readme_block(records: Sequence[Record]) -> str:
    """Markdown for the README, markers included: a table per dataset and track."""
    records, _ = latest(records)
    parts = [BEGIN]
    report = Report(records)
    for results, line in zip(report.datasets, which_data(report), strict=True):
        name = results.data.name
        parts.append(line.replace(name, f"**{name}**", 1))
        accuracies = results.once(accuracy_rows)
        timed = results.once(throughput_rows) + results.once(latency_rows)
        for track, title in TRACK_TITLES.items():
            rows = [row for row in (*timed, *accuracies) if row["track"] == track and row["seeds"]]
            if rows:
                parts += [f"*{title}*", *_track(rows)]
    machines = dict.fromkeys(which_machine(r.environment) for r in records if r.ok)
    parts += [f"Measured on {machine}." for machine in machines] or ["No results yet."]
    return "\n\n".join([*parts, END])


def _track(rows: Sequence[Row]) -> list[str]:
    """The table of the certified rows, and below it what is not compared or left out, and why."""
    certified = [row for row in rows if is_certified_row(row)]
    below = [
        *footnotes.not_compared(certified),
        *(f"Left out as uncertified: {why}" for why in footnotes.why_uncertified(rows)),
    ]
    return [*([_table(certified)] if certified else []), *(f"{line}." for line in below)]


def _table(rows: Sequence[Row]) -> str:
    """A row per network and framework; rows of different recipes meet, as speed has none.

    Where two recipes trained one network, each has an accuracy of its own, and a row.
    """
    merged: dict[Case, dict[str, Row]] = {}
    for row in rows:
        kind = row.get("kind") or ("accuracy" if "accuracy" in row else "latency")
        own = case_of(row)
        taken = kind in merged.get(replace(own, recipe=""), {})
        merged.setdefault(own if taken else replace(own, recipe=""), {})[kind] = row
    merged = _named(merged)
    # Latency is taken at batch 1: it stands beside its network's rows of every batch size.
    _spread_latency(merged)
    names = labels(replace(case, framework="") for case in merged)
    cells = [
        (names[replace(case, framework="")], case.framework, *_cells(found))
        for case, found in merged.items()
    ]
    return markdown(_HEADERS, cells, _RIGHT)


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
    alone = [case for case, found in merged.items() if set(found) == {"latency"}]
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


def update_readme(path: Path, records: Sequence[Record]) -> None:
    """Replace what stands between the markers of the file at `path`; the rest stays as it is.

    Raises UserError when the file cannot be read or written, or has not each marker once, in order.
    """
    try:
        text = path.read_text(encoding="utf-8")
        before, rest = _cut(text, BEGIN)
        _, after = _cut(rest, END)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except ValueError as error:
        raise UserError(
            f"{path}: needs a line {BEGIN} and below it a line {END}, once each"
        ) from error
    try:
        path.write_text(before + readme_block(records) + after, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _cut(text: str, marker: str) -> tuple[str, str]:
    """Text before and after the one place of `marker`; ValueError when there is not one place."""
    before, after = text.split(marker)
    return before, after
