"""Distribution of block times: every block of a case, its quartiles, and how far they spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, counts, identity, most_disturbed
from bench.core.kinds import KINDS
from bench.core.samples import by_process
from bench.core.text import many
from bench.report.charts.kind_grid import kind_grid
from bench.report.columns import (
    Column,
    disturbed_column,
    fraction,
    how,
    kind_column,
    number,
    who,
    whole,
)
from bench.report.format import percent, significant
from bench.report.leads import extremes
from bench.report.panels import first_panels, name_bars, panels_of
from bench.report.plot_axes import plain_numbers
from bench.report.plot_style import Drawing, colour, hover, marker
from bench.report.report import Part
from bench.report.table import Chart, Table

_KINDS = tuple(row.name for row in KINDS.values() if row.throughput)
_WIDE = 4.0
"""Slowest over fastest block from which on a panel is logarithmic."""
_POINTS = 400
"""Blocks of a case that are drawn at most, evenly spread over the measurement."""
_BOX, _STRIP = 0.3, 0.55  # heights of the box and of the strip of points around it


def block_rows(results: Results) -> list[Row]:
    """Seconds per step over all blocks of an experiment: extremes, quartiles, spread.

    ``spread`` is the distance between the quartiles over the median, ``slowest`` the longest block
    over the median.
    """
    rows = []
    for experiment in results.experiments(*_KINDS):
        processes = seconds_per_step(experiment)
        steps = np.array([second for process in processes for second in process])
        if not len(steps):
            continue
        low, middle, high = np.percentile(steps, (25, 50, 75))
        row = identity(experiment, results.data) | {"kind": experiment.kind} | counts(experiment)
        row |= {"processes": len(processes), "blocks": len(steps)}
        row |= {"fastest_seconds": float(steps.min()), "slowest_seconds": float(steps.max())}
        row |= {"quartile_low": float(low), "median": float(middle), "quartile_high": float(high)}
        row |= {"spread": float((high - low) / middle), "slowest": float(steps.max() / middle)}
        row["disturbed"] = most_disturbed(experiment)
        rows.append(row | results.comparability(experiment))
    return rows


def seconds_per_step(experiment: Experiment) -> list[list[float]]:
    """Seconds per step of every block, by process of each seed."""
    return [
        [seconds * record.case.batch_size / (record.images_per_sample or 1) for seconds in process]
        for record in experiment.ok
        for process in by_process(record)
    ]


def columns(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of a step over the blocks."""
    return [
        kind_column(),
        *who(),
        number("median (ms)", "median", factor=1000),
        fraction("spread", "spread"),
        number("slowest / median", "slowest"),
        number("fastest (ms)", "fastest_seconds", factor=1000),
        number("lower quartile (ms)", "quartile_low", factor=1000),
        number("upper quartile (ms)", "quartile_high", factor=1000),
        number("slowest (ms)", "slowest_seconds", factor=1000),
        whole("processes", "processes"),
        whole("blocks", "blocks"),
        disturbed_column(),
        *how(rows),
    ]


def blocks(part: Part) -> Drawing | None:
    """Strips of blocks with a box of their quartiles, a panel per network and kind."""
    found = [e for e in part.experiments(*_KINDS) if any(seconds_per_step(e))]
    if not found:
        return None
    panels, left_out = first_panels(panels_of(found), "blocks", part.panels)
    title = f"Every block of training and inference, {part.track} track"
    figure = kind_grid(
        part, panels, _KINDS, title, _panel, width=(4.6, 0.6), height=(0.8, 0.34), shared=False
    )
    return Drawing(
        f"blocks_{part.track}",
        title,
        "A point is a block, the processes of a case one above the other; the box has the middle "
        "half of the blocks and the line in it is their median. Further left is faster. Scales do "
        "not start at zero, and are logarithmic where blocks differ by more than a factor of four."
        f"{left_out}",
        figure,
    )


def _panel(axes: Axes, panel: Sequence[Experiment], part: Part) -> None:
    every = []
    for place, experiment in enumerate(panel):
        processes = [[1000 * s for s in some] for some in seconds_per_step(experiment)]
        every += [milliseconds for some in processes for milliseconds in some]
        _strip(axes, place, experiment, processes, part.frameworks)
    _scale(axes, min(every), max(every))
    name_bars(axes, panel, part.results)
    axes.set_ylim(len(panel) - 0.4, -0.6)
    axes.set_xlabel("milliseconds per step")


def _strip(
    axes: Axes,
    place: int,
    experiment: Experiment,
    processes: Sequence[Sequence[float]],
    frameworks: Sequence[str],
) -> None:
    tint = colour(experiment.case.framework_label, frameworks)
    lanes = np.linspace(-_STRIP / 2, _STRIP / 2, len(processes)) if len(processes) > 1 else [0.0]
    every = max(1, sum(map(len, processes)) // _POINTS)
    points = [
        (milliseconds, place + lane)
        for lane, process in zip(lanes, processes, strict=True)
        for milliseconds in process[::every]
    ]
    (strip,) = axes.plot(*zip(*points, strict=True), marker(experiment.case.variant), color=tint)
    strip.set(markersize=3.2, alpha=0.55, markeredgewidth=0)
    found = [value for process in processes for value in process]
    low, middle, high = np.percentile(found, (25, 50, 75))
    (box,) = axes.barh(
        place, high - low, _BOX, left=low, facecolor="none", edgecolor=tint, linewidth=1.4
    )
    ends = (place - _BOX / 2, place + _BOX / 2)
    (line,) = axes.plot((middle, middle), ends, color=tint, linewidth=2.4)
    words = f"median {significant(middle)} ms, quartiles {significant(low)} to {significant(high)}"
    for artist in (box, line):
        hover(artist, f"{experiment.case.framework_label}: {words}, {many(len(found), 'block')}")


def _scale(axes: Axes, low: float, high: float) -> None:
    """Room around all blocks; logarithmic where they are far apart."""
    if high > _WIDE * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        room = 0.06 * (high - low) or 0.05 * high
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(plain_numbers())


TABLE = Table(
    "blocks",
    "Distribution of block times",
    "Milliseconds of one step in each block of training and inference, over all processes. "
    "*Spread* is the interquartile range over the median. A few slow blocks change a mean, but "
    "hardly the medians that all other tables are made from.",
    block_rows,
    columns,
    charts=(Chart("blocks", blocks, _KINDS),),
    times=_KINDS,
    all_tracks=True,
    lead=extremes("Interquartile range of block times, over their median:", "spread", percent),
)
