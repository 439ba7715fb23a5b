"""Figures with a row of panels per network and a column per kind of measurement; closed up where
networks were not all measured alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.experiments import Experiment, labels
from bench.core.case import Case
from bench.core.kinds import kind
from bench.report.plot_axes import one_scale
from bench.report.plot_style import ALONE, grid_of_axes, in_lines, new_figure
from bench.report.report import Part

_LETTERS = 9.2  # of a title, for each inch of a column
_TITLE_LINE = 0.16  # inches of a further line of a title


def kind_grid(
    part: Part,
    panels: Mapping[Case, Sequence[Experiment]],
    kinds: Sequence[str],
    title: str,
    draw: Callable[[Axes, Sequence[Experiment], Part], None],
    *,
    width: tuple[float, float],
    height: tuple[float, float],
    shared: bool = True,
) -> Figure:
    """The figure of a part of a report.

    Args:
        part: Where the experiments are from.
        panels: Experiments by network.
        kinds: Those that may have a column, from the left; one that no panel has is left out.
        title: Of the figure.
        draw: Called with axes and the experiments in them.
        width: Inches of a column, and of the margin.
        height: Inches of a row, and of each framework in it.
        shared: Whether all panels of a kind have one scale, so that lengths compare.
    """
    names = labels(panels)
    letters = part.letters(round(_LETTERS * width[0]))
    shown = [
        (in_lines(f"{names[case]}: {measured.label}", letters), some)
        for case, panel in panels.items()
        for measured in map(kind, kinds)
        if (some := [e for e in panel if e.kind == measured.name])
    ]
    columns = part.across(len({e.kind for _, some in shown for e in some}), len(kinds))
    lines = [shown[first : first + columns] for first in range(0, len(shown), columns)]
    heights = [
        height[0]
        + max(height[1] * len(some) + _TITLE_LINE * above.count("\n") for above, some in line)
        for line in lines
    ]
    wide = width[0] * columns + width[1] if columns > 1 else ALONE
    figure = new_figure(part.width(wide), 1.1 + sum(heights), title, part.data)
    alike: dict[str, list[Axes]] = {}
    for places, line in zip(grid_of_axes(figure, len(lines), columns, heights), lines, strict=True):
        for axes, (above, some) in zip(places, line, strict=False):
            axes.set_title(above)
            draw(axes, some, part)
            alike.setdefault(some[0].kind, []).append(axes)
        for axes in places[len(line) :]:
            axes.set_axis_off()
    if shared:
        for panels_of_kind in alike.values():
            one_scale(panels_of_kind)
    return figure
