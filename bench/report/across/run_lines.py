"""Plots of several runs with a line per row and a mark per run, its interval and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.analysis.across.side_by_side import letter
from bench.analysis.experiments import UNKNOWN, Data, data_of, framework_place
from bench.core.records import Record
from bench.report.captions import ARROW, HOLLOW, With, read_with
from bench.report.charts.forest import EVEN_SPEED, beside, difference_axis
from bench.report.format import CHANGE, RATIO
from bench.report.panels import LINES
from bench.report.plot_axes import Interval, draw_interval, few_ticks, ratio_axis, show_whole
from bench.report.plot_style import (
    GRID,
    INK,
    PHONE,
    SOFT,
    Drawing,
    colour,
    hover,
    in_lines,
    legend_below,
    name_rows,
    new_figure,
    sign,
)
from bench.stats.verdicts import ACCURACY

_MARKERS = "osD^vPX*"
"""A shape per run."""
_WIDE = 10.0  # inches
_LINE, _MARK, _NAME = 0.3, 0.22, 0.17  # inches of a line, of a mark in it, of a line of its name
_PHONE_LETTERS = 46  # of such a line
_EVEN = {True: EVEN_SPEED, False: (100 * ACCURACY.low, 100 * ACCURACY.high)}
"""What counts as a tie, of speeds and of accuracies in points."""
_LOGARITHMIC = "logarithmic axis"
_HOW = (
    "A mark is the figure of the run that its shape stands for; its line is the 95 % interval. An "
    "interval that lies wholly in the grey band is a tie.",
    With((HOLLOW,), "A hollow mark has no verdict of a difference."),
    With((_LOGARITHMIC,), "The axis is logarithmic."),
    With((ARROW,), "An arrow with a value is an end beyond the panel."),
)


@dataclass(frozen=True)
class Mark:
    """What one run has in a line.

    Attributes:
        interval: A ratio of speeds, or a difference in points.
        decided: Whether there is a verdict of a difference: else the mark is hollow.
        figures: Value and interval in words.
    """

    interval: Interval
    decided: bool
    figures: str


@dataclass(frozen=True)
class Line:
    """A row of the plot.

    Attributes:
        name: What tells it from the others.
        framework: That of its colour.
        marks: By place of the run.
        records: What they rest on.
    """

    name: str
    framework: str
    marks: Mapping[int, Mark]
    records: Sequence[Record]


@dataclass(frozen=True)
class RunLines:
    """A plot of several runs.

    Attributes:
        name: Of its file.
        title: Its title.
        how: What its values are; how to read its signs is added.
        timed: Whether values are ratios of speeds; else differences in points.
        across: The label of the x axis.
        runs: Names of all runs.
    """

    name: str
    title: str
    how: str
    timed: bool
    across: str
    runs: Sequence[str]

    def draw(self, every: Sequence[Line], *, narrow: bool = False) -> Drawing | None:
        """The drawing; None without a line.

        Args:
            every: The lines, from the top.
            narrow: Whether it is for the width of a phone: names above their lines.
        """
        if not every:
            return None
        lines = every[:LINES]
        places = sorted({place for line in lines for place in line.marks})
        each, names = max(_LINE, _MARK * len(places)), [line.name for line in lines]
        if narrow:
            names = [in_lines(name, _PHONE_LETTERS) for name in names]
        above = _NAME * max(1 + name.count("\n") for name in names) if narrow else 0.0
        data = {data_of(record) for line in lines for record in line.records} - {UNKNOWN}
        of = data.pop() if len(data) == 1 else Data("several datasets", "")
        height = 1.5 + len(lines) * (each + above)
        figure = new_figure(PHONE if narrow else _WIDE, height, self.title, of)
        axes = figure.subplots()
        # In shares of a line, which is one long on the y axis: marks are in its lower part.
        room = each / (each + above)
        how = f"{self.how} {self._marks(axes, lines, places, room)}"
        if narrow:
            few_ticks(axes, self._even)
        at = {place + (1 - room) / 2: name for place, name in enumerate(names)}
        up = room / 2 if narrow else None
        name_rows(axes, at, size=9 if narrow else 10, above=up)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_xlabel(self.across, color=SOFT)
        legend_below(figure, self._handles(lines, places))
        if every[LINES:]:
            how += f" Only the first {LINES} of {len(every)} rows are drawn."
        return Drawing(self.name, self.title, how, figure)

    @property
    def _even(self) -> float:
        return 1.0 if self.timed else 0.0

    def _marks(self, axes: Axes, lines: Sequence[Line], places: Sequence[int], room: float) -> str:
        """Draw the marks; how to read those that are there."""
        intervals = [mark.interval for line in lines for mark in line.marks.values()]
        limits = (ratio_axis if self.timed else difference_axis)(axes, intervals)
        show_whole(axes, _EVEN[self.timed])
        axes.axvspan(*_EVEN[self.timed], color=GRID, alpha=0.45, linewidth=0, zorder=0)
        axes.axvline(self._even, color=INK, linewidth=0.9, zorder=1)
        frameworks = _frameworks(lines)
        show = (RATIO if self.timed else CHANGE).end_with_unit
        for at, line in enumerate(lines):
            tint = colour(line.framework, frameworks)
            for place, found in line.marks.items():
                share = (places.index(place) + 0.5) / len(places) - 0.5
                where = at + (1 - room) / 2 + 0.8 * room * share
                draw_interval(axes, where, found.interval, limits, show=show, tint=tint)
                face = tint if found.decided else "white"
                shape = _MARKERS[place % len(_MARKERS)]
                (mark,) = axes.plot(found.interval[0], where, shape, color=tint, mfc=face, zorder=3)
                words = f"{letter(place)}: {found.figures}"
                hover(mark, f"{line.name}: {words}")
                beside(axes, where, words)
        ends = [end for _, low, high in intervals if low is not None for end in (low, high)]
        signs = {
            HOLLOW: _any_undecided(lines),
            _LOGARITHMIC: axes.get_xscale() == "log",
            ARROW: any(end is not None and not limits[0] <= end <= limits[1] for end in ends),
        }
        return read_with(_HOW, {sign for sign, there in signs.items() if there})

    def _handles(self, lines: Sequence[Line], places: Sequence[int]) -> list[Artist]:
        """The legend: colours, shapes, and what is hollow."""
        frameworks = _frameworks(lines)
        colours = [Patch(color=colour(name, frameworks), label=name) for name in frameworks]
        runs = [
            Line2D(
                [],
                [],
                color=SOFT,
                linestyle="",
                marker=_MARKERS[place % len(_MARKERS)],
                label=f"{letter(place)}: {self.runs[place]}",
            )
            for place in places
        ]
        shape = _MARKERS[places[0] % len(_MARKERS)]
        hollow = [sign("no verdict of a difference", shape)] * _any_undecided(lines)
        return [*colours, *runs, *hollow]


def _any_undecided(lines: Sequence[Line]) -> bool:
    return any(not mark.decided for line in lines for mark in line.marks.values())


def _frameworks(lines: Sequence[Line]) -> list[str]:
    """Their frameworks, in the order of tables."""
    return sorted({line.framework for line in lines}, key=framework_place)
