"""Figures with a row of panels per network and a column per kind of measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.experiments import Experiment, labels
from bench.core.case import Case
from bench.core.kinds import kind
from bench.report.plot_style import grid_of_axes, in_lines, new_figure
from bench.report.report import Part

_LETTERS = 10.4  # of a title, for each inch of a column


def kind_grid(
    part: Part,
    panels: Mapping[Case, Sequence[Experiment]],
    kinds: Sequence[str],
    title: str,
    draw: Callable[[Axes, Sequence[Experiment], Part], None],
    *,
    width: tuple[float, float],
    height: tuple[float, float],
) -> Figure:
    """The figure of a part of a report.

    Args:
        part: Where the experiments are from.
        panels: Experiments by network.
        kinds: Those that may have a column, from the left; one that no panel has is left out.
        title: Of the figure.
        draw: Called with axes and the experiments in them, of which there may be none.
        width: Inches of a column, and of the margin.
        height: Inches of a row, and of each framework in it.
    """
    there = {experiment.kind for panel in panels.values() for experiment in panel}
    shown = [row for row in map(kind, kinds) if row.name in there]
    names = labels(panels)
    heights = [
        height[0] + height[1] * len({e.case.framework_label for e in panel})
        for panel in panels.values()
    ]
    figure = new_figure(width[0] * len(shown) + width[1], 1.1 + sum(heights), title, part.data)
    letters = round(_LETTERS * width[0])
    grid = grid_of_axes(figure, len(panels), len(shown), heights)
    for line, (case, panel) in zip(grid, panels.items(), strict=True):
        for axes, measured in zip(line, shown, strict=True):
            some = [e for e in panel if e.kind == measured.name]
            if some:
                axes.set_title(in_lines(f"{names[case]}: {measured.label}", letters))
            draw(axes, some, part)
    return figure
