"""The results of a run: tables, plots and one HTML page that needs no other file.

All of it follows from the records alone, so that it can be written again at any time, and for
several runs together.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.analysis.compare import identical
from bench.analysis.experiments import latest, without_seed
from bench.core.case import Case
from bench.core.errors import cannot_write, notice
from bench.core.files import write_whole
from bench.core.kinds import KINDS, kind
from bench.core.records import Record, read_all
from bench.core.samples import by_process
from bench.core.text import flatten, without_folders
from bench.report import summary
from bench.report.answers import answers, certificates, how_to_read
from bench.report.chapters import failures
from bench.report.plot_style import Plot
from bench.report.plots import left_out, write_plots
from bench.report.report import Report
from bench.report.tables import TABLES, Section, Table, sections, write_tables
from bench.training.tracks import TRACKS

__all__ = ["Merged", "merge", "write_results"]

CONTACT_SHEET = "contact_sheet.png"

MACHINE_STATE = "machine_state"
"""Key of an environment: what differs from record to record, and is no fact about a machine."""
_ERROR_LINES = 40  # of a traceback: its end says what happened
# What the page has at most, so that a browser opens it; CSV files and records have the rest.
_ROWS = 250  # of one section of a table
_ENTRIES = 250  # failures, notes, settings
# Facts about a machine that would say whose it is; the others are what a reader needs.
_PRIVATE = re.compile(r"host|user|home|path|cwd|folder|directory", re.IGNORECASE)


@dataclass(frozen=True)
class Merged:
    """Records of several runs as one, and what was left out to make them so."""

    records: list[Record]
    notes: list[str]


@dataclass(frozen=True)
class _Topic:
    """A table with its plots, as the page shows them."""

    table: Table
    sections: list[Section]
    figures: list[tuple[Plot, Markup]]
    rows: int = _ROWS
    """Rows of a section that the page shows at most."""


@dataclass(frozen=True)
class _Failure:
    case: str
    kind: str
    status: str
    last: str
    text: str
    """The end of the error, empty when it is no more than its last line."""


def merge(runs: Iterable[Path], read: Iterable[Record] | None = None) -> Merged:
    """Read the records of several run folders together.

    Where two runs have the same case, kind and data, the one started last counts, and a note says
    so. Raises UserError for a folder without records.

    Args:
        runs: The folders.
        read: Their records in order, where they have been read.
    """
    records = read_all(runs) if read is None else read
    newest, older = latest(records)
    return Merged(newest, _older(older, newest))


def _older(older: Iterable[Record], newest: Iterable[Record]) -> list[str]:
    taken = {(*record.key, str(record.dataset.get("fingerprint"))): record for record in newest}
    lines = []
    for record in older:
        later = taken[(*record.key, str(record.dataset.get("fingerprint")))]
        when = record.started_at or "unknown time"
        line = (
            f"{record.case.id}, {record.kind}: measured more than once; the one of {when} gives "
            "way to a later one"
        )
        same = identical(record, later)
        lines.append(f"{line} ({same})." if same else f"{line}.")
    return lines


def write_results(
    records: Sequence[Record],
    folder: Path,
    *,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write ``tables/``, ``plots/`` and ``report.html`` into `folder`; the path of the page.

    `notes` (as from `merge`) are shown near the top. A contact sheet that lies in the folder
    becomes part of the page. A plot that fails is left out, with a note and a line on stderr.
    Raises UserError when the folder cannot be written; the page is then the old one or none.
    """
    newest, older = latest(records)
    report = Report(newest)
    notes = [*notes, *_older(older, newest), *left_out(report)]
    page = folder / "report.html"
    try:
        failed: list[str] = []
        plots = write_plots(report, folder, failed, lambda: write_tables(report, folder))
        for line in failed:
            notice(line)
        write_whole(page, _page(report, plots, folder, title, [*notes, *failed]))
    except OSError as error:
        advice = "give another folder with -o ; the records are whole"
        raise cannot_write(folder, error, advice, what="results into") from error
    return page


def _page(
    report: Report,
    plots: Sequence[Plot],
    folder: Path,
    title: str | None,
    notes: Sequence[str],
) -> str:
    source = resources.files("bench.report").joinpath("templates/report.html.j2")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    engine.filters["emphasis"] = _emphasis
    engine.filters["code"] = _code
    template = engine.from_string(source.read_text(encoding="utf-8"))
    records = report.records
    settings = _settings(records)
    failed = [record for record in records if not record.ok]
    return template.render(
        title=title or "AlexNet in PyTorch and Keras",
        what=summary.what_was_run(report),
        data=summary.which_data(report),
        machines=list(dict.fromkeys(summary.which_machine(r.environment) for r in records if r.ok)),
        answers=answers(report),
        how_to_read=how_to_read(report),
        headlines=summary.headlines(report),
        warnings=_first(summary.warnings(report)),
        intervals=_intervals(records),
        results=sum(record.ok for record in records),
        notes=_first([without_folders(note) for note in notes]),
        failures=[_failure(record) for record in failed[:_ENTRIES]],
        failed=len(failed),
        topics=_topics(report, plots),
        contact_sheet=_contact_sheet(folder / CONTACT_SHEET),
        settings=settings[:_ENTRIES],
        settings_found=len(settings),
        environments=_environments(records),
        tracks=_tracks(report),
        parity=certificates(records),
    )


def _first(lines: Sequence[str]) -> list[str]:
    """The lines that the page has room for, and how many more there are."""
    more = len(lines) - _ENTRIES
    return [*lines[:_ENTRIES], *([f"… and {more:,} more."] if more > 0 else [])]


def _emphasis(text: str) -> Markup:
    """A text with its ``*words*`` in italics, as Markdown has them, and all else escaped."""
    return Markup(re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", str(Markup.escape(text))))


def _code(text: str) -> Markup:
    """A text with its commands between backquotes as code, and all else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(Markup.escape(text))))


def _intervals(records: Sequence[Record]) -> str:
    """What the intervals of this report rest on: the processes of its timings, its seeds."""
    processes = [len(by_process(r)) for r in records if r.ok and kind(r.kind).timed]
    seeds: dict[Case, int] = Counter(
        without_seed(r.case) for r in records if r.ok and kind(r.kind).trained
    )
    parts = []
    if processes:
        parts.append(
            f"Timings of this report rest on {_range(processes, 'process', 'processes')}. Their "
            "intervals are bootstrap intervals over processes and blocks."
        )
        if min(processes) == 1:
            parts.append(
                "Those of a single process are over its blocks alone and do not cover how much one "
                "process differs from the next: they give no verdict."
            )
    if seeds:
        parts.append(f"Accuracies rest on {_range(list(seeds.values()), 'seed', 'seeds')}.")
        parts.append(
            "Their intervals are t intervals over seeds."
            if max(seeds.values()) > 1
            else "One seed has no interval and gives no verdict."
        )
    return " ".join(parts)


def _range(counts: Sequence[int], one: str, several: str) -> str:
    """``2 processes each``, or ``1 to 5 seeds each``."""
    low, high = min(counts), max(counts)
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"{span} {one if high == 1 else several} each"


def _tracks(report: Report) -> list[tuple[str, str]]:
    """Title and question of every track in the report."""
    found = {record.case.track for record in report.records}
    return [(track.title, track.question) for track in TRACKS.values() if track.name in found]


def _topics(report: Report, plots: Sequence[Plot]) -> list[_Topic]:
    inlined = [(plot, _inline_svg(plot, place)) for place, plot in enumerate(plots)]
    topics = []
    for table in TABLES:
        if table is failures.TABLE:
            continue  # they stand at the top
        figures = [(plot, svg) for plot, svg in inlined if plot.table == table.name]
        found = sections(table, report)
        if found or figures:
            topics.append(_Topic(table, found, figures))
    return topics


def _inline_svg(plot: Plot, place: int) -> Markup:
    """The drawing as an element of the page, with ids that no other drawing has."""
    text = plot.svg.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{place}-", text)
    label = Markup.escape(plot.title)
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def _contact_sheet(path: Path) -> str | None:
    if not path.is_file():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _failure(record: Record) -> _Failure:
    text = without_folders((record.error or "no reason was recorded").strip())
    lines = text.splitlines() or [""]
    cut = [f"… ({len(lines) - _ERROR_LINES} lines before)"] if len(lines) > _ERROR_LINES else []
    tail = "\n".join([*cut, *lines[-_ERROR_LINES:]]) if len(lines) > 1 else ""
    return _Failure(record.case.id, record.kind, record.status, lines[-1], tail)


def _settings(records: Sequence[Record]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Case, its kinds, and the settings in force; kinds of one case with equal settings share."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    places = list(KINDS)
    for record in sorted(records, key=lambda r: (r.case.id, places.index(r.kind))):
        if record.settings:
            rows = tuple((key, _shown(value)) for key, value in flatten(record.settings).items())
            found.setdefault((record.case.id, rows), []).append(record.kind)
    return [(case, ", ".join(kinds), list(rows)) for (case, rows), kinds in found.items()]


def _shown(value: Any) -> str:
    if value is None:
        return "unknown (no way to ask)"
    return without_folders(str(value))


def _environments(records: Sequence[Record]) -> list[list[tuple[str, str]]]:
    """The environments there are, each once, without anything that names a machine or a person."""
    # Nearly all are the same: thousands need not be flattened one by one.
    several = {
        repr({key: value for key, value in record.environment.items() if key != MACHINE_STATE}):
        record.environment
        for record in records
        if record.environment
    }  # fmt: skip
    found = {
        tuple(
            (key, _shown(value))
            for key, value in flatten(environment).items()
            if not _PRIVATE.search(key) and not key.startswith(f"{MACHINE_STATE}.")
        )
        for environment in several.values()
    }
    return [list(rows) for rows in sorted(found)]
