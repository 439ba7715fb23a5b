"""What a table is: its rows, columns, plots and words, in one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.results import Results
from bench.analysis.rows import Row
from bench.core.kinds import KINDS
from bench.report.captions import Caption
from bench.report.columns import Column
from bench.report.leads import Lead, no_lead
from bench.report.plot_style import Drawing
from bench.report.report import Part


def _no_notes(_: Sequence[Row]) -> list[str]:
    return []


def _all_rows(rows: Sequence[Row]) -> Sequence[Row]:
    return rows


@dataclass(frozen=True)
class Chart:
    """A kind of plot.

    Attributes:
        name: First part of the names of its files.
        draw: The drawing of one part of a report; None where the part has nothing to draw.
        kinds: The measurements that it shows, so that its caption speaks of these alone.
        timed: Whether it shows speeds or times, where its table has them.
    """

    name: str
    draw: Callable[[Part], Drawing | None]
    kinds: tuple[str, ...] = tuple(KINDS)
    timed: bool = True


@dataclass(frozen=True)
class Table:
    """A table of a report, a file of `bench.report.chapters`.

    Attributes:
        name: Name of its CSV and Markdown files, and its anchor in the page.
        title: Its heading.
        how: How to read it, one paragraph; sentences about a column are bound to its header.
        rows: The rows of one dataset, in full precision: what the CSV file holds.
        shown: The rows that Markdown and page have of those of the file: fewer where some say the
            same.
        columns: What Markdown and page show of a section's rows.
        charts: The plots that the page shows below it.
        notes: Lines below a section that only this table has.
        always: Whether the files are written without rows, too.
        part: The heading of its sections, where that is not the track's title.
        times: The kinds whose seconds it shows: it lists those that a caveat removed.
        all_tracks: Whether it has a row for every case of these, so that it names what was removed
            of tracks that have no row left.
        lead: The sentence that its chapter of the page begins with.
        kinds: The kinds that a row is about where it does not say: what it opens to.
    """

    name: str
    title: str
    how: Caption
    rows: Callable[[Results], list[Row]]
    columns: Callable[[Sequence[Row]], list[Column]]
    charts: tuple[Chart, ...] = ()
    notes: Callable[[Sequence[Row]], list[str]] = _no_notes
    always: bool = False
    part: str | None = None
    times: tuple[str, ...] = ()
    all_tracks: bool = False
    lead: Lead = no_lead
    kinds: tuple[str, ...] = ()
    shown: Callable[[Sequence[Row]], Sequence[Row]] = _all_rows
