"""Plots of a report: SVG and PNG each, below ``plots/``, one set per dataset and track.

There is no plot without data, and none that mixes tracks, fingerprints, or certified rows with
uncertified ones.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

from bench.analysis.certified import is_certified
from bench.analysis.experiments import Data
from bench.analysis.results import Results
from bench.analysis.rows import Row, comparability_rows
from bench.core.files import sweep_once
from bench.core.kinds import kind
from bench.core.system.process import die_with_parent
from bench.core.system.resources import usable_cpus
from bench.core.text import many
from bench.report import footnotes
from bench.report.chapters import TABLES
from bench.report.computing import compute_rows
from bench.report.panels import FEW_PANELS, PANELS
from bench.report.plot_style import PHONE, Drawing, Plot, below, retitle, save, style, use_style
from bench.report.report import Part, Records, Report
from bench.report.table import Chart, Table
from bench.training.tracks import TRACKS

CHARTS = {chart.name: chart for table in TABLES for chart in table.charts}
"""Kinds of plots by the first part of their file names."""


def write_plots(
    records: Records,
    folder: Path,
    failed: list[str] | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[Plot]:
    """Write every plot there is data for into ``plots/`` below `folder`.

    `meanwhile` is called once, in this process, while other processes draw a large report; before
    the plots of any other report.

    A large report (`bench.report.panels.LARGE`) has fewer: SVG files alone, the first panels of
    each, for the first tracks.

    Files are named ``<plot>_<track>``, with ``_uncertified`` after it for the closed rows that
    stand apart, and ``_<dataset>_<fingerprint>`` where there is more than one dataset. What an
    earlier report left there is removed. Raises OSError where it cannot write.

    Args:
        records: All records of the report.
        folder: Of the report.
        failed: Gets a line about the plots that cannot be drawn; without it an error is raised.
    """
    report = Report.of(records)
    several = len(report.datasets) > 1
    panels = FEW_PANELS if report.large else PANELS
    target = folder / "plots"
    target.mkdir(parents=True, exist_ok=True)
    sweep_once(str(target))
    _remove_old(target)
    todo = [
        _Job(part, table, chart, suffix, target, raster=not report.large)
        for results, track in _drawn(report)
        for suffix in [_suffix(results.data) if several else ""]
        for certified in (True, False)
        for part in [Part(results, track, certified, panels)]
        for table in TABLES
        for chart in table.charts
    ]
    some = (_in_processes if report.large else _in_turn)(todo, meanwhile)
    reasons = [plot for plot in some if isinstance(plot, str)]
    if reasons:
        line = f"{many(len(reasons), 'plot')} could not be drawn: {reasons[0]}"
        if failed is None:
            raise RuntimeError(line)
        failed.append(line)
    return [plot for plot in some if isinstance(plot, Plot)]


def left_out(report: Report) -> list[str]:
    """A line for the tracks of a large report that have no plots; nothing where all have."""
    names = [f"{track} on {results.data.label}" for results, track in _tracks(report)]
    drawn = len(_drawn(report))
    if drawn == len(names):
        return []
    return [
        f"Plots show {drawn} of {len(names)} pairs of track and data; the tables have the others: "
        f"{'; '.join(names[drawn:])}."
    ]


UNCERTIFIED = "_uncertified"
"""In the names of plots of rows that stand apart for want of a passed certificate."""


@dataclass(frozen=True)
class _Job:
    """One plot that there may be data for."""

    part: Part
    table: Table
    chart: Chart
    suffix: str
    folder: Path
    raster: bool = True

    def run(self) -> Plot | str | None:
        """Its files; None where there is nothing to draw; the reason where drawing fails.

        To be called within `bench.report.plot_style.style`.

        Raises OSError where a file cannot be written: tables and page are worth more than a plot.
        """
        try:
            drawing = _drawing(self.chart, self.part, self.table)
            if drawing is None:
                return None
            drawing = replace(drawing, name=drawing.name + self.suffix)
            narrow = self._narrow() if drawing.figure.get_figwidth() > PHONE else None
            return save(drawing, self.folder, self.table.name, raster=self.raster, narrow=narrow)
        except OSError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            return f"{self.chart.name} on {self.part.track}: {type(error).__name__}: {reason}"

    def _narrow(self) -> Drawing | None:
        """The same for the width of a phone; a large report has none."""
        part = replace(self.part, narrow=True)
        return _drawing(self.chart, part, self.table) if self.raster else None


_DRAWN = 2
"""Pairs of dataset and track that have plots in a large report, a dozen plots each at most."""
_PROCESSES = 2
"""Processes that draw a large report, at most: each holds a copy of what it changes."""
_jobs: list[_Job] = []
"""What a forked process draws from: it inherits the report, which need not be sent."""


def _in_turn(todo: list[_Job], meanwhile: Callable[[], object]) -> list[Plot | str | None]:
    """Run the jobs in this process."""
    meanwhile()
    with _ready(todo), style():
        return list(map(_run, range(len(todo))))


def _in_processes(todo: list[_Job], meanwhile: Callable[[], object]) -> list[Plot | str | None]:
    """The same, by several processes; in this one where there is one processor or no fork."""
    processes = min(_processors(), _PROCESSES)
    if processes == 1 or "fork" not in get_all_start_methods():
        return _in_turn(todo, meanwhile)
    compute_rows({id(job.part.results): job.part.results for job in todo}.values())
    with (
        _ready(todo),
        ProcessPoolExecutor(
            processes,
            mp_context=get_context("fork"),
            initializer=_begin,
            initargs=(os.getpid(),),
        ) as pool,
    ):
        try:
            drawn = pool.map(_run, range(len(todo)))
            meanwhile()
            return list(drawn)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _ready(todo: list[_Job]) -> Iterator[None]:
    """A block in which jobs may be run by their place."""
    _jobs[:] = todo
    gc.freeze()  # or every collection in a process would walk, and so copy, all records
    try:
        yield
    finally:
        gc.unfreeze()
        _jobs.clear()


def _begin(parent: int) -> None:
    """Make a process ready to draw: the style is entered once, which takes as long as a panel."""
    die_with_parent(parent)
    use_style()


def _run(place: int) -> Plot | str | None:
    try:
        return _jobs[place].run()
    finally:
        if not gc.isenabled() and place % _COLLECTED == 0:
            gc.collect()


_COLLECTED = 8
"""Jobs after which the figures drawn are collected, where nothing else collects: they are reference
cycles, and the only ones that a report makes."""


def _processors() -> int:
    return len(usable_cpus())


def _drawn(report: Report) -> list[tuple[Results, str]]:
    """The pairs of dataset and track that have plots."""
    pairs = _tracks(report)
    return pairs[:_DRAWN] if report.large else pairs


def _tracks(report: Report) -> list[tuple[Results, str]]:
    found = []
    for results in report.datasets:
        there = {record.case.track for record in results.records}
        found += [(results, track) for track in TRACKS if track in there]
    return found


def _drawing(chart: Chart, part: Part, table: Table) -> Drawing | None:
    drawing = chart.draw(part)
    if drawing is None:
        return None
    drawing = _with_caveats(drawing, chart, part, table)
    rows = [row for row in part.rows(comparability_rows) if row["kind"] in chart.kinds]
    if part.certified:
        uncertified = replace(part, certified=False).rows(comparability_rows)
        absent = _absent([row for row in uncertified if row["kind"] in chart.kinds])
        return _with_notes(drawing, [*footnotes.not_compared(rows), *absent])
    return _uncertified(_with_notes(drawing, footnotes.why_uncertified(rows)))


def _with_caveats(drawing: Drawing, chart: Chart, part: Part, table: Table) -> Drawing:
    """With a line below for each note and each caveat of what is drawn, and for what is not drawn
    for one."""
    rows = [row for row in part.rows(comparability_rows) if row["kind"] in chart.kinds]
    rows = rows or part.rows(table.rows)  # stages of an ablation are no experiments
    timed = chart.timed and bool(table.times)
    removed = [
        record
        for record in part.results.removed
        if record.kind in chart.kinds
        and kind(record.kind).timed
        and record.case.track == part.track
        and is_certified(record) == part.certified
    ]
    lines = [
        *drawing.notes,
        *footnotes.caveats(rows, seconds=timed),
        *footnotes.removed(removed),
    ]
    return replace(drawing, below=below(drawing.figure, lines)) if lines else drawing


def _absent(rows: Sequence[Row]) -> list[str]:
    """What a plot of certified rows says about the others."""
    number = sum(row["seeds"] > 0 for row in rows)
    if not number:
        return []
    what = "1 row is" if number == 1 else f"{number} rows are"
    return [f"{what} not in this plot, for want of a passed parity certificate"]


def _with_notes(drawing: Drawing, lines: Sequence[str]) -> Drawing:
    return replace(drawing, how=" ".join([drawing.how, *(f"{line}." for line in lines)]))


def _uncertified(drawing: Drawing) -> Drawing:
    """The same drawing under a name and a title that say what it is not."""
    title = f"{drawing.title}, uncertified"
    retitle(drawing.figure, title)
    how = f"{drawing.how} {footnotes.UNCERTIFIED}"
    return replace(drawing, name=f"{drawing.name}{UNCERTIFIED}", title=title, how=how)


def _suffix(data: Data) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in data.name)
    return f"_{name}_{data.short}" if data.short else f"_{name}"


_FORMER = ("paired", "parting", "interleaved")
"""Names that kinds of plots had before: a report into an old folder removes their files, too."""


def _remove_old(folder: Path) -> None:
    """Remove plots of an earlier report: a plot without its records would mislead."""
    for name in (*CHARTS, *_FORMER):
        for path in folder.glob(f"{name}_*"):
            if path.suffix in (".svg", ".png"):
                path.unlink()
