"""The plot of time to accuracy: the share of seeds that have got there, by the clock."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.analysis.experiments import Data, Experiment, frameworks_of, labels
from bench.analysis.time_to_accuracy import TimeToAccuracy, times_to_accuracy
from bench.core.records import Record
from bench.report.plot_style import (
    SOFT,
    Drawing,
    colour,
    framework_legend,
    grid_of_axes,
    in_lines,
    marker,
    new_figure,
    plain_numbers,
)
from bench.stats.survival import Seed, survival_curve

GOALS = 3
"""Accuracies of a network that are drawn: the highest ones, which tell frameworks apart."""

_LETTERS = 34  # of a title above axes 3.4 inches wide


def time_to_accuracy(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """A row of panels per network, one for each of the highest accuracies that a seed reached."""
    found = [follow for follow in times_to_accuracy(records, data) if follow.thresholds()]
    if not found:
        return None
    names = labels(follow.members[0].peers for follow in found)
    columns = max(min(GOALS, len(follow.thresholds())) for follow in found)
    title = f"Time to accuracy, {track} track"
    figure = new_figure(max(5.5, 0.6 + 3.4 * columns), 1.2 + 2.4 * len(found), title, data)
    frameworks = frameworks_of(records)
    for line, follow in zip(grid_of_axes(figure, len(found), columns), found, strict=True):
        goals = follow.thresholds()[-GOALS:]
        for axes, goal in zip(line, goals, strict=False):
            name = f"{names[follow.members[0].peers]}: {100 * goal:g} %"
            axes.set_title(in_lines(name, _LETTERS))
            _panel(axes, follow, goal, frameworks)
        for axes in line[len(goals) :]:
            axes.set_axis_off()
        line[0].set_ylabel("seeds that got there")
    framework_legend(
        figure, frameworks_of(e.records[0] for f in found for e in f.members), lines=True
    )
    return Drawing(f"time_to_accuracy_{track}", title, _how(found), figure)


def _how(found: Sequence[TimeToAccuracy]) -> str:
    seconds = "Seconds count from the empty process: import, build, compile and training."
    if not all(follow.with_startup for follow in found):
        seconds = (
            "Seconds count from the empty process where the axis says start-up and from the first "
            "step elsewhere, for records that do not tell their start-up."
        )
    return (
        "Further left is sooner: the share of seeds (Kaplan-Meier) whose evaluation has reached "
        "the accuracy. A bar across a line is the end of a seed that never reached it; a dotted "
        f"line is the end that all frameworks of the network share. {seconds}"
    )


def _panel(axes: Axes, follow: TimeToAccuracy, goal: float, frameworks: Sequence[str]) -> None:
    horizon = follow.horizon("seconds")
    for experiment in follow.members:
        if seeds := follow.seeds(experiment, goal, "seconds"):
            _curve(axes, experiment, seeds, frameworks)
    axes.axvline(horizon, color=SOFT, linewidth=0.9, linestyle=":")
    axes.set_xlim(left=0)
    axes.set_ylim(-0.05, 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("seconds with start-up" if follow.with_startup else "seconds of training")


def _curve(
    axes: Axes, experiment: Experiment, seeds: Sequence[Seed], frameworks: Sequence[str]
) -> None:
    """Steps up where seeds arrive (marked), flat to the end, ticks where seeds end without it."""
    framework = experiment.case.framework
    tint = colour(framework, frameworks)
    curve = survival_curve(seeds)
    x, y = [0.0, *curve.times], [0.0, *(1 - share for share in curve.shares)]
    axes.step(x, y, where="post", color=tint, linewidth=1.6)
    arrived = {seed.time for seed in seeds if seed.reached}
    level = dict(zip(x, y, strict=True))
    axes.plot(
        sorted(arrived),
        [level[time] for time in sorted(arrived)],
        marker=marker(framework, frameworks),
        markersize=5.5,
        color=tint,
        linestyle="",
    )
    ended = sorted({seed.time for seed in seeds if not seed.reached})
    ticks = [level[time] for time in ended]
    axes.plot(ended, ticks, "|", color=tint, markersize=11, markeredgewidth=1.6)
