"""The plot of how long two trainings of one seed are the same: losses, and how far they differ.

Steps count from 1, as in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from bench.analysis.divergence import (
    THRESHOLDS,
    TrainingPair,
    comparable_pairs,
    describe_step,
    step_losses,
    training_pairs,
)
from bench.analysis.experiments import Data, frameworks_of, labels, variant_place
from bench.core.case import Case
from bench.core.records import Record
from bench.report.format import share
from bench.report.plot_style import SOFT, Drawing, colour, grid_of_axes, new_figure, plain_numbers

_FLOOR = 1e-9  # far below what float32 can tell: equal losses are drawn here
_PARTED = THRESHOLDS[-1]
_LINE = 0.09  # of the lower panel's height, for each line of words


def parting(records: Sequence[Record], data: Data, track: str) -> Drawing | None:
    """Loss of all frameworks over the first steps, and how far each is from the reference.

    Of several seeds the first is drawn; the table has them all. None where no two certified
    frameworks kept their losses.
    """
    panels = _panels(comparable_pairs(training_pairs(records)))
    if not panels:
        return None
    frameworks = frameworks_of(records)
    title = f"How long the trainings are the same, {track} track"
    columns = min(2, len(panels))
    blocks = -(-len(panels) // columns)
    figure = new_figure(max(6.4, 5.6 * columns), 0.7 + 4.6 * blocks, title, data)
    grid = grid_of_axes(figure, 2 * blocks, columns)
    names = labels(panels)
    for place, (case, panel) in enumerate(panels.items()):
        row, column = 2 * (place // columns), place % columns
        seed = panel[0].record.case.seed
        grid[row][column].set_title(f"{names[case]}, seed {seed}")
        _losses(grid[row][column], panel, frameworks)
        _differences(grid[row + 1][column], panel, frameworks)
    for place in range(len(panels), blocks * columns):
        for row in (0, 1):
            grid[2 * (place // columns) + row][place % columns].set_axis_off()
    return Drawing(
        f"parting_{track}",
        title,
        "Above: the loss of every step, the reference as the broad line. Below: how far each is "
        "from the reference, as a share of its loss; float32 rounding alone starts near 1e-7. The "
        "dotted line marks the step at which a training has parted by more than "
        f"{share(_PARTED)}. Equal losses are drawn at the foot.",
        figure,
    )


def _panels(found: Sequence[TrainingPair]) -> dict[Case, list[TrainingPair]]:
    """The pairs of the first seed of each network, in the order of tables."""
    seeds: dict[Case, dict[int, list[TrainingPair]]] = {}
    for pair in sorted(found, key=lambda p: (variant_place(p.network), p.network.id)):
        network = replace(pair.network, seed=0)
        seeds.setdefault(network, {}).setdefault(pair.network.seed, []).append(pair)
    return {network: by_seed[min(by_seed)] for network, by_seed in seeds.items()}


def _losses(axes: Axes, panel: Sequence[TrainingPair], frameworks: Sequence[str]) -> None:
    ends = []
    for record in (panel[0].reference, *(pair.record for pair in panel)):
        losses, name = step_losses(record), record.case.framework
        tint = colour(name, frameworks)
        # The reference is broad and pale, so that a line that lies on it does not hide it.
        first = record is panel[0].reference
        width, alpha = (4.0, 0.45) if first else (1.1, 1.0)
        axes.plot(_steps(losses), losses, color=tint, linewidth=width, alpha=alpha)
        known = losses[np.isfinite(losses)]
        ends.append((float(known[-1]) if len(known) else 0.0, name, tint))
    axes.set_ylabel("loss of the step")
    axes.margins(y=0.08)  # room for the broad line
    axes.tick_params(labelbottom=False)
    _across(axes, panel)
    _name_ends(axes, ends)


def _name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name at its right end, moved apart where lines end together."""
    low, high = axes.get_ylim()
    heights: list[float] = []  # shares of the panel's
    for value, _, _ in sorted(ends):
        lowest = heights[-1] + _LINE if heights else 0.0
        heights.append(max(lowest, (value - low) / (high - low)))
    over = max(heights[-1] - 1, 0)
    for height, (_, name, tint) in zip(heights, sorted(ends), strict=True):
        axes.annotate(
            name,
            (1, height - over),
            (5, 0),
            "axes fraction",
            "offset points",
            color=tint,
            va="center",
        )


def _differences(axes: Axes, panel: Sequence[TrainingPair], frameworks: Sequence[str]) -> None:
    words = (len(panel) + 0.5) * _LINE  # room for a line each, above the curves
    _logarithmic(axes, panel, 1 - words)
    for threshold in THRESHOLDS:
        axes.axhline(threshold, color=SOFT, linewidth=0.8, linestyle="--")
        place = axes.get_yaxis_transform()
        axes.text(1.012, threshold, share(threshold), color=SOFT, va="center", transform=place)
    for line, pair in enumerate(panel):
        name, difference = pair.record.case.framework, pair.difference
        tint = colour(name, frameworks)
        drawn = np.maximum(np.where(np.isfinite(difference), difference, np.nan), _FLOOR)
        axes.plot(_steps(drawn), drawn, color=tint, linewidth=1.1)
        step = pair.first_above(_PARTED)
        if step is not None:
            axes.axvline(step, ymax=1 - words, color=tint, linewidth=1.4, linestyle=":")
        top = 1 - (line + 0.6) * _LINE
        said = f"{name} parts by more than {share(_PARTED)}: {describe_step(step, len(difference))}"
        axes.text(0.015, top, said, color=tint, va="center", fontsize=8, transform=axes.transAxes)
    axes.set_ylabel("relative difference")
    axes.set_xlabel("steps of training")
    axes.xaxis.set_major_formatter(plain_numbers())
    _across(axes, panel)


def _logarithmic(axes: Axes, panel: Sequence[TrainingPair], used: float) -> None:
    """A scale on which the curves take the lower share `used` of the height."""
    finite = [pair.difference[np.isfinite(pair.difference)] for pair in panel]
    highest = max((float(values.max()) for values in finite if len(values)), default=1.0)
    highest = max(2 * highest, 0.1)
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR / 2, highest * (2 * highest / _FLOOR) ** (1 / used - 1))
    ticks = [10.0**power for power in range(-9, 9, 2) if 10.0**power <= highest]
    axes.set_yticks(ticks, [f"1e{power}" for power in range(-9, 9, 2)][: len(ticks)])
    axes.yaxis.set_minor_locator(NullLocator())


def _across(axes: Axes, panel: Sequence[TrainingPair]) -> None:
    """The same steps in both panels."""
    axes.set_xlim(0, max(len(pair.difference) for pair in panel) + 1)


def _steps(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Their numbers, from 1."""
    return np.arange(1, len(values) + 1)
