"""Failed and skipped: what has no result, and why."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.results import Results
from bench.analysis.rows import Row
from bench.core.text import last_line, without_folders
from bench.report.columns import Column, text
from bench.report.table import Table


def failure_rows(results: Results) -> list[Row]:
    """Everything without a result, with its error text; no folder of a machine in it."""
    return [
        {
            "dataset": results.data.name,
            "fingerprint": results.data.fingerprint,
            "track": record.case.track,
            "case": record.case.id,
            "kind": record.kind,
            "status": record.status,
            "error": without_folders(record.error or "no reason was recorded").strip(),
        }
        for record in results.records
        if not record.ok
    ]


def columns(rows: Sequence[Row]) -> list[Column]:
    """Case, kind, status and the last line of the error."""
    return [
        text("case", "case"),
        text("kind", "kind"),
        text("status", "status"),
        Column("reason (last line)", lambda row: last_line(str(row["error"])), right=False),
    ]


TABLE = Table(
    "failures",
    "Failed and skipped",
    "What has no result, and why; the CSV file has the whole text.",
    failure_rows,
    columns,
)
