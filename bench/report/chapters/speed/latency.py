"""Latency: milliseconds of one call with one image, and their distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from bench.analysis.experiments import Experiment, curve_names, labels
from bench.analysis.rows import Row, latency_rows
from bench.core.case import Case
from bench.report.chapters.speed.throughput import versus_columns
from bench.report.columns import (
    Column,
    disturbed_column,
    how,
    number,
    seeds_of,
    who,
    whole,
)
from bench.report.format import significant
from bench.report.leads import both, compared, extremes
from bench.report.panels import first_panels, panels_of, signed_title
from bench.report.plot_axes import plain_numbers
from bench.report.plot_style import (
    ALONE,
    Drawing,
    colour,
    dash,
    framework_legend,
    grid_of_axes,
    hover,
    in_lines,
    marker,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats import estimates

_LETTERS = 42  # of a title above axes 4.5 inches wide
_CURVE_POINTS = 200  # of a distribution: more than a screen can show, less than thousands of calls


def columns(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of one call."""
    return [
        *who(),
        number("p50 (ms)", "p50", factor=1000),
        *versus_columns(rows),
        *(number(f"{p} (ms)", p, factor=1000) for p in ("p90", "p99")),
        Column("seeds", seeds_of),
        whole("calls", "calls"),
        disturbed_column(),
        *how(rows),
    ]


def latency(part: Part) -> Drawing | None:
    """Share of calls that took at most so long, with p50, p90 and p99 marked."""
    found = [e for e in part.experiments("latency") if e.ok]
    if not found:
        return None
    panels, left_out = first_panels(panels_of(found), "latency", part.panels)
    names = labels(panels)
    columns = part.across(len(panels))
    rows = -(-len(panels) // columns)
    title = f"Latency of one image, {part.track} track"
    wide = 5 * columns if columns > 1 else ALONE
    figure = new_figure(part.width(wide), 1.1 + 2.7 * rows, title, part.data)
    places = [axes for row in grid_of_axes(figure, rows, columns) for axes in row]
    curves = curve_names([e.case for e in panel] for panel in panels.values())
    for axes, (case, panel) in zip(places, panels.items(), strict=False):
        axes.set_title(in_lines(signed_title(names[case], panel), part.letters(_LETTERS)))
        _distributions(axes, panel, curves)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    networks = [case.variant for case in panels]
    framework_legend(figure, dict.fromkeys(curves.values()), lines=True, networks=networks)
    return Drawing(
        f"latency_{part.track}",
        title,
        "A curve further left is faster, a steeper one steadier; the marks are at p50, p90 and "
        f"p99. The axis ends just after the slowest p99; a few calls may lie beyond it.{left_out}",
        figure,
    )


def _distributions(axes: Axes, panel: Sequence[Experiment], curves: Mapping[Case, str]) -> None:
    names = list(dict.fromkeys(curves.values()))
    marks = []
    for experiment in panel:
        calls = [1000 * seconds for record in experiment.ok for seconds in record.samples]
        shares = np.linspace(0, 100, _CURVE_POINTS + 1)
        name = curves[experiment.case]
        tint = colour(name, names)
        marked = estimates.percentiles(calls)
        (line,) = axes.plot(
            np.percentile(calls, shares),
            shares,
            color=tint,
            linewidth=1.6,
            linestyle=dash(name, names),
        )
        shown = zip(("p50", "p90", "p99"), marked, strict=True)
        words = ", ".join(f"{percent} {significant(value)} ms" for percent, value in shown)
        hover(line, f"{name}: {words}")
        marks.append((min(calls), *marked))
        axes.plot(marked, (50, 90, 99), marker(experiment.case.variant), color=tint, markersize=5)
    low, high = min(m[0] for m in marks), max(m[-1] for m in marks)
    if high > 8 * low:
        axes.set_xscale("log")
        for formatting in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            formatting(plain_numbers())
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(low / 1.1, high * 1.2)
    else:
        axes.set_xlim(low - 0.03 * (high - low) - 1e-6, high + 0.08 * (high - low) + 1e-6)
    axes.set_ylim(0, 102)
    axes.set_yticks((0, 50, 90, 99), ("", "p50", "p90", "p99"))
    axes.set_xlabel("milliseconds")


TABLE = Table(
    "latency",
    "Latency of one image",
    "Milliseconds from one image to its logits: half of the calls took p50 or less, one in "
    "a hundred longer than p99. The ratio is of speed at p50: above 1x is faster.",
    latency_rows,
    columns,
    charts=(Chart("latency", latency, ("latency",)),),
    times=("latency",),
    all_tracks=True,
    lead=both(
        extremes("Half of the calls took", "p50", lambda s: f"{significant(1000 * s)} ms"),
        compared("verdict"),
    ),
    kinds=("latency",),
)
