"""The rows of a large report, computed by two processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.analysis.results import Results
from bench.analysis.rows import Row, comparability_rows
from bench.core.meanwhile import Meanwhile, worthwhile
from bench.report.chapters import TABLES
from bench.report.table import Table

_ELSEWHERE = ("throughput", "latency", "startup", "interleaved", "overhead", "time_to_accuracy")
"""Tables of the other process: about half of the time. They share their ratios with each other, and
few with the rest."""


def compute_rows(several: Iterable[Results]) -> None:
    """Have the rows of all tables computed, before plots and tables are made of them.

    Args:
        several: The results of each dataset.
    """
    found = list(several)
    if not worthwhile():
        _here(found, TABLES)
        return
    there = [table for table in TABLES if table.name in _ELSEWHERE]
    with Meanwhile(lambda: _rows(found, there)) as other:
        _here(found, [table for table in TABLES if table.name not in _ELSEWHERE])
        rows = other.value()
    for results, by_table in zip(found, rows, strict=True):
        for table in there:
            if table.name in by_table:
                results.remember(table.rows, by_table[table.name])


def _here(found: Iterable[Results], tables: Iterable[Table]) -> None:
    for results in found:
        for table in tables:
            _safely(results, table.rows)
        _safely(results, comparability_rows)


def _rows(found: Iterable[Results], tables: Sequence[Table]) -> list[dict[str, list[Row]]]:
    return [
        {table.name: rows for table in tables if (rows := _safely(results, table.rows)) is not None}
        for results in found
    ]


def _safely(results: Results, make: Callable[[Results], list[Row]]) -> list[Row] | None:
    """The rows; None where they cannot be made: the page then says why."""
    try:
        return results.once(make)
    except Exception:
        return None
