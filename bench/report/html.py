"""The results of a run: tables, plots and one HTML page that needs no other file.

All of it follows from the records alone, so that it can be written again at any time, and for
several runs together.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.analysis.comparison.compare import identical
from bench.analysis.experiments import Data, are_copies, latest, without_seed
from bench.core.case import Case
from bench.core.errors import cannot_write, notice
from bench.core.files import write_whole
from bench.core.kinds import kind
from bench.core.meanwhile import uncollected
from bench.core.records import Record, RecordStore, read_all, run_names
from bench.core.run_paths import find
from bench.core.samples import by_process
from bench.core.text import many, without_folders
from bench.report import footnotes, summary
from bench.report.failing import Failures
from bench.report.first_screen.answers import answers, certificates, how_to_read
from bench.report.page.assets import TEMPLATES, assets
from bench.report.page.chapters import Group, facet_values, groups, more_rows
from bench.report.page.commands import Begun, begun
from bench.report.page.details import DETAILED, Details, as_json
from bench.report.page.settings import differences, environments, settings_of_cases
from bench.report.panels import LARGE
from bench.report.plots import left_out, write_plots
from bench.report.report import Report
from bench.report.tables import write_tables
from bench.training.tracks import TRACKS

__all__ = ["Merged", "merge", "write_results"]

CONTACT_SHEET = "contact_sheet.png"

_ERROR_LINES = 40  # of a traceback: its end says what happened
_ENTRIES = 250
"""Failures, notes and settings that the page has at most; CSV files and records have the rest."""


@dataclass(frozen=True)
class Merged:
    """Records of several runs as one, and what was left out to make them so.

    Attributes:
        records: One per case, kind and dataset.
        notes: A line for each record that gave way to a later one.
        begun: By the name of a run, what it was begun with.
    """

    records: list[Record]
    notes: list[str]
    begun: Mapping[str, Begun] = field(default_factory=dict)


@dataclass(frozen=True)
class Caveats:
    """What a reader must know before any figure.

    Attributes:
        lines: All of it.
        shown: Those that stand above the answers: all where they are few, else those that hold for
            more than single rows.
        folded: The others.
    """

    lines: tuple[str, ...]
    shown: tuple[str, ...]
    folded: tuple[str, ...]

    @classmethod
    def of(cls, lines: Sequence[str]) -> Caveats:
        """The lines apart by where they stand."""
        if len(lines) <= _FEW:
            return cls(tuple(lines), tuple(lines), ())
        shown = [line for line in lines if not _of_single_rows(line)][:_FEW]
        return cls(tuple(lines), tuple(shown), tuple(line for line in lines if line not in shown))

    def own(self, notes: Sequence[str], data: Data) -> list[str]:
        """The notes of a table of some data without what holds for all rows of the data."""
        heads = (f"{_OF_ALL}:", f"{_OF_ALL}{footnotes.on_data(data)}:")
        of_all = [line for line in self.lines if line.startswith(heads)]
        said = tuple(f":{line.removeprefix(h)}" for line in of_all for h in heads if h in line)
        return [n for n in notes if not (n.startswith(footnotes.SIGN) and n.endswith(said))]


_FEW = 3
"""Caveats above the answers, which they would push off the screen."""
_OF_ALL = f"{footnotes.SIGN} {footnotes.ALL_ROWS}"


def _of_single_rows(line: str) -> bool:
    return line.startswith((footnotes.SIGN, "…")) and not line.startswith(_OF_ALL)


@dataclass(frozen=True)
class _Failure:
    case: str
    kind: str
    status: str
    last: str
    text: str
    """The end of the error, empty when it is no more than its last line."""


def merge(runs: Iterable[Path], read: Iterable[Record] | None = None) -> Merged:
    """The records of several runs together (`bench.core.run_paths.find`).

    Where two runs have the same case, kind and data, the one started last counts, of those with a
    result where there are any, and a note says so. Raises UserError where there is no run.

    Args:
        runs: Their paths.
        read: Their records in order, where they have been read.
    """
    stores = find(runs)
    records = read_all(store.path for store in stores) if read is None else list(read)
    newest, older = latest(records)
    options = {
        name: begun(store.folder) for name, store in zip(run_names(stores), stores, strict=True)
    }
    return Merged(newest, _older(older, newest), options)


def _older(older: Sequence[Record], newest: Iterable[Record]) -> list[str]:
    if not older:
        return []
    taken = {(*record.key, str(record.dataset.get("fingerprint"))): record for record in newest}
    lines = []
    for record in older:
        later = taken[(*record.key, str(record.dataset.get("fingerprint")))]
        when = record.started_at or "unknown time"
        line = (
            f"{record.case.id}, {record.kind}: measured more than once; the one of {when} is left "
            "out, a later one is shown"
        )
        if later.ok and not record.ok:
            line = (
                f"{record.case.id}, {record.kind}: {record.status} in one run; the result of "
                "another is shown"
            )
        if are_copies(record, later):
            lines.append(
                f"{record.case.id}, {record.kind}: given twice, as copies of one measurement; it "
                "counts once, with the caveats of both."
            )
            continue
        same = identical(record, later)
        lines.append(f"{line} ({same})." if same else f"{line}.")
    return lines


def write_results(
    records: Sequence[Record],
    folder: Path,
    *,
    title: str | None = None,
    notes: Sequence[str] = (),
    options: Mapping[str, Begun] | None = None,
) -> Path:
    """Write ``tables/``, ``plots/`` and ``report.html`` into `folder`; the path of the page.

    `notes` and `options` (``notes`` and ``begun`` of `merge`) are shown near the top and in the
    commands that rows open to. A contact sheet that lies in the folder
    becomes part of the page. A plot, table or chapter that fails is left out, with a note and a
    line on stderr. Raises UserError when the folder cannot be written; the page is then the old one
    or none.
    """
    with uncollected() if len(records) > LARGE else nullcontext():
        return _write(records, folder, title, notes, options)


def _write(
    records: Sequence[Record],
    folder: Path,
    title: str | None,
    notes: Sequence[str],
    options: Mapping[str, Begun] | None,
) -> Path:
    newest, older = latest(records)
    report = Report(newest)
    notes = [*notes, *_older(older, newest), *left_out(report)]
    page = folder / "report.html"
    try:
        failed: list[str] = []
        failures = Failures()
        facts: dict[str, Any] = {"title": title or "AlexNet in PyTorch and Keras"}

        known = options if options is not None else {RecordStore(folder).name: begun(folder)}
        details = Details(report.records, known)

        def meanwhile() -> None:
            write_tables(report, folder, failures)
            facts.update(_facts(report, failures))
            facts["payload"] = failures.attempt("Details of the rows", details.to_json, {})

        plots = write_plots(report, folder, failed, meanwhile)
        found = groups(report, plots, details, failures)
        failed += failures.lines
        for line in failed:
            notice(line)
        write_whole(page, _page(report, found, folder, facts, [*notes, *failed]))
    except OSError as error:
        advice = "the records are whole; give another folder with -o"
        raise cannot_write(folder, error, advice, what="results into") from error
    return page


def _page(
    report: Report,
    found: Sequence[Group],
    folder: Path,
    facts: Mapping[str, Any],
    notes: Sequence[str],
) -> str:
    """The page; ``facts`` are its title, the ``payload`` of its rows and what `_facts` gives."""
    source = resources.files("bench.report").joinpath(f"{TEMPLATES}/report.html.j2")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    engine.filters["prose"] = _prose
    engine.filters["tied"] = _tied
    engine.filters["many"] = many
    engine.filters["breakable"] = _breakable
    template = engine.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        assets=assets(),
        large=report.large,
        several_data=len(report.datasets) > 1,
        notes=_first([without_folders(note) for note in notes]),
        groups=found,
        contact_sheet=_contact_sheet(folder / CONTACT_SHEET),
        **{**facts, "payload": _payload(facts["payload"], more_rows(found))},
    )


def _facts(report: Report, failures: Failures) -> dict[str, Any]:
    """What the page shows besides tables and plots; made while other processes draw."""
    records = report.records
    failed = [record for record in records if not record.ok]
    attempt = failures.attempt
    return {
        "what": attempt("What was run", lambda: summary.what_was_run(report), ""),
        "data": attempt("The data", lambda: summary.which_data(report), []),
        "machines": attempt("The machines", lambda: _machines(records), []),
        "answers": attempt("The answers", lambda: answers(report), []),
        "how_to_read": attempt("How to read it", lambda: how_to_read(report), ""),
        "headlines": attempt("The headlines", lambda: summary.headlines(report), []),
        "caveats": attempt(
            "The caveats", lambda: Caveats.of(_first(summary.warnings(report))), Caveats.of([])
        ),
        "intervals": attempt("The intervals", lambda: _intervals(records), ""),
        "results": sum(record.ok for record in records),
        "failures": [_failure(record) for record in failed[:_ENTRIES]],
        "failed": len(failed),
        "facets": facet_values(records),
        "tracks": _tracks(report),
        "parity": attempt("The certificates", lambda: certificates(records), ""),
        "undetailed": max(0, len(records) - DETAILED),
        **attempt("The settings", lambda: _settings(records), _NO_SETTINGS),
    }


def _machines(records: Sequence[Record]) -> list[str]:
    """A line for each machine that gave a result."""
    return summary.which_machines(r.environment for r in records if r.ok)


def _payload(details: Mapping[str, object], rows: Mapping[str, object]) -> Markup:
    """What the page's script reads: records that rows open to, and rows beyond the first."""
    return Markup(as_json({**details, **rows}))


def _settings(records: Sequence[Record]) -> dict[str, object]:
    """Settings of the cases and environments: what all share, and what differs."""
    cases = settings_of_cases(records)
    compared = differences(cases)
    shared = dict(compared.shared)
    own = {
        case: tuple(pair for pair in pairs if pair[0] not in shared)
        for case, pairs in list(cases.items())[:_ENTRIES]
    }
    return {
        "settings_shared": compared.shared,
        "settings": own,
        "settings_found": len(cases),
        "environments": differences(environments(records)),
    }


_NO_SETTINGS: dict[str, object] = {
    "settings_shared": [],
    "settings": {},
    "settings_found": 0,
    "environments": differences({}),
}


def _first(lines: Sequence[str]) -> list[str]:
    """The lines that the page has room for, and how many more there are."""
    more = len(lines) - _ENTRIES
    return [*lines[:_ENTRIES], *([f"… and {more:,} more."] if more > 0 else [])]


def _prose(text: str) -> Markup:
    """A tied text with its ``*words*`` in italics and what stands between backquotes as code, as
    Markdown has them."""
    emphasised = re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", str(_tied(text)))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", emphasised))


def _tied(text: str) -> Markup:
    """An escaped text in which no line ends between a number and its percent sign, after a sign
    before a number, or within the name of an option."""
    spaces = _BETWEEN.sub("\u00a0", str(Markup.escape(text)))
    return Markup(_OPTION.sub(r'<span class="whole">\g<0></span>', spaces))


_BETWEEN = re.compile(r"(?<=\d) (?=%)|(?<=[±≤≥]) (?=\d)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def _breakable(key: str) -> Markup:
    """A key that may be broken after its dots and low lines, and within no word."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", key))


def _intervals(records: Sequence[Record]) -> str:
    """What the intervals of this report rest on: the processes of its timings, its seeds."""
    processes = [len(by_process(r)) for r in records if r.ok and kind(r.kind).timed]
    seeds: dict[Case, int] = Counter(
        without_seed(r.case) for r in records if r.ok and kind(r.kind).trained
    )
    parts = []
    if processes:
        parts.append(
            f"Timings of this report are of {_range(processes, 'process', 'processes')}. Their "
            "intervals cover the spread between processes and between blocks."
        )
        if min(processes) == 1:
            parts.append(
                "An interval of a single process covers its blocks alone, and not how much one "
                "process differs from the next: it gives no verdict."
            )
    if seeds:
        parts.append(f"Accuracies are of {_range(list(seeds.values()), 'seed', 'seeds')}.")
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


def _contact_sheet(path: Path) -> str | None:
    if not path.is_file():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _failure(record: Record) -> _Failure:
    text = without_folders((record.error or "no reason was recorded").strip())
    lines = text.splitlines() or [""]
    cut = (
        [f"… ({many(len(lines) - _ERROR_LINES, 'line')} before)"]
        if len(lines) > _ERROR_LINES
        else []
    )
    tail = "\n".join([*cut, *lines[-_ERROR_LINES:]]) if len(lines) > 1 else ""
    return _Failure(record.case.id, record.kind, record.status, lines[-1], tail)
