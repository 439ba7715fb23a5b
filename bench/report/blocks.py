"""Generated figures in Markdown files: blocks between two HTML comments, made from records.

A block is a table or a single value. Its opening comment says where the figures come from:

    table: run=reference-2026-11-26-quick name=paired track=closed columns="variant, ratio=speed"
    value: run=reference-2026-11-26-quick name=paired variant=cifar-bn column=ratio

each between ``<!--`` and ``-->``, and ends at ``/table`` or ``/value`` in a comment of its own.

- ``run``: folders below the nearest ``results/``, several separated by commas.
- ``name``: a table of the report, or one of ``overview`` (accuracy, speed and latency in one table;
  takes ``track`` alone), ``answers`` (the five questions of the first screen, with the caveats of
  the run), ``networks``, ``data``, ``machine``, ``caveats`` and ``comparison`` (accuracies of two
  runs, the second minus the first, also on different images).
- ``columns``: keys of the table's rows as in its CSV file, in order; ``key=header`` renames one.
- A row with a caveat has the sign ‡ and its caveat below the table; a single value has the sign,
  and the page must say its caveat, as a block ``caveats`` of the run does.
- Any other ``key=value`` keeps the rows whose ``key`` is that value, or one of several separated
  by ``|``.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from bench.analysis.experiments import latest
from bench.analysis.rows import Row
from bench.core.errors import UserError, cannot_write, reason_of
from bench.core.files import write_whole
from bench.core.kinds import KINDS
from bench.core.records import Record, RecordStore
from bench.networks.variants import VARIANTS
from bench.report import footnotes
from bench.report.first_screen import answers
from bench.report.format import (
    LEVEL,
    NOTHING,
    POINTS,
    RATIO,
    SHARE,
    count,
    interval,
    known,
    markdown,
    percent,
    power,
    share,
    significant,
)
from bench.report.readme import comparison_rows, overview, rows_of
from bench.report.summary import warnings, which_data, which_machine
from bench.report.tables import TABLES

_BLOCK = re.compile(r"<!-- (table|value): (.*?) -->(.*?)<!-- /\1 -->", re.DOTALL)
_OPENING = re.compile(r"<!-- /?(?:table|value)\b")
_VALUE_FIRST = re.compile(r"^ {0,3}<!-- value.*?-->", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_NUMBER = r"[-−+]?\d[\d.,]*x?"
_MEASURED = re.compile(rf"\d[\d.,]*(?:x| %)? \[{_NUMBER}, {_NUMBER}\]|\b\d+\.\d\d+x")
"""A figure with its interval, or a ratio of two digits or more after the point."""
_FOOTNOTE = re.compile(r"\[\^[^\]]+\]")
_OPTIONS = {"run", "name", "columns", "column"}

_HEADERS = {
    "variant": "network",
    "kind": "measured",
    "input_size": "pixels",
    "batch_size": "batch",
    "accuracy": "test accuracy",
    "images_per_second": "images/s",
    "p50": "p50 (ms)",
    "p99": "p99 (ms)",
}
_AS_PUBLISHED = {"threshold", "goal"}
"""Fractions that were chosen, not measured: shown with the digits they were given."""
_RATIOS = {"ratio", "ratio_again", "worker_ratio"}
_SPEEDS = {
    *_RATIOS,
    *("p50", "p90", "p99", "detectable", "share", "utilisation", "verdict"),
    *("efficiency", "speed_up", "communication", "pays_images", "pays_epochs", "fastest_ratio"),
    "joules_per_image",
}
"""Keys of speeds and times, next to those in seconds or per second."""
_OF_SPEEDS = ("break_even", "blocks", "clock")
"""Tables of nothing else."""
_QUANTITIES = {
    **dict.fromkeys(
        ("accuracy", "accuracy_with_flips", "loop_accuracy", "utilisation", "communication"), SHARE
    ),
    **dict.fromkeys(("share", "detectable", "efficiency"), LEVEL),
    **dict.fromkeys(("difference", "delta"), POINTS),
    **dict.fromkeys(_RATIOS, RATIO),
}
"""How figures look, by key, where they look as in the tables of the report."""
_THOUSANDTHS = {"p50", "p90", "p99", "our_seconds", "their_seconds"}
_COUNTED = ("median_images", "mean_images", "horizon_images")
"""Training images, whole as in the table."""
_SCIENTIFIC = {"first_difference", "largest_difference"}
_MAIN = {"accuracy", "images_per_second", "share", "difference"}
"""Keys whose interval stands under ``low`` and ``high`` where no keys of their own hold it."""


def stale(path: Path, *, write: bool) -> list[str]:
    """The blocks of a Markdown file whose text differs from what the records give now.

    Args:
        path: A Markdown file below a folder that has ``results/``.
        write: Whether those blocks are replaced in the file.

    Returns:
        The opening comment of each such block, in order; empty where all are up to date.

    Raises:
        UserError: The file cannot be read or written, has no block or a comment without its
            partner, or a block asks for a run, table, column or row that there is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason_of(error)}") from error
    if at_start := _VALUE_FIRST.search(text):
        # Markdown ends the paragraph there: the line would be an HTML block of its own.
        raise UserError(f"{path}: a line begins with a value: {at_start.group().strip()}")
    if len(_OPENING.findall(text)) != 2 * len(_BLOCK.findall(text)):
        raise UserError(f"{path}: a table or value comment without its partner")
    if not _BLOCK.search(text):
        raise UserError(f"{path}: has no block, a table or value between two comments")
    source = _Source(path)
    changed: list[str] = []

    def renewed(found: re.Match[str]) -> str:
        kind, comment, old = found.groups()
        try:
            new = source.text_of(kind, _attributes(comment))
        except UserError as error:
            raise UserError(f"{path}: {kind}: {comment}: {error}") from error
        if new != old:
            changed.append(f"{kind}: {comment}")
        return f"<!-- {kind}: {comment} -->{new}<!-- /{kind} -->"

    text = _BLOCK.sub(renewed, text)
    source.check(text)
    if changed and write:
        try:
            write_whole(path, text)
        except OSError as error:
            raise cannot_write(path, error, "it is as it was before") from error
    return changed


def unmarked(path: Path) -> list[str]:
    """The measured figures of a Markdown file that no block keeps true.

    Ratios and figures with an interval, outside of blocks and code, in a paragraph without a
    footnote that could name their records. The file is one that `stale` has read.
    """
    text = _FENCE.sub("", _BLOCK.sub("", path.read_text(encoding="utf-8")))
    return [
        found.group()
        for paragraph in text.split("\n\n")
        if not _FOOTNOTE.search(paragraph)
        for found in _MEASURED.finditer(paragraph)
    ]


def _two(run: str) -> list[str]:
    names = run.split(",")
    if len(names) != 2:
        raise UserError("a comparison is of two runs; give run=A,B")
    return names


def _attributes(comment: str) -> dict[str, str]:
    try:
        pairs = [word.partition("=") for word in shlex.split(comment)]
    except ValueError as error:
        raise UserError(str(error)) from error
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise UserError(f"{bad[0]!r} is no key=value")
    return {name: value for name, _, value in pairs}


@dataclass
class _Source:
    """The runs that the blocks of one file are made from, each read once."""

    path: Path
    read: dict[str, list[Record]] = field(default_factory=dict)
    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    signed: dict[str, str] = field(default_factory=dict)
    """Caveats of single values, with their runs."""

    def text_of(self, kind: str, asked: Mapping[str, str]) -> str:
        """What belongs between the comments of a block."""
        name, run = asked.get("name", ""), asked.get("run", "")
        if name == "overview":
            tracks = asked.get("track", "").split("|")
            return _padded(overview(self._records(run), [track for track in tracks if track]))
        if name == "answers":
            return _padded(answers.markdown(self._records(run)))
        if name == "data":
            return _padded(which_data(self._records(run)))
        if name == "machine":
            return _padded([_machine(self._records(run))])
        if name == "caveats":
            return _padded(_caveats(self._records(run)))
        rows = self._rows(run, name)
        for key, value in asked.items():
            if key not in _OPTIONS:
                rows = [row for row in rows if str(_get(row, key)) in value.split("|")]
        if not rows:
            raise UserError("no such row")
        if kind == "table":
            return _padded(_table(rows, asked.get("columns", ""), name))
        if len(rows) > 1:
            raise UserError(f"{len(rows)} rows where one is meant")
        key = asked.get("column", "")
        timed = _is_timed(name, [key])
        for caveat in footnotes.caveats(rows, seconds=timed):
            self.signed[caveat.partition(": ")[2]] = rows[0].get("run") or run
        return footnotes.signed(
            _cell(key, rows[0]), on=footnotes.has_caveat(rows[0], seconds=timed)
        )

    def check(self, text: str) -> None:
        """Raise UserError where the page shows a value with a caveat and not the caveat."""
        for caveat, run in self.signed.items():
            if not all(part in text for part in caveat.split("; ")):
                raise UserError(
                    f"{self.path}: a value of {run} has a caveat ({footnotes.SIGN}) that the page "
                    f"does not say; add the block table: run={run} name=caveats"
                )

    def _records(self, run: str) -> list[Record]:
        if run not in self.read:
            records = [r for name in run.split(",") for r in RecordStore(self._folder(name)).read()]
            self.read[run] = latest(records)[0]
        return self.read[run]

    def _folder(self, run: str) -> Path:
        homes = [parent / "results" for parent in self.path.resolve().parents]
        found = next((home / run for home in homes if run and (home / run).is_dir()), None)
        if found is None:
            raise UserError(f"no folder results/{run} next to or above the file")
        return found

    def _rows(self, run: str, name: str) -> list[Row]:
        if (run, name) not in self.rows:
            if name == "networks":
                self.rows[run, name] = _networks()
            elif name == "comparison":
                self.rows[run, name] = comparison_rows(*map(self._records, _two(run)))
            else:
                self.rows[run, name] = rows_of(name, self._records(run))
        return self.rows[run, name]


_SHORT = {"conv": "conv", "dense": "dense", "batch_norm": "BN", "lrn": "LRN"}
"""Layers that the table of networks counts; normalisations that are not here by their name."""


@cache
def _networks() -> list[Row]:
    """A row for each network as it is published by its source."""
    rows = []
    for variant in VARIANTS.values():
        architecture = variant.architecture()
        kinds = Counter(row.kind for row in architecture.layers)
        others = {row.kind: row.normalisation for row in architecture.layers if row.normalisation}
        names = {**_SHORT, **others, **_SHORT}
        layers = [f"{kinds[kind]} {name}" for kind, name in names.items() if kind in kinds]
        rows.append(
            {
                "variant": variant.name,
                "layers": ", ".join(layers),
                "input_size": variant.input_size,
                "classes": variant.classes,
                "parameters": architecture.parameters,
                "source": variant.source,
            }
        )
    return rows


def _machine(records: Iterable[Record]) -> str:
    """One line: the machine, and every version of a framework that took part."""
    environments = [record.environment for record in records if record.ok]
    if not environments:
        raise UserError("no record with a result")
    versions: dict[str, dict[str, None]] = {}
    for environment in environments:
        for name, version in (environment.get("versions") or {}).items():
            versions.setdefault(name, {})[version] = None
    joined = {name: " and ".join(found) for name, found in versions.items()}
    machines = dict.fromkeys(which_machine(e | {"versions": joined}) for e in environments)
    return " ".join(f"Measured on {machine}." for machine in machines)


def _padded(parts: Iterable[str]) -> str:
    return "\n\n" + "\n\n".join(parts) + "\n\n"


def _is_timed(name: str, keys: Iterable[str]) -> bool:
    """Whether columns of a table are speeds or times."""
    times = next((table.times for table in TABLES if table.name == name), ())
    of_speeds = name in _OF_SPEEDS
    return bool(times) and any(of_speeds or "second" in key or key in _SPEEDS for key in keys)


def _table(rows: Sequence[Row], columns: str, name: str) -> list[str]:
    """A table, and below it a paragraph for each caveat of its rows."""
    asked = list(_columns(columns))
    headers = [header for _, header in asked]
    timed = _is_timed(name, [key for key, _ in asked])
    cells = []
    for row in rows:
        shown = [_cell(key, row) for key, _ in asked]
        # At the first column, which says what the row is about.
        caveat = footnotes.has_caveat(row, seconds=timed)
        cells.append([footnotes.signed(shown[0], on=caveat), *shown[1:]])
    right = [not any(isinstance(row[key], str) for row in rows) for key, _ in asked]
    notes = footnotes.caveats(rows, seconds=timed) if "framework" in rows[0] else []
    return [markdown(headers, cells, right), *(f"{note}." for note in notes)]


def _caveats(records: Sequence[Record]) -> list[str]:
    """A paragraph for each caveat of a run."""
    by_run: dict[str, list[Record]] = {}
    for record in records:
        by_run.setdefault(record.run, []).append(record)
    lines = [
        f"{line.replace(footnotes.ALL_ROWS, f'All of {run}', 1)}."
        for run, some in by_run.items()
        for line in warnings(some)
        if line.startswith(footnotes.SIGN)
    ]
    if not lines:
        raise UserError("the run has no caveats")
    return lines


def _columns(columns: str) -> Iterator[tuple[str, str]]:
    for part in columns.split(","):
        key, _, header = (word.strip() for word in part.partition("="))
        if not key:
            raise UserError("no columns")
        yield key, header or _HEADERS.get(key, key.replace("_", " "))


def _get(row: Row, key: str) -> object:
    if key not in row:
        raise UserError(f"no column {key!r}; there are {', '.join(row)}")
    return row[key]


def _cell(key: str, row: Row) -> str:
    """A value in words, with its 95 % interval where the row has one."""
    value = _get(row, key)
    if key == "kind":
        return KINDS[str(value)].label
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return NOTHING if value is None else ("yes" if value else "no")
    assert isinstance(value, int | float)
    if not known(value):
        return NOTHING
    if key == "reached" and "goal" in row:  # the accuracy at the goal, elsewhere a number of seeds
        return percent(value)
    shown = f"{row.get(f'{key}_bound', '')} {_number(key, value)}".lstrip()
    low, high = (_end(key, row, side) for side in ("low", "high"))
    ends = _ends(key, low, high)
    return shown if ends == NOTHING else f"{shown} {ends}"


def _ends(key: str, low: float | None, high: float | None) -> str:
    """The interval of a value: of a kind of figures that tables have, as they have it."""
    if key in _QUANTITIES:
        return _QUANTITIES[key].interval(low, high)
    return (
        NOTHING if low is None or high is None else interval(_number(key, low), _number(key, high))
    )


def _end(key: str, row: Row, side: str) -> float | None:
    found = row.get(f"{key}_{side}", row.get(side) if key in _MAIN else None)
    return found if known(found) else None


def _number(key: str, value: float) -> str:
    if key in _QUANTITIES:
        return _QUANTITIES[key].value(value)
    if key in _AS_PUBLISHED:
        return share(value)
    if key in _THOUSANDTHS:
        return significant(1000 * value)
    if key in _SCIENTIFIC:
        return power(value)
    whole = float(value).is_integer() or key in _COUNTED
    return count(value) if whole else significant(value)
