"""Memory: the most that the processes of a case held, on the host and on the device."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analysis.experiments import Experiment, without_recipe
from bench.analysis.results import Results
from bench.analysis.rows import Row, comparability_rows
from bench.analysis.utilisation import device_memory
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.report.captions import With
from bench.report.charts.kind_grid import kind_grid
from bench.report.columns import Column, how, kind_column, number, seeds_of, who
from bench.report.format import NOTHING, known, significant
from bench.report.leads import extremes
from bench.report.panels import figure_after_bar, first_panels, name_bars
from bench.report.plot_axes import plain_numbers
from bench.report.plot_style import Drawing, colour, hover
from bench.report.report import Part
from bench.report.table import Chart, Table

_GIB = 2**30
_KINDS = tuple(row.name for row in KINDS.values() if row.throughput or row.trained)


def memory_rows(results: Results) -> list[Row]:
    """Peak bytes of every experiment of throughput or accuracy that has them.

    ``peak_memory_bytes`` is the resident memory of the worker's processes, ``device_memory_bytes``
    what the framework allocated on the device, ``device_process_bytes`` what the device counts for
    the process.
    """
    rows = []
    for row, experiment in zip(_rows(results), results.experiments(*_KINDS), strict=True):
        row = row | device_memory(experiment.ok)
        if any(known(row.get(key)) for key in ("peak_memory_bytes", "device_memory_bytes")):
            rows.append(row)
    return rows


def _rows(results: Results) -> list[Row]:
    return [row for row in results.once(comparability_rows) if row["kind"] in _KINDS]


def columns(rows: Sequence[Row]) -> list[Column]:
    """GiB on the host and on the device."""
    return [
        kind_column(),
        *who(),
        number("peak memory (GiB)", "peak_memory_bytes", factor=1 / _GIB),
        number("peak device memory (GiB)", "device_memory_bytes", usual=NOTHING, factor=1 / _GIB),
        number("process on device (GiB)", "device_process_bytes", usual=NOTHING, factor=1 / _GIB),
        Column("seeds", seeds_of),
        *how(rows),
    ]


def memory(part: Part) -> Drawing | None:
    """Bars of GiB: a row of panels per network, a column per kind."""
    found = [e for e in part.experiments(*_KINDS) if any(_peaks(e))]
    if not found:
        return None
    panels, left_out = first_panels(_by_network(found), "memory", part.panels)
    title = f"Peak memory, {part.track} track"
    figure = kind_grid(part, panels, _KINDS, title, _bars, width=(3.4, 1.4), height=(0.75, 0.3))
    thin = ""
    if any(_peaks(experiment)[1] is not None for some in panels.values() for experiment in some):
        thin = " The thin bar below another one is what the framework allocated on the device."
    return Drawing(
        f"memory_{part.track}",
        title,
        "Shorter is less. Bars are the most resident memory of the worker's processes, from their "
        f"start on; all panels of one measurement share a scale.{thin}{left_out}",
        figure,
    )


def _by_network(found: Sequence[Experiment]) -> dict[Case, list[Experiment]]:
    """Panels whatever the recipe, of several the first: memory does not depend on the schedule."""
    panels: dict[Case, list[Experiment]] = {}
    taken = set()
    for experiment in found:
        bar = without_recipe(experiment.case), experiment.kind
        if bar not in taken:
            taken.add(bar)
            panels.setdefault(without_recipe(experiment.peers), []).append(experiment)
    return panels


def _peaks(experiment: Experiment) -> tuple[float | None, float | None]:
    """GiB on the host and on the device."""
    host = [r.peak_memory_bytes for r in experiment.ok if r.peak_memory_bytes is not None]
    device = device_memory(experiment.ok)["device_memory_bytes"]
    return (max(host) / _GIB if host else None), (device / _GIB if known(device) else None)


def _bars(axes: Axes, panel: Sequence[Experiment], part: Part) -> None:
    for place, experiment in enumerate(panel):
        tint = colour(experiment.case.framework_label, part.frameworks)
        host, device = _peaks(experiment)
        for value, at, height, what in (
            (host, place, 0.62, "resident"),
            (device, place + 0.4, 0.16, "on the device"),
        ):
            if value is None:
                continue
            alpha = 1.0 if value is host else 0.6
            (bar,) = axes.barh(at, value, height, color=tint, alpha=alpha)
            hover(bar, f"{experiment.case.framework_label}: {significant(value)} GiB {what}")
        end = max(value for value in (host, device, 0.0) if value is not None)
        shown = " + ".join(significant(v) for v in (host, device) if v is not None)
        figure_after_bar(axes, end, place, shown)
    name_bars(axes, panel, part.results, timed=False)
    axes.set_xlim(left=0)
    axes.margins(x=0.24)  # room for the numbers
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.set_xlabel("GiB")


TABLE = Table(
    "memory",
    "Memory",
    (
        "The most memory that the processes of a case held at once. *Peak memory* is resident "
        "memory of the worker from its start on, with the framework's own code and the images in "
        "it.",
        With(
            ("peak device memory (GiB)",),
            "*Peak device memory* is what the framework allocated there.",
        ),
        With(
            ("process on device (GiB)",),
            "*Process on device* is what the driver counts.",
        ),
    ),
    memory_rows,
    columns,
    charts=(Chart("memory", memory, _KINDS, timed=False),),
    lead=extremes(
        "Peak memory:",
        "peak_memory_bytes",
        lambda peak: f"{significant(peak / _GIB)} GiB",
        seconds=False,
    ),
)
