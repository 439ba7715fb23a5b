"""The plot of the waterfall: a bar for what each default changes, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.ablation import (
    StageResult,
    Stages,
    accuracy_change,
    geometric_mean,
    mean,
    rate_change,
    stages_by_network,
)
from bench.analysis.experiments import Data, framework_place, labels
from bench.core.records import Record
from bench.report.format import known, percent, significant
from bench.report.plot_style import INK, SOFT, Drawing, colour, new_figure
from bench.stats.estimates import Estimate

_BAR = 0.62
_REACH = 2.0  # an interval is drawn as far as this times the longest bar: few seeds give huge ones


@dataclass(frozen=True)
class _Measure:
    """One column of the figure."""

    title: str
    axis: str
    change: Callable[[StageResult | None, StageResult], Estimate]
    of: Callable[[StageResult], dict[int, float]]
    level: Callable[[Sequence[float]], Estimate]
    """Mean over seeds, as in the table."""
    show: Callable[[float], str]


def _percent_change(before: StageResult | None, step: StageResult) -> Estimate:
    return Estimate(*(None if x is None else 100 * (x - 1) for x in rate_change(before, step)))  # type: ignore[arg-type]


def _points(before: StageResult | None, step: StageResult) -> Estimate:
    return Estimate(*(None if x is None else 100 * x for x in accuracy_change(before, step)))  # type: ignore[arg-type]


_MEASURES = (
    _Measure("test accuracy", "points of accuracy", _points, StageResult.accuracies, mean, percent),
    _Measure(
        "training images/s",
        "% of images/s",
        _percent_change,
        StageResult.rates,
        geometric_mean,
        significant,
    ),
)


def defaults(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Bars of change, a row of panels per network and framework: accuracy left, images/s right."""
    found = stages_by_network([record for record in records if record.case.track == track])
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
    limits = [_limit([steps for _, _, steps in rows], measure) for measure in _MEASURES]
    grid = figure.subplots(
        len(rows), 2, squeeze=False, height_ratios=[0.95 + 0.27 * n for n in bars]
    )
    for line, (network, name, steps) in zip(grid, rows, strict=True):
        for axes, measure, limit in zip(line, _MEASURES, limits, strict=True):
            axes.set_title(_heading(f"{names[network]}, {name}", steps, measure), fontsize=9)
            axes.set_xlabel(f"change, {measure.axis}")
            _bars(axes, _changes(steps, measure), limit, colour(name, frameworks))
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
        "seeds; a line that crosses zero is inconclusive, an arrow says that it "
        "goes on beyond the panel. Above each panel: "
        "the level at framework defaults and at shared ones.",
        figure,
    )


def _heading(name: str, steps: Stages, measure: _Measure) -> str:
    """``cifar-bn, pytorch: test accuracy 41.0 % → 47.2 %``."""
    measured = [step for step in steps if step.measured]
    ends = [measure.of(step) for step in (measured[0], measured[-1])]
    levels = [measure.show(measure.level(list(end.values())).value) if end else "?" for end in ends]
    return f"{name}: {measure.title} {' → '.join(levels)}"


def _changes(steps: Stages, measure: _Measure) -> list[tuple[StageResult, Estimate]]:
    """Every stage behind the first with what it changed against the one before that was run."""
    found = []
    before = steps[0]
    for step in steps[1:]:
        found.append((step, measure.change(before, step)))
        before = step if step.records else before
    return found


def _limit(columns: Sequence[Stages], measure: _Measure) -> float:
    """How far from zero an interval is drawn in a column of panels."""
    changes = [change.value for steps in columns for _, change in _changes(steps, measure)]
    return _REACH * max([abs(value) for value in changes if known(value)] + [0.5])


def _bars(
    axes: Axes, changes: Sequence[tuple[StageResult, Estimate]], limit: float, tint: str
) -> None:
    """One bar a stage; where there is none, why not."""
    for place, (step, change) in enumerate(changes):
        if known(change.value):
            _bar(axes, place, change, limit, tint)
        else:
            _remark(axes, place, _why_no_bar(step))
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylim(len(changes) - 0.4, -0.6)  # the first on top
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))


def _why_no_bar(step: StageResult) -> str:
    if not step.records:
        return "not run" if step.measured else "already its default"
    return "no result before it" if any(r.ok for r in step.records) else "no result"


def _bar(axes: Axes, place: int, change: Estimate, limit: float, tint: str) -> None:
    value, low, high = change
    axes.barh(place, value, _BAR, color=tint)
    ends = [0.0, value]
    if low is not None and high is not None:
        shown = (max(low, -limit), min(high, limit))
        axes.plot(shown, (place, place), color=INK, linewidth=1.6)
        for end, whole, arrow in zip(shown, (low, high), "<>", strict=True):
            if end != whole:
                axes.plot(end, place, arrow, color=INK, markersize=5)
        ends += shown
    # Beyond the interval, on the side to which the bar points.
    rising = value >= 0
    axes.annotate(
        f"{round(value, 1) + 0.0:+.1f}",  # no -0.0
        (max(ends) if rising else min(ends), place),
        xytext=(5 if rising else -5, 0),
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
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    room = 0.16 * max(high - low, 1.0)
    for axes in column:
        axes.set_xlim(low - room, high + room)
