"""The plot of seeds: every final accuracy as a point, with the mean and its interval below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.analysis.experiments import Experiment, labels
from bench.analysis.rows import mean_over_seeds
from bench.report.format import SHARE, percent
from bench.report.panels import first_panels, panels_of, signed_names
from bench.report.plot_axes import LEAST_ACCURACY, Interval, draw_interval, ends_of, possible
from bench.report.plot_style import (
    ALONE,
    INK,
    SOFT,
    Drawing,
    colour,
    hover,
    in_lines,
    legend_below,
    marker,
    name_rows,
    new_figure,
)
from bench.report.report import Part

_LETTERS = 50  # of a title above axes 5 inches wide
_LIFT = 0.24  # of the seeds above the line of their framework; the mean is as far below it
_DIVERGED = "X"
_CUT = 2.0
"""Distance beyond the outermost points to which intervals are drawn, over that between them."""


def seeds(part: Part) -> Drawing | None:
    """A panel per network, a line per framework: its seeds above, mean and interval below.

    None where no line has two seeds: there is nothing that spreads.
    """
    panels = panels_of(part.experiments("accuracy"))
    panels = {case: panel for case, panel in panels.items() if any(e.ok for e in panel)}
    if not any(len(e.ok) > 1 for panel in panels.values() for e in panel):
        return None
    panels, left_out = first_panels(panels, "accuracy", part.panels)
    names = labels(panels)
    title = f"Every seed's accuracy, {part.track} track"
    lines = [len(panel) for panel in panels.values()]
    figure = new_figure(
        part.width(ALONE), 1.3 + sum(0.8 + 0.48 * n for n in lines), title, part.data
    )
    heights = [0.8 + 0.48 * n for n in lines]
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (axes,), (case, panel) in zip(grid, panels.items(), strict=True):
        axes.set_title(in_lines(names[case], part.letters(_LETTERS)))
        _panel(axes, panel, part.frameworks)
    legend_below(figure, _legend(panels.values()))
    return Drawing(
        f"seeds_{part.track}",
        title,
        "A point is the test accuracy at the end of one seed's training, a cross that of one "
        "that diverged; both are in the mean. The line below them is the mean with its 95 % t "
        "interval, unless there is one seed or two agree; an arrow with a value is an end beyond "
        "the panel. Failed seeds have no point and are counted below the name. Scales do not start "
        f"at zero.{left_out}",
        figure,
    )


def _panel(axes: Axes, panel: Sequence[Experiment], frameworks: Sequence[str]) -> None:
    for place, experiment in enumerate(panel):
        _points(axes, place, experiment, frameworks)
    _frame(axes, [r.samples[0] for e in panel for r in e.ok], list(map(_interval, panel)))
    for place, experiment in enumerate(panel):
        _mean(axes, place, experiment)
    names = zip(signed_names(panel, timed=False), panel, strict=True)
    name_rows(axes, dict(enumerate(_label(name, experiment) for name, experiment in names)))
    axes.set_ylim(len(panel) - 0.4, -0.6)  # the first on top
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_xlabel("test accuracy")


def _frame(axes: Axes, values: Sequence[float], intervals: Sequence[Interval]) -> None:
    """As wide as points and intervals; those of two seeds, which would make dots of the points, are
    cut at twice the distance between the outermost points."""
    low, high = min(values), max(values)
    room = max(high - low, LEAST_ACCURACY)
    ends = ends_of(intervals)
    left = max(min([*ends, low - 0.5 * room]), low - _CUT * room)
    right = min(max([*ends, high + 0.5 * room]), high + _CUT * room)
    axes.set_xlim(max(left - 0.05 * room, -0.02), min(right + 0.05 * room, 1.02))


def _points(axes: Axes, place: int, experiment: Experiment, frameworks: Sequence[str]) -> None:
    framework = experiment.case.framework_label
    gone = [bool(record.metrics.get("diverged")) for record in experiment.ok]
    values = np.array([record.samples[0] for record in experiment.ok])
    for shape, chosen in (
        (marker(experiment.case.variant), ~np.array(gone, dtype=bool)),
        (_DIVERGED, np.array(gone, dtype=bool)),
    ):
        (marks,) = axes.plot(
            values[chosen],
            np.full(chosen.sum(), place - _LIFT),
            shape,
            color=colour(framework, frameworks),
            markersize=7,
            alpha=0.75,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
        shown = ", ".join(percent(float(value)) for value in values[chosen])
        hover(marks, f"{framework}: {shown}")


def _interval(experiment: Experiment) -> Interval:
    """The mean over seeds with its interval, as far as an accuracy can lie."""
    return possible(mean_over_seeds([record.samples[0] for record in experiment.ok]))


def _mean(axes: Axes, place: int, experiment: Experiment) -> None:
    found = _interval(experiment)
    if found[1] is None:
        return  # one seed is its own mean, and so are two that agree
    y = place + _LIFT
    draw_interval(axes, y, found, axes.get_xlim(), show=SHARE.value, width=1.4)
    axes.plot(found[0], y, "|", color=INK, markersize=9, markeredgewidth=1.8)


def _label(name: str, experiment: Experiment) -> str:
    """Name, seeds, and below it what went wrong: ``2 of 3 seeds, 1 failed``."""
    asked = len(experiment.records)
    got = f"{len(experiment.ok)} of {asked}" if experiment.failed else f"{asked}"
    words = [f"{got} seed" + ("" if asked == 1 else "s")]
    words += [f"{experiment.failed} failed"] if experiment.failed else []
    words += [f"{experiment.diverged} diverged"] if experiment.diverged else []
    return f"{name}\n{', '.join(words)}"


def _legend(panels: Iterable[Sequence[Experiment]]) -> list[Line2D]:
    """What is drawn, and nothing else."""
    found = [experiment for panel in panels for experiment in panel]
    handles = (
        (
            any(len(e.ok) > e.diverged for e in found),
            Line2D([], [], color=SOFT, marker="o", linestyle="", label="a seed"),
        ),
        (
            any(e.diverged for e in found),
            Line2D([], [], color=SOFT, marker=_DIVERGED, linestyle="", label="one that diverged"),
        ),
        (
            any(_interval(e)[1] is not None for e in found if e.ok),
            Line2D([], [], color=INK, marker="|", markersize=9, label="mean, 95 % interval"),
        ),
    )
    return [handle for drawn, handle in handles if drawn]
