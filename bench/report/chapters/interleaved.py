"""Interleaved runs: ratios of speed by pairs of blocks, and the smallest detectable difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from bench.analysis.experiments import Experiment, framework_place, labels
from bench.analysis.results import Results
from bench.analysis.rows import Row, caveats_of_both, identity, ratio_columns
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.report.columns import (
    Column,
    case_of,
    disturbed_column,
    ends,
    how,
    kind_column,
    kind_of,
    text,
    times,
    who,
    whole,
)
from bench.report.footnotes import has_caveat, signed
from bench.report.format import NOTHING, known, percent
from bench.report.panels import LINES, first_lines
from bench.report.plot_style import (
    INK,
    SOFT,
    Drawing,
    colour,
    draw_interval,
    framework_legend,
    grid_of_axes,
    marker,
    new_figure,
    ratio_axis,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats.verdicts import speed_verdict
from bench.training.tracks import peers_of

_PAIRED = tuple(
    row.name
    for row in sorted(KINDS.values(), key=lambda row: row.startup)
    if row.interleaved or row.startup
)
"""In the order of the table's rows and the plot's panels."""

_WHY = {
    "precision": "goal reached",
    "time limit": "time limit",
    "processes": "as many as asked for",
    "failure": "a process failed",
}
_LINE = 0.27  # inches


def interleaved_rows(results: Results) -> list[Row]:
    """Speed of every framework over that of the reference that it ran interleaved with.

    ``ratio`` with its 95 % interval, ``pairs`` and ``processes`` that it rests on, ``detectable``
    (relative difference that so many would have found four times out of five), ``stopped`` and
    ``precision_goal``: why no more were taken. A start-up is one pair of processes.
    """
    rows = []
    for experiment in results.experiments(*_PAIRED):
        reference = results.reference(experiment)
        if reference is not None and reference is not experiment:
            row = _row(experiment, reference, results)
            rows += [row] if row else []
    return sorted(rows, key=lambda row: _PAIRED.index(row["kind"]))


def _row(experiment: Experiment, reference: Experiment, results: Results) -> Row | None:
    versus = results.interleaved(experiment, reference)
    if versus is None:
        return None
    row = identity(experiment, results.data) | {"kind": experiment.kind}
    row |= results.comparability(experiment) | caveats_of_both(experiment, reference)
    row["reference_precision"] = reference.case.precision
    row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
    turns = experiment.ok[0].metrics.get("interleaving", {})
    row |= {"pairs": versus.pairs, "processes": versus.processes, "detectable": versus.detectable}
    row |= {"disturbed": versus.disturbed}
    row |= {name: turns.get(name) for name in ("stopped", "precision_goal")}
    row |= {"group_seconds": turns.get("group_seconds"), "lost": turns.get("lost")}
    if row["not_compared"]:
        return row | ratio_columns(None, "not comparable")
    return row | ratio_columns(versus.ratio, speed_verdict(versus).word)


def columns(rows: Sequence[Row]) -> list[Column]:
    """The ratio, what it rests on, and the smallest difference that it could have found."""
    return [
        kind_column(),
        *who(rows),
        Column("compared with", _compared_with, right=False),
        Column("ratio", lambda row: times(row["ratio"])),
        ends(times, "ratio_low", "ratio_high"),
        text("verdict", "verdict"),
        whole("processes", "processes"),
        whole("pairs", "pairs"),
        Column("detectable", _detectable),
        Column("stopped at", _stopped, right=False),
        text("lost", "lost", usual=NOTHING),
        disturbed_column(),
        *how(),
    ]


def _compared_with(row: Row) -> str:
    """The reference, with its precision where that is another one."""
    same = row["precision"] == row["reference_precision"]
    return f"{row['reference']}" if same else f"{row['reference']} {row['reference_precision']}"


def _detectable(row: Row) -> str:
    value = row["detectable"]
    return NOTHING if value is None or not known(value) else f"± {percent(value)}"


def _stopped(row: Row) -> str:
    why = _WHY.get(row["stopped"], str(row["stopped"]))
    if row["stopped"] == "precision":
        return f"{why} (± {percent(row['precision_goal'])})"
    return f"{why} ({row['group_seconds']:g} s)" if row["stopped"] == "time limit" else why


def interleaved(part: Part) -> Drawing | None:
    """A line per network and framework, a panel per kind."""
    rows = [row for row in part.rows(interleaved_rows) if row["ratio"] is not None]
    if not rows:
        return None
    title = f"Interleaved runs: speed over {_references(rows)}, {part.track} track"
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in _PAIRED}
    kinds = {kind: found for kind, found in kinds.items() if found}
    longest = max(kinds.values(), key=len)
    left_out = first_lines(longest, "interleaved")[1]
    lines = min(len(longest), LINES)
    columns = min(2, len(kinds))
    tall = math.ceil(len(kinds) / columns)
    figure = new_figure(8.6, 1.3 + tall * (0.75 + _LINE * lines), title, part.data)
    panels = [axes for row in grid_of_axes(figure, tall, columns) for axes in row]
    frameworks = sorted({str(row["framework"]) for row in rows}, key=framework_place)
    for axes, found in zip(panels, kinds.values(), strict=False):
        _panel(axes, found[:LINES], frameworks)
    for axes in panels[len(kinds) :]:
        axes.set_axis_off()
    framework_legend(figure, frameworks)
    return Drawing(
        f"interleaved_{part.track}",
        title,
        "Right of the line is faster. Marks are ratios by pairs of interleaved blocks, lines their "
        "95 % intervals over processes and pairs; a mark without a verdict of faster or slower is "
        "hollow. The axis is logarithmic where intervals span more than a factor of four; an arrow "
        "with a value is an end beyond the panel."
        f"{left_out}",
        figure,
    )


def _references(rows: Sequence[Row]) -> str:
    return ", ".join(dict.fromkeys(str(row["reference"]) for row in rows))


def _panel(axes: Axes, rows: Sequence[Row], frameworks: Sequence[str]) -> None:
    names = labels(peers_of(case_of(row)) for row in rows)
    intervals = [(row["ratio"], row["ratio_low"], row["ratio_high"]) for row in rows]
    limits = ratio_axis(axes, intervals)
    for place, (row, interval) in enumerate(zip(rows, intervals, strict=True)):
        tint = colour(row["framework"], frameworks)
        draw_interval(axes, place, interval, limits, show=times, tint=tint)
        face = tint if row["verdict"] in ("faster", "slower") else "white"
        shape = marker(row["framework"], frameworks)
        axes.plot(row["ratio"], place, shape, color=tint, markerfacecolor=face, zorder=3)
    axes.axvline(1, color=INK, linewidth=0.9, zorder=1)
    axes.set_title(kind_of(rows[0]))
    axes.set_yticks(range(len(rows)), [_line_name(row, names) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"speed over {_references(rows)}", color=SOFT)


def _line_name(row: Row, names: Mapping[Case, str]) -> str:
    """The network, both precisions where they differ, and the sign of a caveat."""
    name = names[peers_of(case_of(row))]
    if row["precision"] != row["reference_precision"]:
        name = f"{name}\n{row['precision']} over {row['reference_precision']}"
    return signed(name, on=has_caveat(row))


TABLE = Table(
    "interleaved",
    "Interleaved runs",
    "All frameworks of one network ran interleaved (A B B A), one block at a time, in several "
    "fresh processes. The ratio is of speed, by pairs of blocks, above 1x faster than the "
    "reference: the geometric mean over processes of the median ratio. Its 95 % interval "
    "resamples processes and pairs, and is as wide as Student's t over the processes demands. An "
    "interval wholly within ± 10 % is a tie; one that contains 1 and reaches further is "
    "inconclusive, as is any of one process. *Detectable* is the smallest difference that this "
    "many pairs would have found four times out of five. No more were taken when every ratio was "
    "as precise as the goal, or at a time limit.",
    interleaved_rows,
    columns,
    charts=(Chart("interleaved", interleaved, _PAIRED),),
    times=_PAIRED,
)
