"""Ablation of defaults: what each of a framework's defaults costs, its plot, and a line per
network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.ablation import (
    GAP_DEFAULTS,
    GAP_SHARED,
    StageResult,
    Stages,
    ablation_rows,
    accuracy_change,
    geometric_mean,
    rate_change,
    stages_by_network,
)
from bench.analysis.caveats import footnotes_on, is_removed
from bench.analysis.experiments import framework_place, labels
from bench.analysis.results import Results
from bench.analysis.rows import Row, mean_over_seeds
from bench.core.case import Case
from bench.report.columns import (
    Column,
    case_of,
    execution,
    naming,
    number,
    seeds_of,
    text,
    whole,
)
from bench.report.footnotes import has_caveat, signed
from bench.report.format import (
    CHANGE,
    NOTHING,
    known,
    percent,
    percent_interval,
    points,
    ratio,
    significant,
)
from bench.report.panels import first_lines
from bench.report.plot_axes import draw_interval, reach
from bench.report.plot_style import (
    INK,
    SOFT,
    Drawing,
    colour,
    grid_of_axes,
    hover,
    in_lines,
    name_rows,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats.estimates import Estimate
from bench.training.tracks import TRACKS

_LINE, _LINE_ABOVE = 0.27, 0.42  # inches of a bar, and of one with its name above it
_ABOVE = 0.36  # of that, from the middle of a bar to its name
_BAR = 0.62


def rows_of(results: Results) -> list[Row]:
    """A row per stage, and two per framework after the first one for the gap at both ends."""
    return ablation_rows(results.records, results.data)


def columns(rows: Sequence[Row]) -> list[Column]:
    """Network, framework, what was switched, and what that did."""
    return [
        naming("network", "variant"),
        naming("framework", "framework"),
        execution(),
        naming("switched", "switched"),
        Column("test accuracy", _accuracy),
        Column("change (points)", _accuracy_change),
        number("images/s", "images_per_second"),
        Column("change (x)", _rate_change),
        Column("from → to", from_to, right=False),
        Column("seeds", _seeds),
        text("recipe", "recipe", usual="ablation"),
        whole("batch", "batch_size"),
    ]


def _accuracy_change(row: Row) -> str:
    return points(row["delta"], row["delta_low"], row["delta_high"])


def _rate_change(row: Row) -> str:
    return ratio(row["ratio"], row["ratio_low"], row["ratio_high"])


def _seeds(row: Row) -> str:
    """How many gave a result; for a stage without runs of its own, why."""
    if row["status"] == "already its default":
        return str(row["status"])
    return seeds_of(row) if row["seeds"] + row["failed"] else "not run"


def from_to(row: Row) -> str:
    """``1e-3 → 1e-5``, or the default alone where there was nothing to switch."""
    if row["status"] == "already its default":
        return str(row["default"])
    return f"{row['default']} → {row['shared']}" if row["shared"] else NOTHING


def _accuracy(row: Row) -> str:
    ends = percent_interval(row["accuracy_low"], row["accuracy_high"])
    shown = percent(row["accuracy"])
    return shown if ends == NOTHING else f"{shown} {ends.removesuffix(' %')}"


def gap_lines(rows: Sequence[Row]) -> list[str]:
    """A line per network and pair of frameworks: the gap between them at both ends."""
    ends: dict[Case, dict[str, Row]] = {}
    for row in rows:
        if row["status"] == "gap":
            ends.setdefault(case_of(row), {})[row["stage"]] = row
    names = labels(replace(case, framework="") for case in ends)
    return [
        f"{signed(names[replace(case, framework='')], on=any(map(has_caveat, found.values())))}: "
        f"gap between the frameworks ({case.framework}): "
        f"at framework defaults {_gap(found[GAP_DEFAULTS])} → "
        f"at shared ones {_gap(found[GAP_SHARED])}."
        for case, found in ends.items()
    ]


def _gap(row: Row) -> str:
    accuracy = points(row["delta"], row["delta_low"], row["delta_high"])
    speed = ratio(row["ratio"], row["ratio_low"], row["ratio_high"])
    return f"{accuracy} points" + ("" if speed == NOTHING else f" and {speed} in images/s")


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
    timed: bool = False
    """Whether caveats on seconds are caveats of it."""


_Change = tuple[StageResult, StageResult, Estimate]


def _percent_change(before: StageResult | None, step: StageResult) -> Estimate:
    return Estimate(*(None if x is None else 100 * (x - 1) for x in rate_change(before, step)))  # type: ignore[arg-type]


def _points(before: StageResult | None, step: StageResult) -> Estimate:
    return Estimate(*(None if x is None else 100 * x for x in accuracy_change(before, step)))  # type: ignore[arg-type]


_MEASURES = (
    _Measure(
        "test accuracy",
        "points of accuracy",
        _points,
        StageResult.accuracies,
        mean_over_seeds,
        percent,
    ),
    _Measure(
        "training images/s",
        "% of images/s",
        _percent_change,
        StageResult.rates,
        geometric_mean,
        significant,
        timed=True,
    ),
)


def _ladders(results: Results) -> dict[Case, dict[str, Stages]]:
    return stages_by_network(results.records)


def defaults(part: Part) -> Drawing | None:
    """Bars of change, a row of panels per network and framework: accuracy left, images/s right."""
    if not part.certified or part.track not in TRACKS or not TRACKS[part.track].stages:
        return None
    found = part.results.once(_ladders)
    all_rows = [
        (network, name, steps)
        for network, frameworks in found.items()
        for name, steps in frameworks.items()
        if any(step.accuracies() for step in steps)
    ]
    if not all_rows:
        return None
    rows, left_out = first_lines(all_rows, "ablation", 2 * part.panels)
    title = "Ablation of defaults, from a framework's own to the shared ones"
    columns = part.across(len(_MEASURES))
    each = _LINE_ABOVE if part.narrow else _LINE
    heights = [0.95 + each * (len(steps) - 1) for _, _, steps in rows]
    heights = [height for height in heights for _ in range(len(_MEASURES) // columns)]
    figure = new_figure(part.width(13), 1.1 + sum(heights), title, part.data)
    names = labels(network for network, _, _ in rows)
    frameworks = sorted({name for _, name, _ in rows}, key=lambda n: framework_place(n.split()[0]))
    limits = [_limit([steps for _, _, steps in rows], measure) for measure in _MEASURES]
    places = chain.from_iterable(grid_of_axes(figure, len(heights), columns, heights))
    grid = [list(islice(places, len(_MEASURES))) for _ in rows]
    for line, (network, name, steps) in zip(grid, rows, strict=True):
        for axes, measure, limit in zip(line, _MEASURES, limits, strict=True):
            who = signed(f"{names[network]}, {name}", on=_caveats(steps, measure))
            heading = _heading(who, steps, measure)
            axes.set_title(in_lines(heading, part.letters(len(heading)) + 12), fontsize=9)
            axes.set_xlabel(f"change, {measure.axis}")
            _bars(axes, _changes(steps, measure), limit, colour(name, frameworks), measure)
            titles = [step.title for step in steps[1:]] if axes is line[0] or part.narrow else []
            above = _ABOVE if part.narrow else None
            name_rows(axes, dict(enumerate(titles)), above=above, size=9 if part.narrow else 10)
            axes.set_ylim(top=-_ABOVE - 0.4 if part.narrow else -0.6)
    for place in range(2):
        _same_scale([line[place] for line in grid])
    return Drawing(
        f"defaults_{part.track}",
        title,
        "Top to bottom, one default after the other is switched to the shared value and left "
        "there. A bar is the change to the stage before, the thin line its 95 % interval over "
        "seeds. A bar whose line crosses zero is inconclusive and hollow, and what one seed alone "
        "gives is a hollow mark without a bar. An arrow is an end beyond the panel; the figures "
        "after the panel have it. Above each panel: the level at the framework's defaults and when "
        f"all is shared.{left_out}",
        figure,
    )


def _caveats(steps: Stages, measure: _Measure) -> list[str]:
    return footnotes_on((record for step in steps for record in step.ok), timed=measure.timed)


def _heading(name: str, steps: Stages, measure: _Measure) -> str:
    """``cifar-bn, pytorch: test accuracy 41.0 % → 47.2 %``."""
    measured = [step for step in steps if step.measured]
    ends = [measure.of(step) for step in (measured[0], measured[-1])]
    levels = [measure.show(measure.level(list(end.values())).value) if end else "?" for end in ends]
    return f"{name}: {measure.title}" + (f" {' → '.join(levels)}" if any(ends) else "")


def _changes(steps: Stages, measure: _Measure) -> list[_Change]:
    """Every stage after the first with the one before it that was run, and what it changed."""
    found = []
    before = steps[0]
    for step in steps[1:]:
        found.append((before, step, measure.change(before, step)))
        before = step if step.records else before
    return found


def _limit(columns: Sequence[Stages], measure: _Measure) -> float:
    """How far from zero an interval is drawn in a column of panels."""
    changes = [change for steps in columns for _, _, change in _changes(steps, measure)]
    return reach([change for change in changes if known(change.value)])


def _bars(
    axes: Axes,
    changes: Sequence[_Change],
    limit: float,
    tint: str,
    measure: _Measure,
) -> None:
    """One bar a stage; where there is none, why not."""
    for place, (before, step, change) in enumerate(changes):
        if known(change.value):
            _bar(axes, place, change, limit, tint, len(step.ok))
        else:
            _remark(axes, place, _why_no_bar(before, step, timed=measure.timed))
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylim(len(changes) - 0.4, -0.6)  # the first on top
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))


def _why_no_bar(before: StageResult, step: StageResult, *, timed: bool) -> str:
    if not step.records:
        return "not run" if step.measured else "already its default"
    if step.ok and all(map(is_removed, step.ok)):
        return "removed: the seconds are no measurement"
    if not step.ok:
        return "no result"
    if not before.ok:
        return "no result before it"
    return (
        "no steady images/s"
        if timed and not (step.rates() and before.rates())
        else "not comparable"
    )


def _bar(axes: Axes, place: int, change: Estimate, limit: float, tint: str, seeds: int) -> None:
    """A bar with its interval, hollow where that contains zero; without one a hollow mark alone."""
    value, low, high = change
    figures = CHANGE.estimate(*change)
    if low is None or high is None:
        (artist,) = axes.plot(value, place, "D", color=tint, markerfacecolor="white", markersize=6)
        figures += ", one seed" if seeds == 1 else ", no interval"
    else:
        face = "white" if low <= 0 <= high else tint
        (artist,) = axes.barh(place, value, _BAR, facecolor=face, edgecolor=tint, linewidth=1.2)
        draw_interval(axes, place, change, (-limit, limit))
    hover(artist, figures)
    axes.annotate(
        figures,
        (1, place),
        (6, 0),
        axes.get_yaxis_transform(),
        "offset points",
        va="center",
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
    """One scale down a column."""
    ends = [end for axes in column for end in (axes.dataLim.x0, axes.dataLim.x1)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    room = 0.06 * max(high - low, 1.0)
    for axes in column:
        axes.set_xlim(low - room, high + room)


TABLE = Table(
    "ablation",
    "Ablation of defaults",
    "Top to bottom: everything at the framework's defaults, then one default after the other "
    "switched to the shared value and left there. Changes are to the stage above that was "
    "run, with 95 % t intervals, paired by seed where the runs of a seed share batches and initial "
    "weights: one that contains 0 points (or 1x) shows no difference. "
    "Images/s are of the same runs, after the first evaluation; a resumed training has none. The "
    "last lines of a network are the gap between the frameworks at both ends.",
    rows_of,
    columns,
    charts=(Chart("defaults", defaults),),
    times=("accuracy",),
    lead=lambda rows: " ".join(gap_lines(rows)),
    kinds=("accuracy",),
)
