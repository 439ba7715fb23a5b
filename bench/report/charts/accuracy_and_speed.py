"""The plot of accuracy against throughput: what a network and framework reaches, and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.analysis.experiments import Experiment, labels, without_recipe
from bench.analysis.results import Results
from bench.analysis.rows import mean_over_seeds
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.core.text import many
from bench.report.captions import ARROW, With, read_with
from bench.report.format import RATIO, SHARE, interval, significant
from bench.report.panels import Lines, first_panels, panels_of, signed_title
from bench.report.plot_axes import accuracy_axis, draw_interval, ends_of, plain_numbers, possible
from bench.report.plot_style import (
    ALONE,
    SOFT,
    Drawing,
    colour,
    face,
    framework_legend,
    grid_of_axes,
    hover,
    marker,
    new_figure,
)
from bench.report.report import Part
from bench.stats.estimates import Estimate

_APART = 1.05
"""Factor between the quotient of two medians and the paired ratio from which on a note says so."""
_NOTES = 4
"""Such notes at most: the table of interleaved runs has all ratios."""
_NAME_HEIGHT = 0.055
"""Share of the panel's height that a name takes."""
_BEYOND = 4.0
"""Factor beyond the outermost marks to which intervals of images/s are drawn."""


@dataclass(frozen=True)
class _Point:
    """A network in a framework, trained and timed."""

    trained: Experiment
    timed: Experiment
    speed: Estimate
    accuracy: Estimate


def accuracy_vs_throughput(part: Part) -> Drawing | None:
    """A mark per network and framework: training images/s across, test accuracy up."""
    timed = {without_recipe(e.case): e for e in part.experiments(TRAIN_THROUGHPUT) if e.ok}
    both = [e for e in part.experiments("accuracy") if e.ok and without_recipe(e.case) in timed]
    if not both:
        return None
    found, left_out = first_panels(panels_of(both), "accuracy", part.panels)
    panels = {
        case: [_point(e, timed[without_recipe(e.case)], part.results) for e in panel]
        for case, panel in found.items()
    }
    points = [point for panel in panels.values() for point in panel]
    title = f"Accuracy against training throughput, {part.track} track"
    figure = new_figure(part.width(ALONE), 5, title, part.data)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    _scales(axes, points)
    names = labels(panels)
    marks = Lines.of(
        part.frameworks, [[point.trained for point in panel] for panel in panels.values()]
    )
    for panel in panels.values():
        _cloud(axes, panel, marks)
    signed = {
        signed_title(names[case], [e for p in panel for e in (p.trained, p.timed)]): panel
        for case, panel in panels.items()
    }
    _name_clouds(axes, signed)
    networks = [case.variant for case in panels]
    framework_legend(figure, marks.shown, known=marks.known, networks=networks)
    return Drawing(
        f"accuracy_vs_throughput_{part.track}",
        title,
        f"{read_with(_HOW, frozenset(_marks(axes, panels.values())))}{left_out}",
        figure,
        notes=tuple(_puzzles(points, part.results, marks)),
    )


_JOINED, _OF_SPEED, _OF_ACCURACY = "grey line", "interval of speed", "interval of accuracy"
_HOW = (
    "Further right is faster, further up more accurate.",
    With((_JOINED,), "A grey line joins the frameworks of one network."),
    With((_OF_SPEED,), "A thin line across is the 95 % interval of images/s over processes."),
    With((_OF_ACCURACY,), "A thin line upwards is the 95 % interval of accuracy over seeds."),
    With((ARROW,), "An arrow with a value is an end beyond the panel."),
    "The ratio of two speeds is that of the table of interleaved runs, of pairs of neighbouring "
    "blocks, and not the quotient of two marks.",
)


def _marks(axes: Axes, panels: Iterable[Sequence[_Point]]) -> Iterator[str]:
    """The marks of `_HOW` that a drawn panel has."""
    for panel in panels:
        if len(panel) > 1:
            yield _JOINED
        for point in panel:
            drawn = (
                (_OF_SPEED, point.speed, axes.get_xlim()),
                (_OF_ACCURACY, point.accuracy, axes.get_ylim()),
            )
            for name, (_, low, high), (least, most) in drawn:
                if low is not None and high is not None:
                    yield name
                    if low < least or high > most:
                        yield ARROW


def _point(trained: Experiment, timed: Experiment, results: Results) -> _Point:
    inside = Estimate(*possible(mean_over_seeds([record.samples[0] for record in trained.ok])))
    return _Point(trained, timed, results.rate(timed), inside)


def _puzzles(points: Sequence[_Point], results: Results, marks: Lines) -> list[str]:
    """A note for each pair of interleaved points whose paired ratio is another one than the
    quotient of their medians, the largest difference first: which of the two holds."""
    found: list[tuple[float, str]] = []
    speeds = {point.timed.case: point for point in points}  # one for several recipes
    for one, other in combinations(speeds.values(), 2):
        interleaved = results.interleaved(one.timed, other.timed)
        if interleaved is None:
            continue
        versus = interleaved.ratio
        quotient = one.speed.value / other.speed.value
        apart = max(quotient / versus.ratio.value, versus.ratio.value / quotient)
        if apart >= _APART:
            first, second = _two_names(one, other, marks)
            words = (
                f"{first} over {second}: {RATIO.value(quotient)} by the medians of their own "
                f"blocks, {RATIO.estimate(*versus.ratio)} by pairs of neighbouring blocks: "
                "the pairs hold"
            )
            found.append((apart, words))
    found.sort(reverse=True)
    more = len(found) - _NOTES
    rest = f"… and {many(more, 'more pair')} of points, for which the same holds"
    return [*(words for _, words in found[:_NOTES]), *([rest] * (more > 0))]


def _two_names(one: _Point, other: _Point, marks: Lines) -> tuple[str, str]:
    """Both points by what tells them apart: network, framework or both."""
    left, right = one.trained.case, other.trained.case
    if marks.names[left] == marks.names[right]:
        return left.variant, f"{right.variant} in {marks.names[right]}"
    return f"{left.variant} in {marks.names[left]}", f"{right.variant} in {marks.names[right]}"


def _cloud(axes: Axes, panel: Sequence[_Point], marks: Lines) -> None:
    """The points of one network, their intervals, and the line that joins them."""
    ordered = sorted(panel, key=lambda point: point.speed.value)
    xs, ys = ([getattr(p, name).value for p in ordered] for name in ("speed", "accuracy"))
    axes.plot(xs, ys, color=SOFT, linewidth=0.7, alpha=0.6, zorder=1)
    for point in panel:
        case = point.trained.case
        name = marks.names[case]
        tint = colour(name, marks.known)
        x, y = point.speed.value, point.accuracy.value
        line = partial(draw_interval, axes, tint=tint, width=0.9)
        line(y, point.speed, axes.get_xlim(), show=significant)
        line(x, point.accuracy, axes.get_ylim(), show=SHARE.value, upright=True)
        inside = face(name, marks.known)
        shape = marker(case.variant)
        (mark,) = axes.plot(x, y, shape, color=tint, mfc=inside, markersize=8, zorder=3)
        speed = interval(significant(point.speed.low), significant(point.speed.high))
        accuracy = SHARE.estimate(*point.accuracy)
        what = f"{significant(x)} images/s {speed}, {accuracy}"
        hover(mark, f"{case.variant} in {name}: {what}")


def _name_clouds(axes: Axes, names: Mapping[str, Sequence[_Point]]) -> None:
    """The names of networks after the panel, each at the height of its points, none on another."""
    low, high = axes.get_ylim()
    means = {
        name: sum(point.accuracy.value for point in panel) / len(panel)
        for name, panel in names.items()
    }
    at = 0.0
    for name, mean in sorted(means.items(), key=lambda item: item[1]):
        height = (mean - low) / (high - low)
        at = max(height, at + _NAME_HEIGHT if at else height)
        axes.annotate(
            name,
            (1, height),
            (1.02, at),
            "axes fraction",
            "axes fraction",
            va="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.5, "shrinkB": 0},
        )


def _scales(axes: Axes, points: Sequence[_Point]) -> None:
    """Both axes as wide as the intervals; images/s logarithmic where networks differ widely."""
    values = [point.speed.value for point in points]
    least, most = min(values) / _BEYOND, max(values) * _BEYOND
    ends = [min(max(end, least), most) for end in ends_of(point.speed for point in points)]
    low, high = min(ends), max(ends)
    axes.set_xlabel("training images/s")
    if max(values) > 5 * min(values):
        axes.set_xscale("log")
        axes.set_xlabel("training images/s (logarithmic)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(low / 1.15, high * 1.3)
    else:
        room = 0.08 * (high - low) or 0.1 * high
        axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_formatter(plain_numbers())
    accuracies = ends_of(point.accuracy for point in points)
    axes.set_ylim(*accuracy_axis(accuracies, 0.12))
    axes.set_ylabel("test accuracy, mean over seeds")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_accuracy))


def _accuracy(value: float, _: int | None) -> str:
    """The label of a tick; none above what an accuracy can be."""
    return f"{100 * value:.10g} %" if value <= 1 else ""
