"""Forest plots: a line per row with its value, its 95 % interval and both in figures.

One function draws them for every table that compares; a `Forest` says what of a row is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.analysis.experiments import framework_place, labels
from bench.analysis.results import Results
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.report.captions import ARROW, FILLED, HOLLOW, INTERVAL, Caption, read_with
from bench.report.columns import case_of, framework_of
from bench.report.footnotes import has_caveat, signed
from bench.report.format import Quantity, known
from bench.report.panels import LINES, first_lines
from bench.report.plot_axes import (
    Ends,
    Interval,
    draw_interval,
    ends_of,
    few_ticks,
    log_ticks,
    ratio_axis,
    reach,
    show_whole,
)
from bench.report.plot_style import (
    GRID,
    INK,
    SOFT,
    Drawing,
    colour,
    framework_legend,
    hover,
    in_lines,
    marker,
    name_rows,
    new_figure,
)
from bench.report.report import Part
from bench.stats.verdicts import SPEED
from bench.training.tracks import peers_of

EVEN_SPEED = (SPEED.low, SPEED.high)
"""The ratios of speed that count as a tie."""

_LINE, _HEADING = 0.29, 0.36  # inches
_ABOVE, _NAME_LINE = 0.36, 0.45  # of a line: from a mark to the name above it, and of the name
_PHONE_LETTERS = 50  # of such a line
_WIDTH, _LETTER = 9.2, 0.075  # inches of a figure, and of a letter of a name
_SHORT = 44  # letters of a name that leave the panel its place


def difference_axis(axes: Axes, intervals: Sequence[Interval]) -> Ends:
    """Scale the x axis for differences from zero; how far their intervals are drawn."""
    far = reach(intervals)
    inside = [min(max(end, -far), far) for end in [*ends_of(intervals), 0.0]]
    low, high = min(inside), max(inside)
    room = 0.06 * (high - low or 1.0)
    axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.10g}" if value else "0")
    )
    return low, high


def share_axis(axes: Axes, intervals: Sequence[Interval]) -> Ends:
    """Scale the x axis for positive shares of a bound over many powers of ten."""
    inside = [end for end in ends_of(intervals) if end > 0] + [1.0]
    low, high = min(inside), max(inside)
    axes.set_xscale("log")
    axes.set_xlim(low / 3, high * 3)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low / 3, high * 3)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:,.10g} %"))
    return low, high


@dataclass(frozen=True)
class Forest:
    """What a forest plot draws of the rows of a table.

    Attributes:
        name: First part of the names of its files.
        title: Its title, without the track.
        how: How to read it; sentences about a mark are bound to it.
        table: Name of the table that has the rows that are not drawn.
        rows: The rows of one dataset.
        across: The label of the x axis for the rows that are drawn.
        show: How values and ends look: in the unit of the axis for a `factor`; a function where no
            row has an interval.
        keys: The rows' keys of value, lower and upper end; an end that no row has is None.
        heading: What stands above the rows that belong together; empty: nothing.
        detail: What stands after a row's network and framework.
        network: The name of a row's network; None: what tells it from the others.
        alone: The words after a value without an interval that say why it has none.
        remark: The words after value and interval; empty: nothing.
        nothing: The value that says that there is no difference.
        even: The values that count as even, shaded.
        factor: What values are multiplied with, after `zero` is subtracted.
        zero: What is subtracted from values first: 1 of ratios that are shown as changes.
        axis: Scales the axis, and says how far intervals are drawn.
        decided: Whether a row's mark is filled; None: where its interval excludes `nothing`.
        timed: Whether caveats on speeds and times are caveats of the value.
    """

    name: str
    title: str
    how: Caption
    table: str
    rows: Callable[[Results], list[Row]]
    across: Callable[[Sequence[Row]], str]
    show: Quantity | Callable[[float], str]
    keys: tuple[str, str, str] = ("ratio", "ratio_low", "ratio_high")
    heading: Callable[[Row], str] = lambda row: ""
    detail: Callable[[Row], str] = lambda row: ""
    network: Callable[[Row], str] | None = None
    alone: Callable[[Row], str] = lambda row: ""
    remark: Callable[[Row], str] = lambda row: ""
    nothing: float = 1.0
    even: Ends | None = None
    factor: float = 1.0
    zero: float = 0.0
    axis: Callable[[Axes, Sequence[Interval]], Ends] = ratio_axis
    decided: Callable[[Row], bool] | None = None
    timed: bool = True

    def draw(self, part: Part) -> Drawing | None:
        """The drawing of one part of a report; None where no row has a value."""
        found = [row for row in part.rows(self.rows) if known(row.get(self.keys[0]))]
        if not found:
            return None
        shown, left_out = self._first(found)
        title = f"{self.title}, {part.track} track"
        height = 1.0 + self.height(shown, narrow=part.narrow)
        rows = [row for some in shown.values() for row in some]
        figure = new_figure(part.width(self._width(shown)), height, title, part.data)
        axes = figure.subplots()
        frameworks = sorted({str(row["framework"]) for row in rows}, key=framework_place)
        marks = self.lines(axes, shown, frameworks, narrow=part.narrow)
        framework_legend(figure, frameworks, networks=[str(row["variant"]) for row in rows])
        how = read_with(self.how, marks)
        return Drawing(f"{self.name}_{part.track}", title, f"{how}{left_out}", figure)

    def height(self, groups: Mapping[str, Sequence[Row]], *, narrow: bool) -> float:
        """Inches of a panel with these rows and its axis (`lines`)."""
        labels_of = self._labels(groups)
        lines = len(labels_of) + sum(map(_lines_above, labels_of)) * narrow
        return 0.6 + _LINE * lines + _HEADING * sum(map(bool, groups))

    def _width(self, groups: Mapping[str, Sequence[Row]]) -> float:
        """Inches of the figure: more where long names would take the panel's."""
        return _WIDTH + _LETTER * max(0, max(map(len, self._labels(groups))) - _SHORT)

    def _labels(self, groups: Mapping[str, Sequence[Row]]) -> list[str]:
        return [
            self._label(row, names)
            for some in groups.values()
            for row, names in zip(some, self._names(some), strict=True)
        ]

    def _first(self, found: Sequence[Row]) -> tuple[dict[str, list[Row]], str]:
        """The rows that are drawn by their heading, and the sentence about the others."""
        groups: dict[str, list[Row]] = {}
        for row in found:
            groups.setdefault(self.heading(row), []).append(row)
        room = max(2, LINES // len(groups))
        # In the order of headings, as many of each as have room.
        drawn = [row for some in groups.values() for row in some[:room]]
        rest = [row for some in groups.values() for row in some[room:]]
        left_out = first_lines([*drawn, *rest], self.table, len(drawn))[1]
        return {heading: some[:room] for heading, some in groups.items()}, left_out

    def lines(
        self,
        axes: Axes,
        groups: Mapping[str, Sequence[Row]],
        frameworks: Sequence[str],
        *,
        narrow: bool = False,
    ) -> frozenset[str]:
        """Draw rows in a panel, a line each; one without a value keeps its line empty.

        Args:
            axes: The panel.
            groups: Rows by their heading.
            frameworks: Names of all frameworks of the figure.
            narrow: Whether names stand above their rows.

        Returns:
            The marks that it has, by their names in `bench.report.captions`.
        """
        rows = [row for some in groups.values() for row in some]
        valued = [row for row in rows if known(row.get(self.keys[0]))]
        limits = self.axis(axes, [self._interval(row) for row in valued])
        if self.even:
            show_whole(axes, self.even)
        if narrow:
            few_ticks(axes, self.nothing)
        if self.even:
            axes.axvspan(*self.even, color=GRID, alpha=0.45, linewidth=0, zorder=0)
        axes.axvline(self.nothing, color=INK, linewidth=0.9, zorder=1)
        names: dict[float, str] = {}
        headings: list[float] = []
        at = 0.0
        for heading, some in groups.items():
            if heading:
                at += _HEADING / _LINE - 1 if at else 0
                names[at] = heading
                headings.append(at)
                at += 1
            for row, words in zip(some, self._names(some), strict=True):
                label = self._label(row, words)
                at += _lines_above(label) if narrow else 0
                if known(row.get(self.keys[0])):
                    self._line(axes, at, row, label, limits, frameworks)
                names[at] = in_lines(label, _PHONE_LETTERS) if narrow else label
                at += 1
        above = _ABOVE if narrow else None
        name_rows(axes, names, bold=headings, size=9 if narrow else 10, above=above)
        axes.set_ylim(at - 0.4, -0.2 if narrow and not headings else -0.7)
        across = self.across(rows)
        axes.set_xlabel(in_lines(across, _PHONE_LETTERS) if narrow else across, color=SOFT)
        if narrow:
            axes.xaxis.label.set(x=0, ha="left")
        return frozenset(mark for row in valued for mark in self._marks(row, limits))

    def _marks(self, row: Row, limits: Ends) -> Iterator[str]:
        found = self._interval(row)
        yield FILLED if self._decided(row, found) else HOLLOW
        _, low, high = found
        if low is not None and high is not None and isinstance(self.show, Quantity):
            yield INTERVAL
            if low < limits[0] or high > limits[1]:
                yield ARROW

    def _line(
        self,
        axes: Axes,
        at: float,
        row: Row,
        label: str,
        limits: Ends,
        frameworks: Sequence[str],
    ) -> None:
        found = self._interval(row)
        value = found[0]
        tint = colour(row["framework"], frameworks)
        if isinstance(self.show, Quantity):
            draw_interval(axes, at, found, limits, show=self.show.end_with_unit, tint=tint)
            figures = self.show.estimate(*found)
        else:
            figures = self.show(value)
        words = (self.alone(row) if found[1] is None else "", self.remark(row))
        figures = ", ".join([figures, *filter(None, words)])
        face = tint if self._decided(row, found) else "white"
        shape = marker(row["variant"])
        (mark,) = axes.plot(value, at, shape, color=tint, markerfacecolor=face, zorder=3)
        hover(mark, f"{label}: {figures}")
        beside(axes, at, figures)

    def _names(self, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """Network and framework of each row, with the precision where the rows have several."""
        if self.network is not None:
            networks = list(map(self.network, rows))
        else:
            found = labels(dict.fromkeys(_network(row) for row in rows))
            networks = [found[_network(row)] for row in rows]
        named = list(zip(networks, map(framework_of, rows), strict=True))
        precisions: dict[tuple[str, str], set[str]] = {}
        for names, row in zip(named, rows, strict=True):
            precisions.setdefault(names, set()).add(str(row.get("precision") or ""))
        for names, row in zip(named, rows, strict=True):
            several = len(precisions[names]) > 1
            yield names[0], f"{names[1]} {row['precision']}" if several else names[1]

    def _interval(self, row: Row) -> Interval:
        low, high = (row.get(key) for key in self.keys[1:])
        return (
            self.factor * (float(row[self.keys[0]]) - self.zero),
            self.factor * (low - self.zero) if low is not None and known(low) else None,
            self.factor * (high - self.zero) if high is not None and known(high) else None,
        )

    def _decided(self, row: Row, found: Interval) -> bool:
        if self.decided is not None:
            return self.decided(row)
        _, low, high = found
        return low is not None and high is not None and not low <= self.nothing <= high

    def _label(self, row: Row, names: tuple[str, str]) -> str:
        words = [*names, self.detail(row)]
        return signed(
            " · ".join(word for word in words if word), on=has_caveat(row, seconds=self.timed)
        )


def _lines_above(label: str) -> float:
    """Lines that a name above its row takes, and the distance to its mark."""
    return 0.25 + _NAME_LINE * (1 + in_lines(label, _PHONE_LETTERS).count("\n"))


def beside(axes: Axes, at: float, figures: str) -> None:
    """Write value and interval of a line to the right of the panel."""
    axes.annotate(
        figures,
        (1, at),
        (8, 0),
        axes.get_yaxis_transform(),
        "offset points",
        va="center",
        fontsize=9,
    )


def _network(row: Row) -> Case:
    return peers_of(case_of(row))
