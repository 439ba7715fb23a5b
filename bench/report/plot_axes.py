"""Axes and intervals: how far they reach, where they have ticks, and what lies beyond them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, MultipleLocator, NullLocator

from bench.report.plot_style import INK

Ends = tuple[float, float]
"""Lower and upper end."""
Interval = tuple[float, float | None, float | None]
"""A value with the ends of its interval, None where there is none: `bench.stats` has them so."""


def from_zero(axes: Axes) -> None:
    """An x axis from 0 to right of the last mark, so that none is cut by the frame."""
    axes.set_xlim(0, (1 + _ROOM) * axes.dataLim.x1)


def show_whole(axes: Axes, band: Ends) -> None:
    """Widen the x axis where it would cut a band: how far a tie reaches is read off its edges."""
    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        room = (high / low) ** _ROOM
        axes.set_xlim(min(low, band[0] / room), max(high, band[1] * room))
    else:
        room = _ROOM * (high - low)
        axes.set_xlim(min(low, band[0] - room), max(high, band[1] + room))


_ROOM = 0.04
"""Share of an axis between its end and what is drawn there."""
LEAST_ACCURACY = 0.02
"""What an axis of accuracies spans at least: within less, chance would look like a difference."""


def accuracy_axis(ends: Iterable[float], room: float = 0.08) -> Ends:
    """The limits of an axis of accuracies (fractions) around these, with `room` at both sides.

    It spans two points at least, and reaches beyond 0 and 1 by no more than a mark needs.
    """
    found = [min(max(end, 0.0), 1.0) for end in ends]
    span = max(max(found) - min(found), LEAST_ACCURACY)
    low = min(max((min(found) + max(found) - span) / 2, 0.0), 1 - span)
    return low - room * span, low + (1 + room) * span


def possible(interval: Interval) -> Interval:
    """The interval of an accuracy (a fraction) as far as an accuracy can lie, from 0 to 1.

    Student's t knows no bounds; what it has beyond them is no accuracy.
    """
    value, low, high = interval
    return (
        value,
        None if low is None else max(low, 0.0),
        None if high is None else min(high, 1.0),
    )


def few_ticks(axes: Axes, keep: float) -> None:
    """No more ticks on the x axis than a narrow panel has room for, `keep` among them."""
    low, high = axes.get_xlim()
    ticks = [float(tick) for tick in axes.get_xticks() if low <= tick <= high]
    stride = -(-len(ticks) // _FEW_TICKS)
    first = min(range(len(ticks)), key=lambda place: abs(ticks[place] - keep), default=0)
    axes.xaxis.set_major_locator(FixedLocator(ticks[first % stride :: stride]))


_FEW_TICKS = 4


def plain_numbers() -> FuncFormatter:
    """Tick labels with thousands apart, as in the tables: ``12,000``."""
    return FuncFormatter(lambda value, _: f"{value:,.10g}")


_WIDE = 4.0
"""Highest over lowest end from which on ratios are drawn on a logarithmic axis."""
_FARTHEST = 10.0
"""Factor beyond the outermost marks to which intervals of ratios are drawn."""


def ends_of(intervals: Iterable[Interval]) -> list[float]:
    """All values and ends that are known and finite."""
    found = (end for interval in intervals for end in interval if end is not None)
    return [end for end in found if math.isfinite(end)]


_WHOLE = 100.0
_OUTLIER = 3.0
"""Factor by which an end lies beyond what an axis of differences is as wide as, to be cut."""


def reach(intervals: Sequence[Interval]) -> float:
    """How far from zero differences are drawn: every interval whole, but for outliers.

    Three times as far as the farthest value, and as half of the ends, for these up to ± 100 percent
    or points: intervals that are much wider than values and other intervals (of two seeds, say) are
    cut, or they would press these into a point.
    """
    values = [abs(value) for value, _, _ in intervals if math.isfinite(value)]
    ends = [abs(end) for _, low, high in intervals for end in ends_of([(math.nan, low, high)])]
    usual = min(_OUTLIER * median(ends), _WHOLE) if ends else 0.0
    return max(_OUTLIER * max([*values, 1e-3]), usual)


def ratio_axis(axes: Axes, intervals: Sequence[Interval]) -> Ends:
    """Scale the x axis for ratios and their intervals; how far they are drawn.

    Everything is in the panel, up to ten times beyond the outermost mark; the axis is logarithmic
    where the ends are more than a factor of four apart. There is a tick on either side of 1.

    Args:
        axes: The panel.
        intervals: Ratios with their intervals, all positive.

    Returns:
        The limits to give to `draw_interval`.
    """
    marks = [value for value, _, _ in intervals] + [1.0]
    far = (min(marks) / _FARTHEST, max(marks) * _FARTHEST)
    inside = [min(max(end, far[0]), far[1]) for end in [*ends_of(intervals), 1.0]]
    low, high = min(inside), max(inside)
    wide = high / low > _WIDE
    room = (high / low) ** 0.06 * 1.01
    axes.set_xscale("log" if wide else "linear")
    axes.set_xlim(low / room, high * room)
    if wide:
        ticks = _with_sides(log_ticks(low / room, high * room))
        axes.set_xlim(min(low / room, ticks[0] / 1.02), max(high * room, ticks[-1] * 1.02))
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        locator = MaxNLocator(_TICKS, steps=[1, 2, 5, 10], min_n_ticks=3)
        first, second, *_ = locator.tick_values(low / room, high * room)
        step = second - first
        axes.set_xlim(min(low / room, 1 - 1.05 * step), max(high * room, 1 + 1.05 * step))
        axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    return low, high


_TICKS = 7
"""Ticks of an axis of ratios, at most."""
_STEPS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3))
"""Figures that ticks begin with, the finest first."""


def log_ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis, as many as have room; 1 is one of them where it is on
    the axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in _STEPS:
        found = [float(f"{step}e{power}") for power in powers for step in steps]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= _TICKS:
            return found
    stride = -(-len(powers) // _TICKS)
    return [
        float(f"1e{power}") for power in powers if power % stride == 0 and low <= 10**power <= high
    ]


def _with_sides(ticks: list[float]) -> list[float]:
    """Ticks of ratios, one at least on either side of 1."""
    sides = (0.7, 1.5) if len(ticks) > 1 and ticks[-1] / ticks[0] < 20 else (0.5, 2.0)
    less = [] if any(tick < 1 for tick in ticks) else [sides[0]]
    more = [] if any(tick > 1 for tick in ticks) else [sides[1]]
    return [*less, *ticks, *more]


def one_scale(panels: Sequence[Axes]) -> None:
    """The same x axis in all panels, as wide as the widest."""
    ends = [panel.get_xlim() for panel in panels]
    for panel in panels:
        panel.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))


def draw_interval(
    axes: Axes,
    at: float,
    interval: Interval,
    limits: Ends,
    *,
    show: Callable[[float], str] | None = None,
    tint: str = INK,
    width: float = 1.6,
    upright: bool = False,
) -> Ends | None:
    """Draw an interval as a line; an end outside of the limits is an arrow with its value.

    Args:
        axes: The panel.
        at: The place of the line on the other axis.
        interval: The value and its ends.
        limits: How far the line is drawn.
        show: The words for the value of an end that is not drawn; None: it stands elsewhere.
        tint: Colour of line and arrow.
        width: Of the line, in points.
        upright: Whether the interval is along y.

    Returns:
        The ends of the line; None where the interval is unknown and nothing is drawn.
    """
    _, low, high = interval
    if low is None or high is None:
        return None
    ends = (min(max(low, limits[0]), limits[1]), max(min(high, limits[1]), limits[0]))
    places = ((at, at), ends) if upright else (ends, (at, at))
    axes.plot(*places, color=tint, linewidth=width, zorder=2)
    sides = (
        (ends[0], low, "v" if upright else "<", 1),
        (ends[1], high, "^" if upright else ">", -1),
    )
    for end, own, arrow, inward in sides:
        if end == own:
            continue
        place = (at, end) if upright else (end, at)
        axes.plot(*place, arrow, color=tint, markersize=5, clip_on=False, zorder=2)
        if show is None:
            continue
        axes.annotate(
            show(own),
            place,
            xytext=(4, 4 * inward) if upright else (2 * inward, 3),
            textcoords="offset points",
            ha="left" if upright or inward > 0 else "right",
            va=("bottom" if inward > 0 else "top") if upright else "bottom",
            fontsize=8,
        )
    return ends
