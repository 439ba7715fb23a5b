"""Plots of a report: SVG and PNG each, below ``plots/``, one set per dataset and track.

There is no plot without data, and none that mixes tracks, fingerprints, or certified rows with
uncertified ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.analysis.experiments import Data
from bench.analysis.results import Results
from bench.analysis.rows import Row, comparability_rows
from bench.report import footnotes
from bench.report.chapters import TABLES
from bench.report.plot_style import Drawing, Plot, retitle, save, style
from bench.report.report import Part, Records, Report
from bench.report.table import Chart
from bench.training.tracks import TRACKS

CHARTS = {chart.name: chart for table in TABLES for chart in table.charts}
"""Kinds of plots by the first part of their file names."""


def write_plots(records: Records, folder: Path) -> list[Plot]:
    """Write every plot there is data for into ``plots/`` below `folder`.

    Files are named ``<plot>_<track>``, with ``_uncertified`` after it for the closed rows that
    stand apart, and ``_<dataset>_<fingerprint>`` where there is more than one dataset. What an
    earlier report left there is removed. Raises OSError where it cannot write.
    """
    datasets = Report.of(records).datasets
    target = folder / "plots"
    target.mkdir(parents=True, exist_ok=True)
    _remove_old(target)
    plots = []
    with style():
        for results in datasets:
            suffix = _suffix(results.data) if len(datasets) > 1 else ""
            for table, drawing in _drawings(results):
                plots.append(save(replace(drawing, name=drawing.name + suffix), target, table))
    return plots


def _drawings(results: Results) -> Iterator[tuple[str, Drawing]]:
    """The plots of one dataset, each with its table: by track, first of what is certified."""
    for track in _tracks(results):
        for certified in (True, False):
            part = Part(results, track, certified)
            for table in TABLES:
                for chart in table.charts:
                    drawing = _drawing(chart, part)
                    if drawing is not None:
                        yield table.name, drawing


def _tracks(results: Results) -> list[str]:
    found = {record.case.track for record in results.records}
    return [track for track in TRACKS if track in found]


def _drawing(chart: Chart, part: Part) -> Drawing | None:
    drawing = chart.draw(part)
    if drawing is None:
        return None
    rows = [row for row in part.rows(comparability_rows) if row["kind"] in chart.kinds]
    if part.certified:
        uncertified = replace(part, certified=False).rows(comparability_rows)
        absent = _absent([row for row in uncertified if row["kind"] in chart.kinds])
        return _with_notes(drawing, [*footnotes.not_compared(rows), *absent])
    return _uncertified(_with_notes(drawing, footnotes.why_uncertified(rows)))


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
    return replace(drawing, name=f"{drawing.name}_uncertified", title=title, how=how)


def _suffix(data: Data) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in data.name)
    return f"_{name}_{data.short}" if data.short else f"_{name}"


_FORMER = ("paired", "parting")
"""Names that kinds of plots had before: a report into an old folder removes their files, too."""


def _remove_old(folder: Path) -> None:
    """Remove plots of an earlier report: a plot without its records would mislead."""
    for name in (*CHARTS, *_FORMER):
        for path in folder.glob(f"{name}_*"):
            if path.suffix in (".svg", ".png"):
                path.unlink()
