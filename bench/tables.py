"""Tables: what is written as CSV (full precision) and Markdown, and shown in the report.

Closed and idiomatic rows, and rows of different data, stand in sections of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench import columns, columns_waterfall, rows, waterfall
from bench.case import TRACKS
from bench.columns import Column
from bench.grouping import Data, by_dataset
from bench.markup import markdown, share, significant
from bench.records import Record
from bench.rows import IDENTITY, Row

TRACK_TITLES = {
    "closed": "Closed track (same weights, batches and arithmetic: only the framework differs)",
    "idiomatic": "Idiomatic track (each framework as its users write it)",
    "waterfall": "Waterfall (from each framework's own defaults to the shared ones, one by one)",
}


@dataclass(frozen=True)
class Table:
    """One kind of table; ``name`` is the name of its files."""

    name: str
    title: str
    how: str
    """How to read it, one line."""
    rows: Callable[[Sequence[Record], Data], list[Row]]
    columns: Callable[[Sequence[Row]], list[Column]]
    always: bool = False
    """Whether the files are written without rows, too."""


@dataclass(frozen=True)
class Section:
    """Rows that may stand together, as text."""

    table: Table
    data: Data
    track: str
    headers: tuple[str, ...]
    right: tuple[bool, ...]
    """Which columns hold numbers."""
    cells: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The track in words; an unknown one by its name."""
        return TRACK_TITLES.get(self.track, self.track)


TABLES = (
    Table(
        "accuracy",
        "Test accuracy",
        "Mean over seeds with a 95 % t interval (from two seeds on). Seconds are of training "
        "alone, without evaluation. A seed that diverged counts in the mean; one that failed is "
        "named beside the seeds.",
        rows.accuracy_rows,
        columns.accuracy,
        always=True,
    ),
    Table(
        "time_to_accuracy",
        "Time to accuracy",
        "Seconds and images of training until an evaluation first reached the accuracy: median "
        "over seeds, where a seed that never got there counts as never. Accuracies that no row "
        "reached are left out.",
        rows.time_to_accuracy_rows,
        columns.time_to_accuracy,
    ),
    Table(
        "throughput",
        "Throughput",
        "Images/s in steady state: median over blocks with a 95 % bootstrap interval, which covers "
        "the spread between processes where there is more than one seed. Ratios are of throughput: "
        "above 1x is faster than the reference; a tie was not told apart.",
        rows.throughput_rows,
        columns.throughput,
        always=True,
    ),
    Table(
        "latency",
        "Latency of one picture",
        "Milliseconds from one picture to its logits: half of the calls took p50 or less, one in "
        "a hundred longer than p99. The ratio is of speed at p50: above 1x is faster.",
        rows.latency_rows,
        columns.latency,
    ),
    Table(
        "startup",
        "Start-up",
        "Seconds from an empty process to the end of the first training step, and where they went.",
        rows.startup_rows,
        columns.startup,
    ),
    Table(
        "per_class",
        "Accuracy by class",
        "Share of each class's test pictures that were named rightly, mean over seeds.",
        rows.per_class_rows,
        columns.per_class,
    ),
    Table(
        "overhead",
        "Cost of the harness",
        "The suite's own loop beside a bare hand-written one, measured in turns: 100 % is no cost.",
        rows.overhead_rows,
        columns.overhead,
    ),
    Table(
        "waterfall",
        "What each default costs",
        "Top to bottom: everything as the framework has it, then one default after the other "
        "switched to the shared value and kept there. Changes are to the stage above that was "
        "run, paired by seed, with 95 % t intervals: one that holds 0 points (or 1x) was not "
        "told apart. Images/s are of the same runs, behind the first evaluation. The last lines "
        "of a network are the gap between the frameworks at both ends.",
        waterfall.waterfall_rows,
        columns_waterfall.columns,
    ),
    Table(
        "failures",
        "Failed and skipped",
        "What has no result, and why; the CSV file has the whole text.",
        rows.failure_rows,
        columns.failures,
    ),
)


def frame(table: Table, records: Sequence[Record]) -> pd.DataFrame:
    """All rows of a table in full precision; empty, but with its first columns, without rows."""
    found = [row for data, some in by_dataset(records) for row in table.rows(some, data)]
    return pd.DataFrame(found) if found else pd.DataFrame(columns=list(IDENTITY))


def sections(table: Table, records: Sequence[Record]) -> list[Section]:
    """The table's rows as text, apart by dataset and by track."""
    found = []
    for data, some in by_dataset(records):
        all_rows = table.rows(some, data)
        tracks = {row["track"]: None for row in all_rows}
        for track in sorted(tracks, key=lambda t: (t not in TRACKS, t)):
            part = [row for row in all_rows if row["track"] == track]
            found.append(_section(table, data, track, part))
    return found


def _section(table: Table, data: Data, track: str, part: Sequence[Row]) -> Section:
    shown = [column for column in table.columns(part) if column.worth_showing(part)]
    return Section(
        table=table,
        data=data,
        track=track,
        headers=tuple(column.header for column in shown),
        right=tuple(column.right for column in shown),
        cells=tuple(tuple(column.show(row) for column in shown) for row in part),
        notes=_notes(part, published=any("†" in column.header for column in shown)),
    )


def _notes(part: Sequence[Row], *, published: bool) -> tuple[str, ...]:
    """What stands below a section: where the published figures come from, and missing proofs."""
    notes = []
    for row in part:
        if published and row["published"]:
            accuracy = "accuracy" in row
            value = row["published"]
            shown = share(value) if accuracy else f"{significant(value)} images/s"
            notes.append(f"† published, other data/hardware: {shown}, {row['published_source']}")
    if any(columns.uncertified(row) for row in part):
        notes.append(
            "uncertified: no passed parity certificate says that this row is the same network "
            "and arithmetic as its neighbours; do not read it as a comparison of frameworks."
        )
    return tuple(dict.fromkeys(notes))


def as_markdown(table: Table, records: Sequence[Record]) -> str:
    """The Markdown file of a table."""
    parts = [f"# {table.title}", table.how]
    data = None
    for section in sections(table, records):
        if section.data != data:
            data = section.data
            parts.append(f"## {data.label}")
        parts.append(f"### {section.title}")
        parts.append(markdown(section.headers, section.cells, section.right))
        parts.extend(section.notes)
    if data is None:
        parts.append("No rows: nothing of this kind was measured.")
    return "\n\n".join(parts) + "\n"


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write ``tables/<name>.csv`` and ``.md`` below `folder`; the paths, in order.

    A table without rows is not written, except accuracy and throughput; one that an earlier report
    left there is removed. Raises OSError where it cannot write.
    """
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for table in TABLES:
        csv, text = target / f"{table.name}.csv", target / f"{table.name}.md"
        content = frame(table, records)
        if content.empty and not table.always:
            csv.unlink(missing_ok=True)
            text.unlink(missing_ok=True)
            continue
        content.to_csv(csv, index=False, lineterminator="\n")
        text.write_text(as_markdown(table, records), encoding="utf-8")
        written += [csv, text]
    return written
