"""Breaks of the curves of a history: between which points, of which curves, and how drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes

from bench.analysis.across.changes import History
from bench.analysis.across.series import Break, Point
from bench.analysis.experiments import curve_names
from bench.report.across.history_axis import Axis
from bench.report.plot_style import colour

DASHED = (0, (4, 3))
"""The line of a break of one curve, as a style of matplotlib."""


@dataclass(frozen=True)
class CurveBreak:
    """What differs between the two points of some curves that a break stands between.

    Attributes:
        curves: Labels of the frameworks, each with its colour.
        facts: What differs.
    """

    curves: tuple[tuple[str, str], ...]
    facts: tuple[Break, ...]


@dataclass(frozen=True)
class BreakLine:
    """The line of the breaks before one run of a panel.

    Attributes:
        number: By which the list below the panel names it.
        befores: For each broken curve its last point before the line.
        nows: The first after it.
        parts: Which curves are broken by what.
    """

    number: int
    befores: tuple[Point, ...]
    nows: tuple[Point, ...]
    parts: tuple[CurveBreak, ...]

    @property
    def tints(self) -> list[str]:
        """The colours of its curves."""
        return list(dict.fromkeys(tint for part in self.parts for _, tint in part.curves))

    def place(self, axis: Axis) -> float:
        """Where it stands: between the points of every curve that it is of."""
        last, first = max(map(axis.at, self.befores)), min(map(axis.at, self.nows))
        if axis.steps and last < first:
            return first - 0.5
        return (min(last, first) + first) / 2


def breaks_of(tracked: Sequence[History]) -> list[BreakLine]:
    """The breaks of a panel, in the order of time: a line for each run that some stand before."""
    names = curve_names([[entry.series.case for entry in tracked]])
    frameworks = list(names.values())
    found: dict[str, list[tuple[Point, Point, str]]] = {}
    for entry in tracked:
        name = names[entry.series.case]
        for before, now in pairwise(entry.series.points):
            if now.broken:
                found.setdefault(now.run, []).append((before, now, name))
    ordered = sorted(found.values(), key=lambda some: min(now.started_at for _, now, _ in some))
    lines = []
    for number, some in enumerate(ordered, start=1):
        by_facts: dict[tuple[Break, ...], list[str]] = {}
        for _, now, name in some:
            by_facts.setdefault(now.broken, []).append(name)
        parts = (
            CurveBreak(tuple((name, colour(name, frameworks)) for name in curves), facts)
            for facts, curves in by_facts.items()
        )
        befores, nows = tuple(before for before, *_ in some), tuple(now for _, now, _ in some)
        lines.append(BreakLine(number, befores, nows, tuple(parts)))
    return lines


def draw_breaks(axes: Axes, lines: Sequence[BreakLine], axis: Axis) -> None:
    """Draw each break in turns of the colours of its curves, with its number above the panel."""
    on, period = DASHED[1][0], sum(DASHED[1])
    for line in lines:
        place, tints = line.place(axis), line.tints
        whole = period * len(tints)
        for turn, tint in enumerate(tints):
            dashes = ((whole - turn * period) % whole, (on, whole - on))
            axes.axvline(place, color=tint, linewidth=1.3, linestyle=dashes, zorder=1)
        axes.annotate(
            f"{line.number}",
            (place, 1),
            (0, 2),
            axes.get_xaxis_transform(),
            "offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
