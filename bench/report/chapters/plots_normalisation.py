"""The plot of normalisation: what it brings in accuracy against what it costs in images/s."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.experiments import Data, framework_place
from bench.analysis.rows import Row
from bench.core.records import Record
from bench.report.chapters.columns_normalisation import percent_change
from bench.report.chapters.rows_differences import NORMALISATIONS
from bench.report.chapters.rows_normalisation import normalisation_rows
from bench.report.format import known
from bench.report.plot_style import INK, SOFT, Drawing, grid_of_axes, marker, new_figure
from bench.stats.estimates import Estimate

# Okabe and Ito's three that no framework has: here colour is the normalisation.
_COLOURS = dict(
    zip((n.name for n in NORMALISATIONS), ("#e69f00", "#56b4e9", "#000000"), strict=True)
)
_REACH = (
    1.5  # an interval is drawn as far as this times the farthest mark: few seeds give huge ones
)


def normalisation(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """A mark per framework and normalisation that has both changes."""
    rows = [row for row in normalisation_rows(records, data) if _both(row)]
    if not rows:
        return None
    title = f"What normalisation costs and brings, {track} track"
    figure = new_figure(8.2, 5.4, title, data)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    frameworks = sorted({str(row["framework"]) for row in rows}, key=framework_place)
    marks = [(row, percent_change(row), _points(row)) for row in rows]
    widest = _REACH * max(1.0, *(abs(across.value) for _, across, _ in marks))
    highest = _REACH * max(1.0, *(abs(up.value) for _, _, up in marks))
    for row, across, up in marks:
        tint = _COLOURS[row["normalisation"]]
        _bar(axes, across, up.value, widest, tint)
        _bar(axes, up, across.value, highest, tint, upright=True)
        shape = marker(row["framework"], frameworks)
        axes.plot(across.value, up.value, shape, color=tint, markersize=9, markeredgecolor="white")
    _scales(axes)
    _legend(figure, frameworks, rows)
    return Drawing(
        f"normalisation_{track}",
        title,
        "Up is more accurate, left is slower, both against the same network without the "
        "normalisation (BN over LRN: with LRN). Lines are 95 % intervals, from two seeds on; "
        "one that crosses a zero line was not told apart, an arrow says that it goes on.",
        figure,
    )


def _both(row: Row) -> bool:
    return known(row["ratio"]) and known(row["difference"])


def _points(row: Row) -> Estimate:
    low, high = (None if row[key] is None else 100 * row[key] for key in ("low", "high"))
    return Estimate(100 * row["difference"], low, high)


def _bar(
    axes: Axes, change: Estimate, at: float, limit: float, tint: str, *, upright: bool = False
) -> None:
    """The interval of a change through its mark, cut at ``limit`` with an arrow."""
    if change.low is None or change.high is None:
        return
    ends = (max(change.low, -limit), min(change.high, limit))
    for xs, shape in ((ends, ""), *(((end,), arrow) for end, arrow in _cut(change, ends, upright))):
        ats = (at,) * len(xs)
        line = (ats, xs) if upright else (xs, ats)
        axes.plot(*line, color=tint, linewidth=1.3, marker=shape, markersize=5, zorder=1.5)


def _cut(change: Estimate, ends: tuple[float, float], upright: bool) -> list[tuple[float, str]]:
    """The ends that are not the interval's own, each with its arrow."""
    arrows = "v^" if upright else "<>"
    whole = zip(ends, change[1:], arrows, strict=True)
    return [(end, arrow) for end, own, arrow in whole if end != own]


def _scales(axes: Axes) -> None:
    """Zero lines, signs at the ticks, and room around the marks."""
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    axes.margins(0.08)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axes.set_xlabel("change of training images/s, %")
    axes.set_ylabel("change of test accuracy, points")


def _legend(figure: Figure, frameworks: Sequence[str], rows: Sequence[Row]) -> None:
    shown = dict.fromkeys(str(row["normalisation"]) for row in rows)
    handles = [
        Line2D([], [], color=SOFT, marker=marker(name, frameworks), linestyle="", label=name)
        for name in frameworks
    ]
    handles += [Line2D([], [], color=_COLOURS[name], linewidth=5, label=name) for name in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
