"""Tables of a report: CSV (full precision), Markdown, and the sections that the page shows.

Rows of different tracks, certified and uncertified ones, and rows of different data stand in
sections of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import pandas as pd

from bench.analysis.certified import is_certified, is_certified_row
from bench.analysis.experiments import Data
from bench.analysis.results import Results
from bench.analysis.rows import IDENTITY, Row
from bench.core.files import sweep_once, write_whole
from bench.core.records import Record
from bench.report import footnotes
from bench.report.captions import SIGNS, read_with
from bench.report.chapters import TABLES
from bench.report.columns import Column, naming
from bench.report.failing import Failures
from bench.report.format import NOTHING, markdown
from bench.report.report import Records, Report
from bench.report.table import Table
from bench.training.tracks import TRACKS, track

__all__ = [
    "TABLES",
    "Section",
    "Table",
    "as_markdown",
    "frame",
    "sections",
    "write_tables",
]

UNCERTIFIED_TITLE = "Closed track, uncertified (not shown to be the same network and arithmetic)"

_FORMER = ("parting", "paired", "tutorial", "waterfall")
"""Names that tables had before: a report into an old folder removes their files, too."""


@dataclass(frozen=True)
class Section:
    """Rows that may stand together, as text.

    Attributes:
        right: Which columns hold numbers.
        who: How many columns, the first ones, say what a row is about.
        notes: The lines below.
        certified: False for the rows that stand apart for want of a passed certificate.
        rows: What the cells were made from.
    """

    table: Table
    data: Data
    track: str
    headers: tuple[str, ...]
    right: tuple[bool, ...]
    cells: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    certified: bool = True
    rows: tuple[Row, ...] = ()
    who: int = 0

    @property
    def names(self) -> list[str]:
        """By row what its first columns say, without what is the same in all rows."""
        told = [cells[: self.who] for cells in self.cells]
        apart = [place for place in range(self.who) if len({cells[place] for cells in told}) > 1]
        kept = apart or range(self.who)
        named = ([(self.headers[place], cells[place]) for place in kept] for cells in told)
        return [
            " · ".join(f"{header} {cell}" if cell.isdigit() else cell for header, cell in pairs)
            for pairs in ([(h, cell) for h, cell in pairs if cell != NOTHING] for pairs in named)
        ]

    @property
    def lead(self) -> str:
        """The sentence about its rows."""
        return self.table.lead(self.rows)

    @property
    def title(self) -> str:
        """The track in words; an unknown one by its name."""
        if not self.certified:
            return UNCERTIFIED_TITLE
        return self.table.part or track(self.track).title


def frame(table: Table, records: Records) -> pd.DataFrame:
    """All rows of a table in full precision; empty, but with its first columns, without rows."""
    datasets = Report.of(records).datasets
    found = [row for results in datasets for row in results.once(table.rows)]
    return pd.DataFrame(found) if found else pd.DataFrame(columns=list(IDENTITY))


def sections(table: Table, records: Records) -> list[Section]:
    """The table's rows as text, apart by dataset, by track, and by whether they are certified."""
    datasets = Report.of(records).datasets
    make = _SECTIONS.get(table.name) or partial(_sections, table)
    return [section for results in datasets for section in results.once(make)]


def caption(table: Table, found: Sequence[Section]) -> str:
    """How to read a table with the columns of these sections, and the signs in their cells."""
    headers = [header for section in found for header in section.headers]
    signs = (sign for sign in SIGNS if any(_has_sign(section, sign) for section in found))
    return read_with(table.how, frozenset([*headers, *signs]))


def _has_sign(section: Section, sign: str) -> bool:
    return any(cell.startswith(sign) for cells in section.cells for cell in cells)


def _sections(table: Table, results: Results) -> list[Section]:
    parts: dict[tuple[str, bool], list[Row]] = {}
    for row in table.shown(results.once(table.rows)):
        parts.setdefault((row["track"], is_certified_row(row)), []).append(row)
    removed: dict[tuple[str, bool], list[Record]] = {}
    for record in results.removed:
        if record.kind in table.times:
            removed.setdefault((record.case.track, is_certified(record)), []).append(record)
    found = [
        _section(table, results.data, kind, part, removed.pop(kind, ()))
        for kind, part in sorted(parts.items(), key=_section_order)
    ]
    if found and table.all_tracks:
        lost = [
            line
            for (on, _), records in removed.items()
            for line in footnotes.removed(records, where=f" in the {on} track")
        ]
        found[-1] = replace(found[-1], notes=(*found[-1].notes, *lost))
    return found


_SECTIONS = {table.name: partial(_sections, table) for table in TABLES}
"""What `Results.once` remembers the sections of each table by."""


def _section_order(part: tuple[tuple[str, bool], list[Row]]) -> tuple[object, ...]:
    track, certified = part[0]
    places = list(TRACKS)
    return places.index(track) if track in places else len(places), track, not certified


def _section(
    table: Table,
    data: Data,
    kind: tuple[str, bool],
    part: Sequence[Row],
    removed: Sequence[Record],
) -> Section:
    on, certified = kind
    run = naming("run", "run", usual=str(part[0].get("run") or NOTHING))
    columns = [run, *table.columns(part)]
    shown = [column for column in columns if column.worth_showing(part)]
    dagger = any("†" in column.header for column in shown)
    below = [
        *(footnotes.published(part) if dagger else ()),
        *footnotes.shortened(part),
        *footnotes.forms_of_decay(part),
        *footnotes.provenance(part),
        *table.notes(part),
        *footnotes.not_compared(part),
        *footnotes.caveats(part, seconds=bool(table.times)),
        *footnotes.removed(_without_a_row(removed, part)),
        *(() if certified else (footnotes.UNCERTIFIED,)),
        *footnotes.why_uncertified(part),
    ]
    return Section(
        table=table,
        data=data,
        track=on,
        headers=tuple(column.header for column in shown),
        right=tuple(column.right for column in shown),
        cells=tuple(_cells(row, shown, table) for row in part),
        notes=tuple(below),
        certified=certified,
        rows=tuple(part),
        who=len(list(takewhile(lambda column: column.who, shown))),
    )


def _cells(row: Row, shown: Sequence[Column], table: Table) -> tuple[str, ...]:
    """The cells of a row, with a sign at its framework where it has a caveat."""
    caveat = footnotes.has_caveat(row, seconds=bool(table.times))
    return tuple(
        footnotes.signed(column.show(row), on=caveat and column.header == "framework")
        for column in shown
    )


def _without_a_row(removed: Sequence[Record], part: Sequence[Row]) -> list[Record]:
    """The removed records that no row with a caveat on its seconds stands for."""
    names = ("variant", "framework", "recipe")
    there = {tuple(row[name] for name in names) for row in part if row.get("seconds_caveats")}
    return [r for r in removed if tuple(getattr(r.case, name) for name in names) not in there]


def as_markdown(table: Table, records: Records) -> str:
    """The Markdown file of a table."""
    found = sections(table, records)
    parts = [f"# {table.title}", caption(table, found)]
    data = None
    for section in found:
        if section.data != data:
            data = section.data
            parts.append(f"## {data.label}")
        parts.append(f"### {section.title}")
        parts.append(markdown(section.headers, section.cells, section.right))
        parts.extend(section.notes)
    if data is None:
        removed = [r for each in Report.of(records).datasets for r in each.removed]
        lost = footnotes.removed(r for r in removed if r.kind in table.times)
        parts += lost or ["No rows: nothing of this kind was measured."]
    return "\n\n".join(parts) + "\n"


def write_tables(records: Records, folder: Path, failures: Failures | None = None) -> list[Path]:
    """Write ``tables/<name>.csv`` and ``.md`` below `folder`; the paths, in order.

    A table without rows is not written, except accuracy and throughput; one that an earlier report
    left there is removed. Raises OSError where it cannot write.

    Args:
        records: All records of the report.
        folder: Of the report.
        failures: Gets the tables that cannot be made; without it their errors are raised.
    """
    report = Report.of(records)
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    sweep_once(str(target))
    for name in _FORMER:
        _remove(target, name)
    written = []
    for table in TABLES:
        make = partial(_files, table, report)
        content = failures.attempt(f"The table {table.name}", make, {}) if failures else make()
        if not content:
            _remove(target, table.name)
        for suffix, lines in content.items():
            path = target / f"{table.name}.{suffix}"
            write_whole(path, lines)
            written.append(path)
    return written


def _files(table: Table, report: Report) -> dict[str, str]:
    """The text of a table's files by suffix; empty where it is not written."""
    content = frame(table, report)
    if content.empty and not table.always:
        return {}
    csv = content.to_csv(index=False, lineterminator="\n")
    return {"csv": csv, "md": as_markdown(table, report)}


def _remove(folder: Path, name: str) -> None:
    for suffix in ("csv", "md"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)
