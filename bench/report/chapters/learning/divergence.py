"""Divergence: at which step the trainings of two frameworks from one seed stop being the same.

The plot has the losses of the first steps, and how far each framework is from the reference. Steps
count from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from bench.analysis.caveats import footnotes_on
from bench.analysis.certified import status_of
from bench.analysis.divergence import (
    THRESHOLDS,
    TrainingPair,
    comparable_pairs,
    describe_step,
    step_losses,
    training_pairs,
)
from bench.analysis.experiments import Data, Experiment, framework_place, labels, variant_place
from bench.analysis.results import Results
from bench.analysis.rows import Row, identity, provenance_columns
from bench.core.case import Case
from bench.report.columns import Column, execution, how, naming, text, weights, whole
from bench.report.footnotes import signed
from bench.report.format import NOTHING, count, joined, known, power, share
from bench.report.leads import extremes
from bench.report.panels import first_panels
from bench.report.plot_axes import plain_numbers
from bench.report.plot_style import (
    ALONE,
    BROAD,
    SOFT,
    Drawing,
    beside_sign,
    colour,
    dash,
    framework_legend,
    grid_of_axes,
    hover,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table

_FLOOR = 1e-9  # far below what float32 resolves: equal losses are drawn here
_DIVERGED = THRESHOLDS[-1]
_LINE = 0.09  # of the lower panel's height, for each line of words


def divergence_rows(results: Results) -> list[Row]:
    """Each certified training compared with the reference's of its seed, by the loss of each step.

    ``steps`` were compared; ``first_difference`` is relative, at step 1;
    ``divergence_step_<threshold>`` is the first step (from 1) above the threshold, None where no
    step was.
    """
    found = sorted(results.once(_pairs), key=_pair_order)
    return [_row(pair, results.data) for pair in found]


def _pairs(results: Results) -> list[TrainingPair]:
    return training_pairs(results.records)


def _pair_order(pair: TrainingPair) -> tuple[object, ...]:
    case = pair.record.case
    return (
        variant_place(case),
        framework_place(case.framework),
        case.unusual_execution,
        case.seed,
    )


def _row(pair: TrainingPair, data: Data) -> Row:
    case = pair.record.case
    row = identity(Experiment(replace(case, seed=0), "accuracy", (pair.record,)), data)
    row |= {"seed": case.seed, "parity": status_of(pair.record), "parity_problem": None}
    row |= {"reference": pair.reference.case.framework_label, "not_compared": pair.refused or None}
    row |= provenance_columns([pair.record, pair.reference])
    compared = len(pair.difference) > 0 and not pair.refused
    row["steps"] = len(pair.difference)
    row["first_difference"] = float(pair.difference[0]) if compared else None
    for threshold in THRESHOLDS:
        row[f"divergence_step_{threshold:g}"] = pair.first_above(threshold) if compared else None
    return row


def columns(rows: Sequence[Row]) -> list[Column]:
    """At which step each training diverges from the reference's."""
    return [
        naming("network", "variant"),
        naming("framework", "framework"),
        execution(),
        weights(),
        replace(whole("seed", "seed"), who=True),
        *(Column(f"first above {share(t)}", partial(_step, t), right=False) for t in THRESHOLDS),
        Column("difference at step 1", lambda row: power(row["first_difference"])),
        whole("steps compared", "steps"),
        text("compared with", "reference"),
        *how(),
    ]


def _step(threshold: float, row: Row) -> str:
    if row["not_compared"]:
        return "not comparable"
    if row["first_difference"] is None:
        return NOTHING
    step = row[f"divergence_step_{threshold:g}"]
    return describe_step(None if step is None or not known(step) else int(step), row["steps"])


def divergence(part: Part) -> Drawing | None:
    """Loss of all frameworks over the first steps, and how far each is from the reference.

    Of several seeds the first is drawn; the table has them all. None where no two certified
    frameworks recorded their losses.
    """
    panels = _panels([p for p in comparable_pairs(part.results.once(_pairs)) if _within(p, part)])
    if not panels:
        return None
    panels, left_out = first_panels(panels, "divergence", part.panels)
    title = f"Divergence of trainings, {part.track} track"
    columns = part.across(len(panels))
    blocks = -(-len(panels) // columns)
    wide = part.width(5.6 * columns if columns > 1 else ALONE)
    figure = new_figure(wide, 0.7 + 4.6 * blocks, title, part.data)
    grid = grid_of_axes(figure, 2 * blocks, columns)
    names = labels(panels)
    for place, (case, panel) in enumerate(panels.items()):
        row, column = 2 * (place // columns), place % columns
        seed = panel[0].record.case.seed
        records = [r for pair in panel for r in (pair.record, pair.reference)]
        title_of = signed(f"{names[case]}, seed {seed}", on=footnotes_on(records, timed=False))
        grid[row][column].set_title(title_of)
        _losses(grid[row][column], panel, part)
        _differences(grid[row + 1][column], panel, part)
    for place in range(len(panels), blocks * columns):
        for row in (0, 1):
            grid[2 * (place // columns) + row][place % columns].set_axis_off()
    if part.narrow:
        references = {p.reference.case.framework_label for some in panels.values() for p in some}
        framework_legend(figure, part.frameworks, lines=True, broad=references)
    return Drawing(
        f"divergence_{part.track}",
        title,
        "Above: the loss of every step, the reference as the broad line. Below: how far each is "
        "from the reference, as a share of its loss; float32 rounding alone starts near 1e-7. The "
        "dotted line marks the first step at which a training differs by more than "
        f"{share(_DIVERGED)}. Equal losses are drawn at the bottom.{left_out}",
        figure,
    )


def _within(pair: TrainingPair, part: Part) -> bool:
    return part.certified and pair.record.case.track == part.track


def _panels(found: Sequence[TrainingPair]) -> dict[Case, list[TrainingPair]]:
    """The pairs of the first seed of each network, in the order of tables."""
    seeds: dict[Case, dict[int, list[TrainingPair]]] = {}
    for pair in sorted(found, key=lambda p: (variant_place(p.network), p.network.id)):
        network = replace(pair.network, seed=0)
        seeds.setdefault(network, {}).setdefault(pair.network.seed, []).append(pair)
    return {network: by_seed[min(by_seed)] for network, by_seed in seeds.items()}


def _losses(axes: Axes, panel: Sequence[TrainingPair], part: Part) -> None:
    ends = []
    for record in (panel[0].reference, *(pair.record for pair in panel)):
        losses, name = step_losses(record), record.case.framework_label
        tint = colour(name, part.frameworks)
        look = {"linestyle": dash(name, part.frameworks), "linewidth": 1.1}
        if record is panel[0].reference:
            look = BROAD
        (line,) = axes.plot(_steps(losses), losses, color=tint, **look)
        hover(line, f"{name}: loss {losses[0]:.4g} at step 1, {losses[-1]:.4g} at {len(losses)}")
        known = losses[np.isfinite(losses)]
        ends.append((float(known[-1]) if len(known) else 0.0, name, tint, look))
    axes.set_ylabel("loss of the step")
    axes.margins(y=0.08)  # room for the broad line
    axes.tick_params(labelbottom=False)
    _across(axes, panel)
    if not part.narrow:  # which has a legend, and no room right of the panel
        _name_ends(axes, ends)


def _name_ends(axes: Axes, ends: Sequence[tuple[float, str, str, dict[str, Any]]]) -> None:
    """Write each line's name at its right end, moved apart where lines end together."""
    low, high = axes.get_ylim()
    heights: list[float] = []  # shares of the panel's
    ordered = sorted(ends, key=lambda end: end[:2])
    for value, *_ in ordered:
        lowest = heights[-1] + _LINE if heights else 0.0
        heights.append(max(lowest, (value - low) / (high - low)))
    over = max(heights[-1] - 1, 0)
    for height, (_, name, tint, look) in zip(heights, ordered, strict=True):
        beside_sign(axes, (1, height - over), name, tint, look, points=5)


def _differences(axes: Axes, panel: Sequence[TrainingPair], part: Part) -> None:
    words = (len(panel) + 0.5) * _LINE  # room for a line each, above the curves
    _logarithmic(axes, panel, 1 - words)
    for threshold in THRESHOLDS:
        axes.axhline(threshold, color=SOFT, linewidth=0.8, linestyle="--")
        place = axes.get_yaxis_transform()
        axes.text(1.012, threshold, share(threshold), color=SOFT, va="center", transform=place)
    for line, pair in enumerate(panel):
        name, difference = pair.record.case.framework_label, pair.difference
        tint = colour(name, part.frameworks)
        drawn = np.maximum(np.where(np.isfinite(difference), difference, np.nan), _FLOOR)
        style = dash(name, part.frameworks)
        (curve,) = axes.plot(_steps(drawn), drawn, color=tint, linewidth=1.1, linestyle=style)
        hover(curve, f"{name}: relative difference at step 1 {power(float(difference[0]))}")
        step = pair.first_above(_DIVERGED)
        if step is not None:
            axes.axvline(step, ymax=1 - words, color=tint, linewidth=1.4, linestyle=":")
        top = 1 - (line + 0.6) * _LINE
        step_text = describe_step(step, len(difference))
        what = ": above" if part.narrow else " first differs by more than"
        said = f"{name}{what} {share(_DIVERGED)}{'' if part.narrow else ':'} {step_text}"
        beside_sign(axes, (0.015, top), said, tint, style, size=8)
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


def lead(rows: Sequence[Row]) -> str:
    """The soonest and the latest divergence, and from which framework."""
    rows = [row for row in rows if row["first_difference"] is not None]  # those compared
    references = joined(list(dict.fromkeys(str(row["reference"]) for row in rows)))
    say = extremes(
        f"The loss first differs from that of {references} by more than {share(_DIVERGED)} at step",
        f"divergence_step_{_DIVERGED:g}",
        count,
        missing="not within the steps compared",
    )
    return say(rows)


TABLE = Table(
    "divergence",
    "Divergence of trainings",
    "Closed track, certified rows: the loss of each of the first steps compared with the "
    "reference's from the same seed, and the first step (from 1) at which they differ by more than "
    "0.1 % and 1 %; from about there on they are different runs. They diverge because float32 sums "
    "round differently in each framework: a last digit tips a ReLU or a max pooling over its kink, "
    "and every step multiplies the difference, fastest with BatchNorm, which divides by the batch "
    "statistics: there within a few steps. A difference near 1e-7 at step 1 is rounding; one of "
    "1e-4 there would be an error.",
    divergence_rows,
    columns,
    charts=(Chart("divergence", divergence, ("accuracy",)),),
    lead=lead,
    kinds=("accuracy",),
)
