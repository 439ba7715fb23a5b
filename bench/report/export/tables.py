"""The tidy table of `bench.load` and the tables of a report as CSV, JSON, Markdown, Parquet, LaTeX.

CSV, JSON and Parquet have every column in full precision; Markdown and LaTeX are for readers: the
cells of the report, or of the tidy table the columns that tell its rows apart.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import pandas as pd

from bench.analysis.experiments import latest
from bench.analysis.frame import frame_of
from bench.core.case import Case
from bench.core.errors import UserError, unknown
from bench.core.records import Record
from bench.report.chapters import TABLES
from bench.report.format import NOTHING, markdown, significant
from bench.report.report import Report
from bench.report.table import Table
from bench.report.tables import as_markdown, frame, sections

RECORDS = "records"
"""Name of the tidy table: one row per record."""

_IDENTITY = ("run", *(field.name for field in dataclasses.fields(Case)))
"""Columns of the tidy table of which Markdown and LaTeX have those that differ between rows."""
_SHOWN = ("kind", "value", "unit", "low", "high", "status")
"""Those that they always have."""


def export(
    records: Sequence[Record], to: str, table: str = RECORDS, columns: Sequence[str] = ()
) -> bytes:
    """A table in one of the formats of `FORMATS`.

    Args:
        records: Of one or more runs. The tidy table has all of them; of several of one case a
            report's table has the one that the report has.
        to: Name of the format.
        table: `RECORDS`, or the name of a table of the report.
        columns: Those to take, in this order; by default all, or those for readers (see above).

    Raises:
        UserError: There is no such table or column, or a package is missing.
    """
    if table == RECORDS:
        tidy = frame_of(records)
        return FORMATS[to](_chosen(tidy, columns or _default(tidy, to)))
    found = next((row for row in TABLES if row.name == table), None)
    if found is None:
        raise unknown("table", table, names())
    records, _ = latest(records)  # as in the report: one of two runs of a case
    if to in _FOR_READERS and not columns:
        return _FOR_READERS[to](found, Report(records)).encode()
    return FORMATS[to](_chosen(frame(found, records), columns))


def names() -> list[str]:
    """Names of all tables."""
    return [RECORDS, *(table.name for table in TABLES)]


def _chosen(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    for name in columns:
        if name not in table:
            raise UserError(f"no column {name!r}; there are {', '.join(map(str, table.columns))}")
    return table[list(columns)] if columns else table


def _default(tidy: pd.DataFrame, to: str) -> list[str]:
    if to not in _FOR_READERS:
        return []
    return [*(name for name in _IDENTITY if tidy[name].nunique(dropna=False) > 1), *_SHOWN]


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _json(table: pd.DataFrame) -> bytes:
    rows = [{str(k): _plain(v) for k, v in row.items()} for row in table.to_dict("records")]
    return (json.dumps(rows, indent=2, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """A value as JSON has it: null for what is missing or no number."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in table.itertuples(index=False)]


def _cell(value: Any) -> str:
    plain = _plain(value)
    if plain is None or plain == "":
        return NOTHING
    return significant(plain, 4) if isinstance(plain, float) else str(plain)


def _numeric(table: pd.DataFrame) -> list[bool]:
    return [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]


def _markdown(table: pd.DataFrame) -> bytes:
    text = markdown(list(map(str, table.columns)), _cells(table), _numeric(table))
    return f"{text}\n".encode()


def _latex(table: pd.DataFrame) -> bytes:
    return latex(list(map(str, table.columns)), _cells(table), _numeric(table)).encode()


def latex(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A tabular with the rules of the package booktabs."""
    shown = pd.DataFrame(list(rows), columns=list(headers)).style.hide(axis="index")
    shown = shown.format(escape="latex").format_index(escape="latex", axis="columns")
    aligned = "".join("r" if numeric else "l" for numeric in right)
    text: str = shown.to_latex(hrules=True, column_format=aligned)
    return text


def _latex_of(table: Table, report: Report) -> str:
    """A tabular per section, its title and notes as comments."""
    parts = []
    for section in sections(table, report):
        notes = [f"{table.title}: {section.title} ({section.data.label})", *section.notes]
        comments = "\n".join(f"% {' '.join(note.split())}" for note in notes)
        parts.append(f"{comments}\n{latex(section.headers, section.cells, section.right)}")
    return "\n".join(parts) or f"% {table.title}: no rows\n"


def _parquet(table: pd.DataFrame) -> bytes:
    if find_spec("pyarrow") is None:
        raise UserError("parquet needs pyarrow: pip install 'alexbench[parquet]'")
    buffer = io.BytesIO()
    as_text = {name: _text for name in table if table[name].map(type).nunique() > 2}
    table.assign(**{str(k): table[k].map(v) for k, v in as_text.items()}).to_parquet(
        buffer, engine="pyarrow", index=False
    )
    return buffer.getvalue()


def _text(value: Any) -> str | None:
    return None if _plain(value) is None else str(value)


FORMATS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "csv": _csv,
    "json": _json,
    "markdown": _markdown,
    "latex": _latex,
    "parquet": _parquet,
}
"""Writers of a table, by name."""
_FOR_READERS: dict[str, Callable[[Table, Report], str]] = {
    "markdown": as_markdown,
    "latex": _latex_of,
}
"""Writers of a table of the report as the report shows it, with its sections and notes."""
