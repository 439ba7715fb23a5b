"""Plots of time: throughput, latency, start-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from bench.analysis.comparability import differences_between
from bench.analysis.experiments import (
    Data,
    Experiment,
    bar_names,
    experiments,
    frameworks_of,
    labels,
)
from bench.analysis.speeds import speeds
from bench.core.case import Case
from bench.core.records import Record
from bench.report.format import significant
from bench.report.plot_style import (
    INK,
    Drawing,
    colour,
    framework_legend,
    grid_of_axes,
    in_lines,
    marker,
    new_figure,
    plain_numbers,
)
from bench.stats import estimates

_KINDS = {"train_throughput": "Training", "inference": "Inference"}
_PARTS = {
    "import_seconds": ("import", "#35618e"),
    "build_seconds": ("build", "#e0a526"),
    "first_step_seconds": ("first step", "#8fb8de"),
}
_LETTERS = 48  # of a title above axes 4.5 inches wide
_CURVE_POINTS = 200  # of a distribution: more than a screen can show, less than thousands of calls


def panels_of(found: Sequence[Experiment]) -> dict[Case, list[Experiment]]:
    """Experiments by what may be compared: a panel each, in the order of tables."""
    panels: dict[Case, list[Experiment]] = {}
    for experiment in found:
        panels.setdefault(experiment.peers, []).append(experiment)
    return panels


def throughput(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Bars of images/s: a row of panels per network, training left and inference right."""
    found = [e for e in experiments(records, _KINDS) if e.ok]
    if not found:
        return None
    kinds = [kind for kind in _KINDS if any(e.kind == kind for e in found)]
    panels = panels_of(found)
    names = labels(panels)
    bars = max(len({e.case.framework for e in panel}) for panel in panels.values())
    title = f"Throughput, {track} track"
    height = 1.1 + len(panels) * (0.75 + 0.26 * bars)
    figure = new_figure(4.6 * len(kinds) + 0.6, height, title, data)
    for row, (case, panel) in zip(
        grid_of_axes(figure, len(panels), len(kinds)), panels.items(), strict=True
    ):
        for axes, kind in zip(row, kinds, strict=True):
            axes.set_title(in_lines(f"{names[case]}: {_KINDS[kind].lower()}", _LETTERS))
            _bars(axes, [e for e in panel if e.kind == kind], frameworks_of(records))
    return Drawing(
        f"throughput_{track}",
        title,
        "Longer is faster; the thin line at the end of a bar is its 95 % interval. Each panel has "
        "its own scale from zero.",
        figure,
    )


def _bars(axes: Axes, panel: Sequence[Experiment], frameworks: Sequence[str]) -> None:
    if not panel:
        axes.set_axis_off()
        return
    for place, experiment in enumerate(panel):
        rate = estimates.median_estimate(speeds(experiment))
        axes.barh(place, rate.value, 0.72, color=colour(experiment.case.framework, frameworks))
        end = rate.value
        if rate.low is not None and rate.high is not None:
            axes.plot((rate.low, rate.high), (place, place), color=INK, linewidth=1.6)
            end = max(rate.value, rate.high)
        _figure_behind(axes, end, place, significant(rate.value))
    _name_bars(axes, panel)
    axes.set_xlim(left=0)
    axes.margins(x=0.16)  # room for the numbers
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.set_xlabel("images/s")


def latency(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Share of calls that took at most so long, with p50, p90 and p99 marked."""
    found = [e for e in experiments(records, ("latency",)) if e.ok]
    if not found:
        return None
    panels = panels_of(found)
    names = labels(panels)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    title = f"Latency of one picture, {track} track"
    figure = new_figure(5 * columns, 1.1 + 2.7 * rows, title, data)
    places = [axes for row in grid_of_axes(figure, rows, columns) for axes in row]
    for axes, (case, panel) in zip(places, panels.items(), strict=False):
        axes.set_title(in_lines(names[case], _LETTERS))
        _distributions(axes, panel, frameworks_of(records))
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    framework_legend(figure, frameworks_of(e.records[0] for e in found), lines=True)
    return Drawing(
        f"latency_{track}",
        title,
        "A curve further left is faster, a steeper one steadier; the marks are at p50, p90 and "
        "p99. The axis ends just behind the slowest p99; a few calls may lie beyond it.",
        figure,
    )


def _distributions(axes: Axes, panel: Sequence[Experiment], frameworks: Sequence[str]) -> None:
    marks = []
    for experiment in panel:
        calls = [1000 * seconds for record in experiment.ok for seconds in record.samples]
        shares = np.linspace(0, 100, _CURVE_POINTS + 1)
        framework = experiment.case.framework
        tint = colour(framework, frameworks)
        axes.plot(np.percentile(calls, shares), shares, color=tint, linewidth=1.4)
        marked = estimates.percentiles(calls)
        marks.append((min(calls), *marked))
        axes.plot(marked, (50, 90, 99), marker(framework, frameworks), color=tint, markersize=5)
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


def startup(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Stacked bars: seconds of import, build and first step."""
    told = [e for e in experiments(records, ("startup",)) if any(_parts(r) for r in e.ok)]
    if not told:
        return None
    panels = panels_of(told)
    names = labels(panels)
    bars = max(len(panel) for panel in panels.values())
    title = f"Start-up, {track} track"
    figure = new_figure(8.2, 1.3 + len(panels) * (0.7 + 0.27 * bars), title, data)
    rows = grid_of_axes(figure, len(panels), 1)
    for (axes,), (case, panel) in zip(rows, panels.items(), strict=True):
        axes.set_title(in_lines(names[case], _LETTERS))
        _stacks(axes, panel)
    handles = [Patch(color=tint, label=name) for name, tint in _PARTS.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return Drawing(
        f"startup_{track}",
        title,
        "Shorter is better: seconds from an empty process to the end of the first training step.",
        figure,
    )


def _parts(record: Record) -> list[float]:
    """Seconds of each part in order; empty unless all are known."""
    parts = [record.metrics.get(name) for name in _PARTS]
    return [] if None in parts else [float(part) for part in parts if part is not None]


def _stacks(axes: Axes, panel: Sequence[Experiment]) -> None:
    for place, experiment in enumerate(panel):
        parts = np.mean([_parts(record) for record in experiment.ok if _parts(record)], axis=0)
        left = 0.0
        for seconds, (_, tint) in zip(parts, _PARTS.values(), strict=True):
            axes.barh(place, seconds, 0.72, left=left, color=tint)
            left += float(seconds)
        _figure_behind(axes, left, place, f"{significant(left)} s")
    _name_bars(axes, panel)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds")


def _figure_behind(axes: Axes, end: float, place: int, text: str) -> None:
    """Write a bar's figure just behind its end."""
    axes.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center")


def _name_bars(axes: Axes, panel: Sequence[Experiment]) -> None:
    """One bar a row, the first on top."""
    names = [
        f"{name}\n(not comparable)" if _refused(experiment, panel[0]) else name
        for name, experiment in zip(bar_names(panel), panel, strict=True)
    ]
    axes.set_yticks(range(len(panel)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _refused(experiment: Experiment, reference: Experiment) -> bool:
    """Whether a bar must not be read against the first; uncertified ones never are anyway."""
    return experiment.certified and bool(differences_between(experiment, reference))
