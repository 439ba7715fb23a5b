"""Everything a run leaves for its readers: tables, plots and one HTML page that needs nothing else.

All of it follows from the records alone, so that any of it can be made again, and from several
runs together.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.analysis.experiments import latest
from bench.core.errors import UserError
from bench.core.kinds import KINDS
from bench.core.records import Record, RecordStore
from bench.core.text import flatten, without_folders
from bench.report import summary
from bench.report.plot_style import Plot
from bench.report.plots import write_plots
from bench.report.tables import TABLES, Section, Table, sections, write_tables
from bench.training.tracks import TRACKS, track

__all__ = ["Merged", "merge", "write_results"]

CONTACT_SHEET = "contact_sheet.png"

_PLOTS_OF = {
    "accuracy": ("accuracy_curves", "seeds", "accuracy_vs_throughput"),
    "time_to_accuracy": ("time_to_accuracy",),
    "normalisation": ("normalisation",),
    "parting": ("parting",),
    "throughput": ("throughput",),
    "paired": ("paired",),
    "latency": ("latency",),
    "startup": ("startup",),
    "per_class": ("per_class", "confusion"),
    "waterfall": ("defaults",),
}
_ERROR_LINES = 40  # of a traceback: its end says what happened
# Facts about a machine that would say whose it is; the others are what a reader needs.
_PRIVATE = re.compile(r"host|user|home|path|cwd|folder|directory", re.IGNORECASE)


@dataclass(frozen=True)
class Merged:
    """Records of several runs as one, and what was passed over to make them so."""

    records: list[Record]
    notes: list[str]


@dataclass(frozen=True)
class _Topic:
    """A chapter of the report."""

    table: Table
    sections: list[Section]
    figures: list[tuple[Plot, Markup]]


@dataclass(frozen=True)
class _Failure:
    case: str
    kind: str
    status: str
    last: str
    text: str
    """The end of the error, empty when it is no more than its last line."""


def merge(runs: Iterable[Path]) -> Merged:
    """Read the records of several run folders together.

    Where two runs have the same case, kind and data, the one started last counts, and a note says
    so. Raises UserError for a folder without records.
    """
    records = [record for run in runs for record in RecordStore(run).read()]
    kept, older = latest(records)
    return Merged(kept, _passed_over(older))


def _passed_over(older: Iterable[Record]) -> list[str]:
    return [
        f"{record.case.id}, {record.kind}: measured more than once; the one of "
        f"{record.started_at or 'unknown time'} was passed over for a later one."
        for record in older
    ]


def write_results(
    records: Sequence[Record],
    folder: Path,
    *,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write ``tables/``, ``plots/`` and ``report.html`` into `folder`; the path of the page.

    `notes` (as from `merge`) are shown near the top. A contact sheet that lies in the folder
    becomes part of the page. Raises UserError when the folder cannot be written.
    """
    kept, older = latest(records)
    notes = [*notes, *_passed_over(older)]
    page = folder / "report.html"
    try:
        write_tables(kept, folder)
        plots = write_plots(kept, folder)
        page.write_text(_page(kept, plots, folder, title, notes), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write results into {folder}: {error.strerror}; give another folder with -o"
        ) from error
    return page


def _page(
    records: Sequence[Record],
    plots: Sequence[Plot],
    folder: Path,
    title: str | None,
    notes: Sequence[str],
) -> str:
    source = resources.files("bench.report").joinpath("templates/report.html.j2")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = engine.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        title=title or "AlexNet in PyTorch and Keras",
        what=summary.what_was_run(records),
        data=summary.which_data(records),
        machines=list(dict.fromkeys(summary.which_machine(r.environment) for r in records if r.ok)),
        headlines=summary.headlines(records),
        results=sum(record.ok for record in records),
        notes=[without_folders(note) for note in notes],
        failures=[_failure(record) for record in records if not record.ok],
        topics=_topics(records, plots),
        contact_sheet=_contact_sheet(folder / CONTACT_SHEET),
        settings=_settings(records),
        environments=_environments(records),
        parity=_parity(records),
    )


def _topics(records: Sequence[Record], plots: Sequence[Plot]) -> list[_Topic]:
    inlined = [(plot, _inline_svg(plot, place)) for place, plot in enumerate(plots)]
    topics = []
    for table in TABLES:
        if table.name == "failures":
            continue  # they stand at the top
        names = _PLOTS_OF.get(table.name, ())
        prefixes = tuple(f"{name}_{on}" for name in names for on in TRACKS)
        figures = [(plot, svg) for plot, svg in inlined if plot.name.startswith(prefixes)]
        found = sections(table, records)
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
    for record in sorted(records, key=lambda r: (r.case.id, list(KINDS).index(r.kind))):
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
    found = {
        tuple(
            (key, _shown(value))
            for key, value in flatten(record.environment).items()
            if not _PRIVATE.search(key)
        )
        for record in records
        if record.environment
    }
    return [list(rows) for rows in sorted(found)]


def _parity(records: Sequence[Record]) -> str:
    """How many results of the closed track carry a passed certificate."""
    closed = [r for r in records if r.ok and track(r.case.track).certified]
    if not closed:
        return "This report has no results of the closed track."
    passed = sum(record.parity.get("status") == "pass" for record in closed)
    return f"{passed} of {len(closed)} results of the closed track have a passed certificate."
