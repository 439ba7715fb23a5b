"""Panels of a figure: experiments that may be compared, and how many of them are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from matplotlib.axes import Axes

from bench.analysis.caveats import footnotes_on
from bench.analysis.experiments import Experiment, bar_names, curve_names
from bench.analysis.results import Results
from bench.core.case import Case
from bench.report.footnotes import signed
from bench.report.plot_style import name_rows

PANELS = 12
"""Panels that one figure has at most: more are neither readable nor drawn in seconds."""
FEW_PANELS = 2
"""The same in a large report, whose figures show the first networks and its tables all."""
LARGE = 500
"""Records from which on a report is a large one."""
LINES = 60
"""Lines (one per network and framework) that one panel of ratios has at most."""
SEEDS = 12
"""Thin lines, one per seed, that one curve has at most."""

T = TypeVar("T")


def panels_of(found: Sequence[Experiment]) -> dict[Case, list[Experiment]]:
    """Experiments by what may be compared: a panel each, in the order of tables."""
    panels: dict[Case, list[Experiment]] = {}
    for experiment in found:
        panels.setdefault(experiment.peers, []).append(experiment)
    return panels


@dataclass(frozen=True)
class Lines:
    """What the curves or marks of a plot are called, and by which they have their look.

    Attributes:
        names: By case: its framework, with the precision where a panel has it in several.
        known: All names that the looks depend on: those of the part's frameworks first, so that
            these look the same in all of its plots.
    """

    names: Mapping[Case, str]
    known: tuple[str, ...]

    @classmethod
    def of(cls, frameworks: Iterable[str], panels: Iterable[Iterable[Experiment]]) -> Lines:
        """Those of the panels of a plot, in a part of a report with these frameworks."""
        names = curve_names([experiment.case for experiment in panel] for panel in panels)
        return cls(names, tuple(dict.fromkeys([*frameworks, *names.values()])))

    @property
    def shown(self) -> list[str]:
        """The names of the legend, in the order of tables."""
        return list(dict.fromkeys(self.names.values()))


def first_panels(
    panels: Mapping[Case, T], table: str, limit: int = PANELS
) -> tuple[dict[Case, T], str]:
    """The panels that are drawn, and the sentence that says which are not and where they are."""
    shown = dict(list(panels.items())[:limit])
    return shown, _left_out(len(shown), len(panels), "networks", table)


def first_lines(lines: Sequence[T], table: str, limit: int = LINES) -> tuple[list[T], str]:
    """The same for the lines of a panel."""
    shown = list(lines[:limit])
    return shown, _left_out(len(shown), len(lines), "rows", table)


def _left_out(shown: int, there: int, what: str, table: str) -> str:
    if shown == there:
        return ""
    return f" Only the first {shown} of {there:,} {what} are drawn; tables/{table}.csv has all."


def figure_after_bar(axes: Axes, end: float, place: int, text: str) -> None:
    """Write a bar's figure just after its end."""
    axes.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center")


def signed_names(panel: Sequence[Experiment], *, timed: bool = True) -> list[str]:
    """The names of a panel's experiments, with a sign where one has a caveat.

    Args:
        panel: The experiments.
        timed: Whether the panel shows speeds or times.
    """
    return [
        signed(name, on=footnotes_on(e.ok, timed=timed))
        for name, e in zip(bar_names(panel), panel, strict=True)
    ]


def signed_title(name: str, panel: Iterable[Experiment], *, timed: bool = True) -> str:
    """The title of a panel, with a sign where an experiment in it has a caveat."""
    return signed(name, on=any(footnotes_on(e.ok, timed=timed) for e in panel))


def name_bars(
    axes: Axes, panel: Sequence[Experiment], results: Results, *, timed: bool = True
) -> None:
    """One bar a row, the first on top; a bar not to be compared with the first says so."""
    first = panel[0]
    names = [
        # Uncertified ones are never compared anyway.
        f"{name}\n(not comparable)" if bar.certified and results.between(bar, first) else name
        for name, bar in zip(signed_names(panel, timed=timed), panel, strict=True)
    ]
    name_rows(axes, dict(enumerate(names)))
    axes.invert_yaxis()
