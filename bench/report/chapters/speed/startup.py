"""Start-up: seconds from an empty process to the end of the first step, by part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from bench.analysis.experiments import Experiment, labels
from bench.analysis.results import Results
from bench.analysis.rows import Row, counts, identity, mean_over_seeds
from bench.analysis.values import value_of
from bench.core.records import Record
from bench.report.captions import With
from bench.report.columns import Column, how, number, seeds_of, who
from bench.report.format import NOTHING, significant
from bench.report.leads import extremes
from bench.report.panels import figure_after_bar, first_panels, name_bars, panels_of
from bench.report.plot_style import (
    ALONE,
    Drawing,
    grid_of_axes,
    hover,
    in_lines,
    legend_below,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats.estimates import UNKNOWN

_PARTS = {
    "import_seconds": ("import", "#4677a8"),
    "build_seconds": ("build", "#b58013"),
    "first_step_seconds": ("first step", "#2f9e8f"),
}
_LETTERS = 42  # of a title above axes 4.5 inches wide


def startup_rows(results: Results) -> list[Row]:
    """Seconds from an empty process to the end of the first step, and its parts: seed means."""
    rows = []
    for experiment in results.experiments("startup"):
        row = identity(experiment, results.data) | counts(experiment)
        row |= results.comparability(experiment)
        seconds = value_of(experiment.ok) if experiment.ok else UNKNOWN
        row |= {"seconds": seconds.value, "low": seconds.low, "high": seconds.high}
        for part in _PARTS:
            found = [r.metrics[part] for r in experiment.ok if r.metrics.get(part) is not None]
            row[part] = mean_over_seeds(found).value
        rows.append(row | _worker_and_bare(experiment))
    return rows


def _worker_and_bare(experiment: Experiment) -> Row:
    """From the birth of a worker to the end of its first step, and of a process that takes the
    shortest way to one; None where that was not measured."""
    found = [r.metrics for r in experiment.ok if r.metrics.get("bare_seconds")]
    if not found:
        return dict.fromkeys(("worker_seconds", "bare_seconds", "worker_ratio"))
    worker, bare = (
        mean_over_seeds([metrics[name] for metrics in found]).value
        for name in ("worker_seconds", "bare_seconds")
    )
    return {"worker_seconds": worker, "bare_seconds": bare, "worker_ratio": worker / bare}


def columns(rows: Sequence[Row]) -> list[Column]:
    """Seconds until the first step is done, by part."""
    return [
        *who(),
        number("total (s)", "seconds"),
        number("import (s)", "import_seconds"),
        number("build (s)", "build_seconds"),
        number("first step (s)", "first_step_seconds"),
        number("worker (s)", "worker_seconds", usual=NOTHING),
        number("bare (s)", "bare_seconds", usual=NOTHING),
        number("worker / bare", "worker_ratio", usual=NOTHING),
        Column("seeds", seeds_of),
        *how(rows),
    ]


def startup(part: Part) -> Drawing | None:
    """Stacked bars: seconds of import, build and first step."""
    found = [e for e in part.experiments("startup") if any(_parts(r) for r in e.ok)]
    if not found:
        return None
    panels, left_out = first_panels(panels_of(found), "startup", part.panels)
    names = labels(panels)
    bars = max(len(panel) for panel in panels.values())
    title = f"Start-up, {part.track} track"
    figure = new_figure(
        part.width(ALONE), 1.3 + len(panels) * (0.7 + 0.27 * bars), title, part.data
    )
    rows = grid_of_axes(figure, len(panels), 1)
    for (axes,), (case, panel) in zip(rows, panels.items(), strict=True):
        axes.set_title(in_lines(names[case], part.letters(_LETTERS)))
        _stacks(axes, panel, part.results)
    handles = [Patch(color=tint, label=name) for name, tint in _PARTS.values()]
    legend_below(figure, handles)
    return Drawing(
        f"startup_{part.track}",
        title,
        "Shorter is better: seconds from an empty process to the end of the first training step."
        f"{left_out}",
        figure,
    )


def _parts(record: Record) -> list[float]:
    """Seconds of each part in order; empty unless all are known."""
    parts = [record.metrics.get(name) for name in _PARTS]
    return [] if None in parts else [float(part) for part in parts if part is not None]


def _stacks(axes: Axes, panel: Sequence[Experiment], results: Results) -> None:
    for place, experiment in enumerate(panel):
        parts = np.mean([_parts(record) for record in experiment.ok if _parts(record)], axis=0)
        left = 0.0
        for seconds, (name, tint) in zip(parts, _PARTS.values(), strict=True):
            (bar,) = axes.barh(place, seconds, 0.72, left=left, color=tint)
            hover(bar, f"{experiment.case.framework_label}, {name}: {significant(seconds)} s")
            left += float(seconds)
        figure_after_bar(axes, left, place, f"{significant(left)} s")
    name_bars(axes, panel, results)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds")


TABLE = Table(
    "startup",
    "Start-up",
    (
        "Seconds from an empty process, which has NumPy and the data alone, to the end of the "
        "first training step, and where they went.",
        With(
            ("worker (s)",),
            "*Worker* is the same seen from outside, from the birth of the process, with the data "
            "opened.",
        ),
        With(
            ("bare (s)",),
            "*Bare* is the shortest process that imports, builds and takes one float32 step.",
        ),
    ),
    startup_rows,
    columns,
    charts=(Chart("startup", startup, ("startup",)),),
    times=("startup",),
    all_tracks=True,
    lead=extremes(
        "From an empty process to the end of the first step:",
        "seconds",
        lambda seconds: f"{significant(seconds)} s",
    ),
    kinds=("startup",),
)
