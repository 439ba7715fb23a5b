"""Plots of what was learnt: curves, classes, confusions, and accuracy against throughput."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from bench.analysis.experiments import Data, Experiment, experiments, frameworks_of, labels
from bench.analysis.speeds import speeds
from bench.core.case import Case
from bench.core.records import Record
from bench.report.chapters.plots_speed import panels_of
from bench.report.plot_style import (
    INK,
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
from bench.stats import estimates

_AXES = {"epoch": "epochs", "seconds": "seconds of training"}

_LETTERS = 48  # of a title above axes 4.5 inches wide

Curve = list[dict[str, Any]]


def accuracy_curves(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Test accuracy while training: against epochs on the left, against seconds on the right."""
    found = [e for e in experiments(records, ("accuracy",)) if _curves(e)]
    if not found:
        return None
    panels = panels_of(found)
    names = labels(panels)
    title = f"Accuracy while training, {track} track"
    figure = new_figure(9.8, 1.1 + 2.7 * len(panels), title, data)
    for row, (case, panel) in zip(
        grid_of_axes(figure, len(panels), 2), panels.items(), strict=True
    ):
        for axes, unit in zip(row, _AXES, strict=True):
            axes.set_title(in_lines(names[case], _LETTERS))
            for experiment in panel:
                _learning(axes, experiment, unit, frameworks_of(records))
            axes.set_xlabel(_AXES[unit])
            axes.set_ylabel("test accuracy")
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.xaxis.set_major_formatter(plain_numbers())
            axes.set_xlim(left=0)
            axes.set_ylim(0, 1.08 * axes.dataLim.y1)  # room for the marks at the top
    framework_legend(figure, frameworks_of(e.records[0] for e in found), lines=True)
    return Drawing(
        f"accuracy_curves_{track}",
        title,
        "The same runs twice: against epochs (what was learnt from the same pictures) and against "
        "seconds (what that cost). Thin lines are seeds, the bold one is their mean.",
        figure,
    )


def _curves(experiment: Experiment) -> list[Curve]:
    return [record.metrics["curve"] for record in experiment.ok if record.metrics.get("curve")]


def _learning(axes: Axes, experiment: Experiment, unit: str, frameworks: Sequence[str]) -> None:
    framework = experiment.case.framework
    tint = colour(framework, frameworks)
    curves = _curves(experiment)
    xs = [[point[unit] for point in curve] for curve in curves]
    ys = [[point["test_accuracy"] for point in curve] for curve in curves]
    if len(curves) > 1:
        for x, y in zip(xs, ys, strict=True):
            axes.plot(x, y, color=tint, linewidth=0.7, alpha=0.45)
    # Seeds that stopped early (diverged) have shorter curves: the mean goes as far as all do.
    length = min(map(len, ys))
    x = np.mean([x[:length] for x in xs], axis=0)
    y = np.mean([y[:length] for y in ys], axis=0)
    axes.plot(x, y, color=tint, linewidth=2, marker=marker(framework, frameworks), markersize=4.5)


def per_class(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """A dot per framework for each class, a panel per network."""
    found = [
        e
        for e in experiments(records, ("accuracy",))
        if any(r.metrics.get("per_class") for r in e.ok)
    ]
    if not found:
        return None
    panels = panels_of(found)
    names = labels(panels)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    classes = list(_per_class(found[0]))
    title = f"Accuracy by class, {track} track"
    figure = new_figure(5 * columns, 1.3 + rows * (0.8 + 0.29 * len(classes)), title, data)
    places = [axes for row in grid_of_axes(figure, rows, columns) for axes in row]
    for axes, (case, panel) in zip(places, panels.items(), strict=False):
        axes.set_title(in_lines(names[case], _LETTERS))
        _dots(axes, panel, frameworks_of(records))
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    framework_legend(figure, frameworks_of(e.records[0] for e in found))
    return Drawing(
        f"per_class_{track}",
        title,
        "Further right is better: the share of a class's test pictures that were named rightly, "
        "mean over seeds. The scale does not start at zero.",
        figure,
    )


def _per_class(experiment: Experiment) -> dict[str, float]:
    told = [r.metrics["per_class"] for r in experiment.ok if r.metrics.get("per_class")]
    return {name: float(np.mean([seed[name] for seed in told])) for name in told[0]}


def _dots(axes: Axes, panel: Sequence[Experiment], frameworks: Sequence[str]) -> None:
    classes = list(_per_class(panel[0]))
    for place, experiment in enumerate(panel):
        framework = experiment.case.framework
        shift = 0.16 * (place - (len(panel) - 1) / 2)  # side by side where they agree
        axes.plot(
            list(_per_class(experiment).values()),
            np.arange(len(classes)) + shift,
            marker(framework, frameworks),
            color=colour(framework, frameworks),
            markersize=5.5,
        )
    axes.set_yticks(range(len(classes)), classes)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def confusion(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """A small matrix per network and framework, each row a true class that sums to 100 %."""
    found = [
        e
        for e in experiments(records, ("accuracy",))
        if any(r.metrics.get("confusion") for r in e.ok)
    ]
    if not found:
        return None
    # One matrix per place: here cases that differ in precision stand apart in either track.
    panels: dict[Case, list[Experiment]] = {}
    for experiment in found:
        panels.setdefault(replace(experiment.case, framework=""), []).append(experiment)
    names = labels(panels)
    frameworks = frameworks_of(e.records[0] for e in found)
    title = f"Confusion of classes, {track} track"
    figure = new_figure(max(5.5, 1.3 + 2.2 * len(frameworks)), 1.1 + 2.8 * len(panels), title, data)
    grid = grid_of_axes(figure, len(panels), len(frameworks))
    for row, (case, panel) in zip(grid, panels.items(), strict=True):
        by_name = {experiment.case.framework: experiment for experiment in panel}
        for axes, framework in zip(row, frameworks, strict=True):
            if framework in by_name:
                axes.set_title(f"{in_lines(names[case], 26)}\n{framework}", fontsize=9)
                _matrix(axes, by_name[framework], first=axes is row[0])
            else:
                axes.set_axis_off()
    return Drawing(
        f"confusion_{track}",
        title,
        "Rows are true classes, columns what the network said; a darker square is a larger share "
        "of its row, on a square-root scale. Mistakes are off the diagonal; the figures on it are "
        "percentages. Seeds are added up.",
        figure,
    )


def _matrix(axes: Axes, experiment: Experiment, *, first: bool) -> None:
    told = [r.metrics for r in experiment.ok if r.metrics.get("confusion")]
    counts = np.sum([np.asarray(m["confusion"], dtype=float) for m in told], axis=0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = told[0].get("classes") or [str(i) for i in range(len(counts))]
    # By its square root: a mistake of 5 % must be seen beside a diagonal of 70 %.
    axes.pcolormesh(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1, edgecolor="w", linewidth=0.3)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    middles = np.arange(len(classes)) + 0.5
    axes.set_xticks(middles, classes, rotation=90, fontsize=7)
    axes.set_yticks(middles, classes if first else [], fontsize=7)
    for i, share in enumerate(np.diagonal(shares)):
        tint = "white" if share > 0.3 else INK
        axes.text(
            i + 0.5, i + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=6, color=tint
        )


def accuracy_vs_throughput(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """A mark per network and framework: training images/s across, test accuracy up."""
    accuracies = [e for e in experiments(records, ("accuracy",)) if e.ok]
    rates = {
        _whatever_the_recipe(e): estimates.median_estimate(speeds(e)).value
        for e in experiments(records, ("train_throughput",))
        if e.ok
    }
    both = [e for e in accuracies if _whatever_the_recipe(e) in rates]
    if not both:
        return None
    title = f"Accuracy against training throughput, {track} track"
    figure = new_figure(8.2, 5, title, data)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    names = labels(panels_of(both))
    for case, panel in panels_of(both).items():
        points = np.array(
            [(rates[_whatever_the_recipe(e)], np.mean([r.samples[0] for r in e.ok])) for e in panel]
        )
        _cloud(axes, [e.case.framework for e in panel], points, frameworks_of(records))
        _name_cloud(axes, names[case], points)
    axes.margins(0.12, 0.15)
    _scale_across(axes, [rates[_whatever_the_recipe(e)] for e in both])
    axes.set_ylabel("test accuracy, mean over seeds")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    framework_legend(figure, frameworks_of(e.records[0] for e in both))
    return Drawing(
        f"accuracy_vs_throughput_{track}",
        title,
        "Further right is faster, further up more accurate; a thin line joins the frameworks of "
        "one network.",
        figure,
    )


def _whatever_the_recipe(experiment: Experiment) -> Case:
    """Speed does not depend on the schedule, so a row of either kind may have its own recipe."""
    return replace(experiment.case, recipe="")


def _cloud(
    axes: Axes, names: Sequence[str], points: NDArray[np.float64], frameworks: Sequence[str]
) -> None:
    """Draw `points`, (frameworks, 2), and the line that joins them."""
    ordered = points[np.argsort(points[:, 0])]
    axes.plot(ordered[:, 0], ordered[:, 1], color=SOFT, linewidth=0.7, alpha=0.6, zorder=1)
    for name, (x, y) in zip(names, points, strict=True):
        axes.plot(x, y, marker(name, frameworks), color=colour(name, frameworks), markersize=8)


def _name_cloud(axes: Axes, name: str, points: NDArray[np.float64]) -> None:
    x, y = points[np.argmax(points[:, 0])]
    axes.annotate(name, (x, y), xytext=(9, 0), textcoords="offset points", va="center", fontsize=8)


def _scale_across(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic where networks differ widely; labelled 500, 1,000 in either case."""
    axes.set_xlabel("training images/s")
    if max(values) > 5 * min(values):
        axes.set_xscale("log")
        axes.set_xlabel("training images/s (logarithmic)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(plain_numbers())
