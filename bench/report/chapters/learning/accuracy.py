"""Test accuracy: the table, curves while training, and accuracy against throughput."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    PercentFormatter,
)

from bench.analysis.experiments import Experiment, labels, start_of
from bench.analysis.rows import Row, accuracy_rows
from bench.analysis.time_to_accuracy import before_training, startup_of
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.core.text import many
from bench.report.captions import With
from bench.report.charts.accuracy_and_speed import accuracy_vs_throughput
from bench.report.charts.accuracy_seeds import seeds
from bench.report.columns import (
    Column,
    case_of,
    dagger,
    fraction,
    framework_of,
    how,
    number,
    seeds_of,
    who,
    whole,
)
from bench.report.footnotes import has_caveat, signed
from bench.report.format import (
    NOTHING,
    joined,
    known,
    percent,
    percent_interval,
    share,
    significant,
)
from bench.report.leads import extremes
from bench.report.panels import SEEDS, Lines, first_panels, panels_of, signed_title
from bench.report.plot_axes import from_zero, plain_numbers
from bench.report.plot_style import (
    SOFT,
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
from bench.training.recipes import recipe
from bench.training.recipes.optimizers import optimizer_of

_AXES = ("epoch", "seconds")

_EPOCHS, _WITH_STARTUP, _OF_TRAINING = "epochs", "seconds with start-up", "seconds of training"

_LETTERS = 42  # of a title above axes 4.5 inches wide

_TWICE = (
    "The same runs twice: against epochs (what was learnt from the same images) and against "
    "seconds (what that cost: start-up and training, without evaluation)."
)
_ONCE = "What was learnt from the same images; seconds of these trainings are no measurement."

_REMOVED = "removed: the seconds are no measurement"

_STEADY = recipe("steady")

Curve = list[tuple[float, float]]
"""Epochs or seconds, and the test accuracy reached by then."""


def columns(rows: Sequence[Row]) -> list[Column]:
    """Accuracy and what it cost."""
    return [
        *who(),
        Column("test accuracy", lambda row: percent(row["accuracy"])),
        Column(
            "95 % interval", lambda row: percent_interval(row["low"], row["high"]), usual=NOTHING
        ),
        fraction("with flips", "accuracy_with_flips", NOTHING),
        dagger("published †", share),
        number("training (s)", "train_seconds"),
        whole("training images", "train_images"),
        Column("seeds", seeds_of),
        *how(rows),
    ]


def accuracy_curves(part: Part) -> Drawing | None:
    """Test accuracy while training: against epochs, and against seconds where any are known."""
    found = [e for e in part.experiments("accuracy") if _curves(e)]
    if not found:
        return None
    panels, left_out = first_panels(panels_of(found), "accuracy", part.panels)
    names, lines = labels(panels), Lines.of(part.frameworks, panels.values())
    title = f"Accuracy while training, {part.track} track"
    timed = any(_curves(e, "seconds") for panel in panels.values() for e in panel)
    units = _AXES if timed else _AXES[:1]
    columns = part.across(min(2, len(panels) * len(units)))
    rows = -(-len(panels) * len(units) // columns)
    figure = new_figure(part.width(9.8), 1.1 + 2.7 * rows, title, part.data)
    places = chain.from_iterable(grid_of_axes(figure, rows, columns))
    drawn: list[Axes] = []
    for case, panel in panels.items():
        row = list(islice(places, len(units)))
        for axes, unit in zip(row, units, strict=True):
            axes.set_title(
                in_lines(signed_title(names[case], panel, timed=timed), part.letters(_LETTERS))
            )
            shown = [experiment for experiment in panel if _curves(experiment, unit)]
            timed_ones = (r for e in shown for r in e.ok if r.metrics.get("train_seconds"))
            started = all(startup_of(record) for record in timed_ones)
            if not shown:
                axes.text(0.5, 0.5, _REMOVED, transform=axes.transAxes, ha="center", color=SOFT)
                axes.set_axis_off()
                continue
            seconds = _WITH_STARTUP if started else _OF_TRAINING
            axes.set_xlabel(_EPOCHS if unit == "epoch" else seconds)
            for experiment in shown:
                _learning(axes, experiment, _curves(experiment, unit, started), lines)
            axes.set_ylabel("test accuracy")
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
            axes.xaxis.set_major_formatter(plain_numbers())
            from_zero(axes)
            drawn.append(axes)
    highest = max(axes.dataLim.y1 for axes in drawn)
    for axes in drawn:  # one scale, so that starts and networks can be compared
        axes.set_ylim(0, 1.08 * highest)  # room for the marks at the top
    for axes in places:
        axes.set_axis_off()
    networks = [case.variant for case in panels]
    framework_legend(figure, lines.shown, known=lines.known, lines=True, networks=networks)
    return Drawing(
        f"accuracy_curves_{part.track}",
        title,
        f"{_TWICE if timed else _ONCE} {_marks(panels.values())}{left_out}",
        figure,
    )


def _marks(panels: Iterable[Sequence[Experiment]]) -> str:
    """What the lines are, where one is of several seeds."""
    if not any(len(_curves(experiment)) > 1 for panel in panels for experiment in panel):
        return "A line is one seed, a mark an evaluation."
    return (
        f"Thin lines are seeds ({SEEDS} at most), the bold one is the mean of all; a mark is an "
        "evaluation."
    )


def _curves(experiment: Experiment, unit: str = "epoch", started: bool = False) -> list[Curve]:
    """The curves against a unit; seconds that are no measurement have been dropped.

    Args:
        experiment: Its records.
        unit: One of `_AXES`.
        started: Whether seconds count from the start of the process, as in time to accuracy; else
            from the first step.
    """
    found = []
    for record in experiment.ok:
        points: list[dict[str, Any]] = record.metrics.get("curve") or []
        if points and unit in points[0]:
            before = before_training(record) if started and unit == "seconds" else 0.0
            found.append([(point[unit] + before, point["test_accuracy"]) for point in points])
    return found


def _learning(axes: Axes, experiment: Experiment, curves: Sequence[Curve], lines: Lines) -> None:
    name = lines.names[experiment.case]
    tint = colour(name, lines.known)
    xs = [[x for x, _ in curve] for curve in curves]
    ys = [[y for _, y in curve] for curve in curves]
    if len(curves) > 1:
        for x, y in zip(xs[:SEEDS], ys[:SEEDS], strict=True):
            axes.plot(x, y, color=tint, linewidth=0.7, alpha=0.45)
    # Seeds that stopped early (diverged) have shorter curves: the mean goes as far as all do.
    length = min(map(len, ys))
    x = np.mean([x[:length] for x in xs], axis=0)
    y = np.mean([y[:length] for y in ys], axis=0)
    (line,) = axes.plot(
        x,
        y,
        color=tint,
        linewidth=2,
        linestyle=dash(name, lines.known),
        marker=marker(experiment.case.variant),
        markersize=4.5,
    )
    what = f"{percent(float(y[-1]))} after {significant(float(x[-1]))} {axes.get_xlabel()}"
    hover(line, f"{name}: {what} ({many(len(curves), 'seed')})")


def with_and_without_weights(rows: Sequence[Row]) -> str:
    """The accuracies of each network that was trained from pretrained weights, in one framework,
    next to those from scratch: ``imagenet-lrn in pytorch: 68.4 % (…), 35.4 % (scratch, …).``"""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if known(row["accuracy"]):
            groups.setdefault(f"{row['variant']} in {framework_of(row)}", []).append(row)
    found = {
        name: sorted(some, key=lambda row: float(row["accuracy"]), reverse=True)
        for name, some in groups.items()
        if any(row["init"] == "pretrained" for row in some)
    }
    lines = [
        f"{name}: {joined([_with_start(row) for row in _some_starts(some)])}"
        for name, some in list(found.items())[:_STARTS]
    ]
    return f"Test accuracy of {'; '.join(lines)}." if lines else ""


_STARTS = 4
"""Networks, and starts of each, that the sentence names."""


def _some_starts(rows: Sequence[Row]) -> Sequence[Row]:
    """The best ones, of these the best from scratch: rows are in order of accuracy."""
    best, rest = rows[:_STARTS], rows[_STARTS:]
    scratch = next((row for row in rest if row["init"] == "scratch"), None)
    if scratch is None or any(row["init"] == "scratch" for row in best):
        return best
    return [*best[:-1], scratch]


def _with_start(row: Row) -> str:
    conditions = (start_of(case_of(row)), f"recipe {row['recipe']}")
    shown = f"{percent(row['accuracy'])} ({', '.join(conditions)})"
    return signed(shown, on=has_caveat(row, seconds=False))


TABLE = Table(
    "accuracy",
    "Test accuracy",
    (
        "Mean over seeds with a 95 % t interval; one seed has none, nor have two that agree.",
        With(
            ("with flips",),
            "*With flips* is the accuracy of the mean of the logits of each test image and of its "
            "mirror image, which recipes that mirror training images report apart.",
        ),
        "*Training (s)* is of all steps of the recipe with its optimizer, the first step too, "
        "without start-up and evaluation. The images/s of the throughput table are of the steady "
        f"state of another recipe ({_STEADY.name}: {optimizer_of(_STEADY)}), so they are not "
        "images over these seconds. A seed that diverged counts in the mean; one that failed is "
        "named next to the seeds.",
    ),
    accuracy_rows,
    columns,
    charts=(
        Chart("accuracy_curves", accuracy_curves, ("accuracy",)),
        Chart("seeds", seeds, ("accuracy",), timed=False),
        Chart("accuracy_vs_throughput", accuracy_vs_throughput, ("accuracy", TRAIN_THROUGHPUT)),
    ),
    always=True,
    times=("accuracy",),
    lead=extremes("Test accuracy:", "accuracy", percent),
    kinds=("accuracy",),
)
