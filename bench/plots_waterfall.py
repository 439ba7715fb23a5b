"""The plot of the waterfall: a bar for what each default changes, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.grouping import Data, framework_place, labels
from bench.markup import known, percent, significant
from bench.plot_style import INK, SOFT, Drawing, colour, new_figure
from bench.records import Record
from bench.stats import Estimate
from bench.waterfall import Ladder, Step, accuracy_change, ladders, rate_change

_BAR = 0.62


@dataclass(frozen=True)
class _Measure:
    """One column of the figure."""

    title: str
    axis: str
    change: Callable[[Step | None, Step], Estimate]
    of: Callable[[Step], dict[int, float]]
    show: Callable[[float], str]
    """A level: the mean over seeds at a stage."""


def _percent_change(before: Step | None, step: Step) -> Estimate:
    return Estimate(*(None if x is None else 100 * (x - 1) for x in rate_change(before, step)))  # type: ignore[arg-type]


def _points(before: Step | None, step: Step) -> Estimate:
    return Estimate(*(None if x is None else 100 * x for x in accuracy_change(before, step)))  # type: ignore[arg-type]


_MEASURES = (
    _Measure(
        "test accuracy", "points of accuracy", _points, Step.accuracies, lambda x: percent(x, 1)
    ),
    _Measure(
        "training images/s", "% of images/s", _percent_change, Step.rates, lambda x: significant(x)
    ),
)


def defaults(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Bars of change, a row of panels per network and framework: accuracy left, images/s right."""
    found = ladders([record for record in records if record.case.track == track])
    rows = [
        (network, name, steps)
        for network, frameworks in found.items()
        for name, steps in frameworks.items()
        if any(step.accuracies() for step in steps)
    ]
    if not rows:
        return None
    title = "What each default costs, from a framework's own to the shared ones"
    bars = [len(steps) - 1 for _, _, steps in rows]
    figure = new_figure(11.5, 1.1 + sum(0.95 + 0.27 * n for n in bars), title, data)
    names = labels(network for network, _, _ in rows)
    frameworks = sorted({name for _, name, _ in rows}, key=framework_place)
    grid = figure.subplots(
        len(rows), 2, squeeze=False, height_ratios=[0.95 + 0.27 * n for n in bars]
    )
    for line, (network, name, steps) in zip(grid, rows, strict=True):
        for axes, measure in zip(line, _MEASURES, strict=True):
            axes.set_title(_heading(f"{names[network]}, {name}", steps, measure), fontsize=9)
            _bars(axes, steps, measure, colour(name, frameworks))
            axes.set_yticks(
                range(len(steps) - 1),
                [step.title for step in steps[1:]] if axes is line[0] else [],
            )
    for place in range(2):
        _same_scale([line[place] for line in grid])
    return Drawing(
        f"defaults_{track}",
        title,
        "Top to bottom, one default after the other is switched to the shared value and kept "
        "there. A bar is the change to the stage before, the thin line its 95 % interval over "
        "seeds, paired by seed; a line that crosses zero was not told apart. Above each panel: "
        "the level at own defaults and when all is shared.",
        figure,
    )


def _heading(name: str, steps: Ladder, measure: _Measure) -> str:
    """``cifar-bn, pytorch: test accuracy 41.0 % → 47.2 %``."""
    measured = [step for step in steps if step.measured]
    ends = [measure.of(step) for step in (measured[0], measured[-1])]
    levels = [measure.show(sum(end.values()) / len(end)) if end else "?" for end in ends]
    return f"{name}: {measure.title} {' → '.join(levels)}"


def _bars(axes: Axes, steps: Ladder, measure: _Measure, tint: str) -> None:
    """One bar a stage; where there is none, why not."""
    before = steps[0]
    for place, step in enumerate(steps[1:]):
        change = measure.change(before, step)
        if known(change.value):
            _bar(axes, place, change, tint)
        else:
            _remark(axes, place, _why_no_bar(step))
        before = step if step.records else before
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylim(len(steps) - 1.4, -0.6)  # the first on top
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"change, {measure.axis}")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))


def _why_no_bar(step: Step) -> str:
    if not step.records:
        return "not run" if step.measured else "already its default"
    return "no result before it" if any(r.ok for r in step.records) else "no result"


def _bar(axes: Axes, place: int, change: Estimate, tint: str) -> None:
    value, low, high = change
    axes.barh(place, value, _BAR, color=tint)
    ends = [value]
    if low is not None and high is not None:
        axes.plot((low, high), (place, place), color=INK, linewidth=1.6)
        ends += [low, high]
    # Beyond the interval, on the side to which the bar points.
    rising = value >= 0
    axes.annotate(
        f"{value:+.1f}",
        (max(*ends, 0) if rising else min(*ends, 0), place),
        xytext=(4 if rising else -4, 0),
        textcoords="offset points",
        va="center",
        ha="left" if rising else "right",
        fontsize=8,
    )


def _remark(axes: Axes, place: int, text: str) -> None:
    axes.annotate(
        text,
        (0, place),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=SOFT,
        style="italic",
    )


def _same_scale(column: Sequence[Axes]) -> None:
    """One scale down a column, with room for the figures at both ends."""
    ends = [end for axes in column for end in (axes.dataLim.x0, axes.dataLim.x1)]
    low, high = (min([*ends, 0.0], key=_finite), max([*ends, 0.0], key=_finite))
    room = 0.16 * max(high - low, 1.0)
    for axes in column:
        axes.set_xlim(low - room, high + room)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
