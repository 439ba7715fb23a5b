"""Time to accuracy: how many seeds reach an accuracy, when, and the mean up to a shared end.

The plot has the share of seeds that have reached it, by the clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, islice, pairwise
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.analysis.certified import is_certified_row
from bench.analysis.experiments import Data, Experiment, labels
from bench.analysis.published import accuracies_at, published_figure
from bench.analysis.results import Results
from bench.analysis.rows import Row, counts, identity, mean_over_seeds
from bench.analysis.time_to_accuracy import PARTS, TimeToAccuracy, startup_of, times_to_accuracy
from bench.core.records import Record
from bench.core.text import many
from bench.report.captions import AT_LEAST, AT_MOST, With
from bench.report.columns import Column, case_of, how, number, seeds_of, who, whole
from bench.report.format import NOTHING, count, joined, known, significant
from bench.report.leads import extremes
from bench.report.panels import Lines, first_lines, signed_title
from bench.report.plot_axes import from_zero, plain_numbers
from bench.report.plot_style import (
    ALONE,
    SOFT,
    Drawing,
    colour,
    dash,
    framework_legend,
    grid_of_axes,
    hover,
    in_lines,
    marker,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats.survival import Seed, median_time, restricted_mean, survival_curve

UNITS = ("seconds", "images")

GOALS = 3
"""Accuracies of a network that are drawn: the highest ones, where frameworks differ."""

_LETTERS = 30  # of a title above axes 3.4 inches wide


def time_to_accuracy_rows(results: Results) -> list[Row]:
    """A row per experiment and threshold that some framework of its network reached.

    ``median_seconds`` is None for never; ``mean_seconds`` is restricted to ``horizon_seconds``, by
    which ``within_seconds`` seeds got there; the same in images. ``timed`` seeds have seconds that
    are a measurement; without one, what is in seconds is not a number. Seconds count from the empty
    process where ``seconds_from`` says ``start``, from the first step where it says ``training``.
    The parts of the start-up are means over seeds. Columns that end in ``_bound`` say where a
    median or mean is an upper or a lower bound.
    """
    return [
        _row(experiment, goal, follow, results.data) | results.comparability(experiment)
        for follow in results.once(times_to_accuracy)
        for goal in follow.thresholds()
        for experiment in follow.members
        if follow.seeds(experiment, goal, "images")
    ]


def _row(experiment: Experiment, goal: float, follow: TimeToAccuracy, data: Data) -> Row:
    row = identity(experiment, data) | counts(experiment)
    row |= {"diverged": experiment.diverged, "threshold": goal}
    known = follow.seeds(experiment, goal, "images")
    row |= {"seeds": len(known), "reached": sum(seed.reached for seed in known)}
    row["timed"] = len(follow.seeds(experiment, goal, "seconds"))
    for unit in UNITS:
        seeds, horizon = follow.seeds(experiment, goal, unit), follow.horizon(unit)
        row[f"median_{unit}"] = median_time(seeds) if seeds else math.nan
        row[f"mean_{unit}"] = restricted_mean(seeds, horizon) if seeds else math.nan
        row[f"horizon_{unit}"] = horizon
        row[f"within_{unit}"] = sum(seed.reached and seed.time <= horizon for seed in seeds)
    row["seconds_from"] = "start" if follow.with_startup else "training"
    row |= _evaluations(experiment, goal)
    for unit in UNITS:
        row |= _bounds(unit, row)
    return row | _startup(experiment)


def _bounds(unit: str, row: Row) -> Row:
    """Whether the median and the mean are upper or lower bounds: ≤, ≥ or empty.

    A seed that the first evaluation found was there at some time before.
    """
    late, first = row[f"within_{unit}"] < _number_in(unit, row), bool(row["at_first"])
    # Of seeds before the first evaluation and others after the horizon there is no bound.
    mean = "" if late == first else (AT_LEAST if late else AT_MOST)
    median_first = known(row[f"median_{unit}"]) and 2 * row["at_first"] >= row["seeds"]
    return {
        f"median_{unit}_bound": AT_MOST if median_first else "",
        f"mean_{unit}_bound": mean if known(row[f"mean_{unit}"]) else "",
    }


def _startup(experiment: Experiment) -> Row:
    """Means over the seeds that have them; not a number where none has."""
    found = [parts for record in experiment.ok if (parts := startup_of(record))]
    row: Row = {part: mean_over_seeds([parts[part] for parts in found]).value for part in PARTS}
    row["startup_seconds"] = mean_over_seeds([sum(parts.values()) for parts in found]).value
    return row


def columns(rows: Sequence[Row]) -> list[Column]:
    """How many seeds reached it and when, by the clock where it is known and by images."""
    clock = (
        Column("median (s)", partial(_median, "seconds")),
        Column("mean (s)", partial(_mean, "seconds")),
        number("horizon (s)", "horizon_seconds"),
    )
    startup = (
        Column("start-up (s)", partial(_startup_cell, "startup_seconds")),
        Column("of which first step (s)", partial(_startup_cell, "first_step_seconds")),
    )
    timed = any(row["timed"] for row in rows)
    partly = timed and any(row["timed"] < row["seeds"] for row in rows)
    return [
        *who(),
        Column("accuracy", lambda row: f"{', '.join(f'{100 * goal:g}' for goal in _goals(row))} %"),
        Column("reached", lambda row: f"{row['reached']} of {row['seeds']}"),
        *(clock if timed else ()),
        Column("median images", partial(_median, "images")),
        Column("mean images", partial(_mean, "images")),
        whole("horizon images", "horizon_images"),
        *(startup if timed else ()),
        Column("seeds", seeds_of),
        *((whole("seeds with valid seconds", "timed"),) if partly else ()),
        *how(rows),
    ]


def by_evaluation(rows: Sequence[Row]) -> list[Row]:
    """One row for all accuracies that the same evaluations found: ``thresholds``."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        of = case_of(row), is_certified_row(row)
        when = (row[f"{m}_{u}"] for m in _WHEN for u in UNITS)
        seeds = (row["seeds"], row["reached"], row["at_first"])
        same = (*seeds, *(v if known(v) else None for v in when))
        groups.setdefault((of, same), []).append(row)
    return [some[-1] | {"thresholds": [r["threshold"] for r in some]} for some in groups.values()]


_WHEN = ("median", "mean", "within")


def _evaluations(experiment: Experiment, goal: float) -> Row:
    """Images between two evaluations, and the seeds whose first one found the accuracy."""
    curves = [[point["images"] for point in _curve_of(record)] for record in experiment.ok]
    steps = [b - a for images in curves for a, b in pairwise(images)]
    found = [
        (entry["images"], _curve_of(record)[0]["images"])
        for record in experiment.ok
        if _curve_of(record)
        for entry in record.metrics.get("thresholds") or []
        if entry["accuracy"] == goal and entry["images"] is not None
    ]
    return {
        "every_images": median(steps) if steps else None,
        "at_first": sum(reached <= first for reached, first in found),
    }


def _curve_of(record: Record) -> list[dict[str, Any]]:
    """The evaluations of a training, in order."""
    return record.metrics.get("curve") or []


def _goals(row: Row) -> list[float]:
    return row.get("thresholds") or [row["threshold"]]


def _median(unit: str, row: Row) -> str:
    value = row[f"median_{unit}"]
    if not _number_in(unit, row):
        return NOTHING
    return _bounded(unit, "median", row) if known(value) else "never"


def _mean(unit: str, row: Row) -> str:
    return _bounded(unit, "mean", row) if _number_in(unit, row) else NOTHING


def _bounded(unit: str, name: str, row: Row) -> str:
    key = f"{name}_{unit}"
    return f"{row[f'{key}_bound']} {_show(unit, row[key])}".lstrip()


def _number_in(unit: str, row: Row) -> int:
    """Seeds that are followed in a unit."""
    return int(row["seeds"] if unit == "images" else row["timed"])


def _show(unit: str, value: float | None) -> str:
    return significant(value) if unit == "seconds" else count(value)


def _startup_cell(key: str, row: Row) -> str:
    if not row["timed"]:
        return NOTHING
    return significant(row[key]) if known(row[key]) else "n/a"


def lead(rows: Sequence[Row]) -> str:
    """The soonest and the latest median of the highest accuracy that half of the seeds reached.

    An accuracy that was published for another network is a goal of that one alone.
    """
    unit = "seconds" if all(row["timed"] == row["seeds"] for row in rows) else "images"
    reached = [row for row in rows if known(row[f"median_{unit}"])]
    goals = {g for row in reached for g in _goals(row) if not _of_another_network(row, g)}
    if not goals:
        return "No accuracy was reached by half of the seeds."
    goal = max(goals)
    same = [row for row in rows if goal in _goals(row)]
    from_start = ", start-up included" if _from_start(same) else " of training alone"
    say = extremes(
        f"{100 * goal:g} % test accuracy {_found(same)} after",
        f"median_{unit}",
        lambda value: f"{_show(unit, value)} {'s' if unit == 'seconds' else unit}",
        after=from_start if unit == "seconds" else "",
        missing="never",
        seconds=unit == "seconds",
    )
    return say(same)


def _found(rows: Sequence[Row]) -> str:
    """What is known of the evaluations that found an accuracy in half of the seeds."""
    first = {bool(row["median_images_bound"]) for row in rows if known(row["median_images"])}
    if first == {True}:
        return "was there at the first evaluation,"
    return "was found by an evaluation" if True in first else "was reached"


def _from_start(rows: Iterable[Row]) -> bool:
    return all(row.get("seconds_from") != "training" for row in rows)


def _of_another_network(row: Row, goal: float) -> bool:
    """Whether an accuracy was published, but for another network than the row's."""
    published = accuracies_at([goal])
    return bool(published) and published_figure("accuracy", case_of(row)) not in published


def notes(rows: Sequence[Row]) -> list[str]:
    """When was evaluated, which accuracies are published ones, and where seconds lack the
    start-up."""
    goals = {goal for row in rows for goal in _goals(row)}
    lines = [
        f"{100 * figure.value:g} % is the published accuracy of {figure.variant}: {figure.source}"
        for figure in accuracies_at(goals)
    ]
    lines = [*_paces(rows), *lines]
    names = dict.fromkeys(
        str(row["variant"]) for row in rows if row.get("seconds_from") == "training"
    )
    if not names:
        return lines
    return [
        *lines,
        f"{joined(list(names))}: seconds are of training alone, without start-up, since not all of "
        "these records have theirs (n/a)",
    ]


def _paces(rows: Sequence[Row]) -> list[str]:
    """How often was evaluated, by network and recipe."""
    paces: dict[float, dict[str, None]] = {}
    for row in rows:
        if row.get("every_images"):
            name = f"{row['variant']} ({row['recipe']})"
            paces.setdefault(row["every_images"], {})[name] = None
    return [
        f"{joined(list(names))}: evaluated every {count(pace)} images; an accuracy may have been "
        "reached up to so many images before the evaluation that found it"
        for pace, names in sorted(paces.items())
    ]


def time_to_accuracy(part: Part) -> Drawing | None:
    """A row of panels per network, one for each of the highest accuracies that a seed reached.

    None where no curve has two seeds: the table says when a single one got there.
    """
    followed = [
        f for f in part.results.once(times_to_accuracy) if _within(f, part) and f.thresholds()
    ]
    if not any(_several(follow) for follow in followed):
        return None
    found, left_out = first_lines(followed, "time_to_accuracy", part.panels)
    names = labels(follow.members[0].peers for follow in found)
    columns = max(min(GOALS, len(follow.thresholds())) for follow in found)
    title = f"Time to accuracy, {part.track} track"
    across = part.across(columns, columns)
    rows = len(found) * columns // across
    wide = 0.6 + 3.4 * columns if columns > 1 else ALONE
    figure = new_figure(part.width(wide), 1.2 + 2.4 * rows, title, part.data)
    curves = Lines.of(part.frameworks, [follow.members for follow in found])
    places = chain.from_iterable(grid_of_axes(figure, rows, across))
    for follow in found:
        line = list(islice(places, columns))
        goals = follow.thresholds()[-GOALS:]
        for axes, goal in zip(line, goals, strict=False):
            name = f"{names[follow.members[0].peers]}: {100 * goal:g}\N{NO-BREAK SPACE}%"
            name = signed_title(name, _with_left_out(follow, part))
            axes.set_title(in_lines(name, part.letters(_LETTERS)))
            _panel(axes, follow, goal, curves)
        for axes in line[len(goals) :]:
            axes.set_axis_off()
        line[0].set_ylabel("seeds that reached it")
    framework_legend(
        figure,
        curves.shown,
        known=curves.known,
        lines=True,
        networks=[e.case.variant for f in found for e in f.members],
    )
    return Drawing(f"time_to_accuracy_{part.track}", title, _how(found) + left_out, figure)


def _several(follow: TimeToAccuracy) -> bool:
    """Whether a curve of the network has two seeds at least."""
    goals = follow.thresholds()[-GOALS:]
    unit = _unit(follow)
    return any(len(follow.seeds(e, goal, unit)) > 1 for e in follow.members for goal in goals)


def _unit(follow: TimeToAccuracy) -> str:
    """What the axis of its panels is in."""
    return "seconds" if follow.timed else "images"


def _within(follow: TimeToAccuracy, part: Part) -> bool:
    first = follow.members[0]
    return first.case.track == part.track and first.certified == part.certified


def _with_left_out(follow: TimeToAccuracy, part: Part) -> list[Experiment]:
    """The members, and what is no member since it lacks its images: its caveat is the panel's."""
    peers = follow.members[0].peers
    return [e for e in part.experiments("accuracy") if e.peers == peers]


def _how(found: Sequence[TimeToAccuracy]) -> str:
    seconds = "Seconds count from the empty process: import, build, compile and training."
    if not any(follow.timed for follow in found):
        seconds = "The axis is in images: not all of these trainings have valid seconds."
    elif not all(follow.timed for follow in found):
        seconds += " An axis is in images where not all trainings have valid seconds."
    elif not all(follow.with_startup for follow in found):
        seconds = (
            "Seconds count from the empty process where the axis says start-up and from the first "
            "step elsewhere, for records without their start-up."
        )
    return (
        "Further left is sooner: the share of seeds (Kaplan-Meier) whose evaluation has reached "
        "the accuracy. A bar across a line is the end of a seed that never reached it; a dotted "
        f"line is the end that all trainings of the network share. {seconds}"
    )


def _panel(axes: Axes, follow: TimeToAccuracy, goal: float, curves: Lines) -> None:
    unit = _unit(follow)
    horizon = follow.horizon(unit)
    for experiment in follow.members:
        if seeds := follow.seeds(experiment, goal, unit):
            _curve(axes, experiment, seeds, curves)
    axes.axvline(horizon, color=SOFT, linewidth=0.9, linestyle=":")
    from_zero(axes)
    axes.set_ylim(-0.05, 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    seconds = "seconds with start-up" if follow.with_startup else "seconds of training"
    axes.set_xlabel(seconds if follow.timed else "training images")


def _curve(axes: Axes, experiment: Experiment, seeds: Sequence[Seed], curves: Lines) -> None:
    """Steps up where seeds arrive (marked), flat to the end, ticks where seeds end without it."""
    name = curves.names[experiment.case]
    tint = colour(name, curves.known)
    curve = survival_curve(seeds)
    x, y = [0.0, *curve.times], [0.0, *(1 - share for share in curve.shares)]
    style = dash(name, curves.known)
    (line,) = axes.step(x, y, where="post", color=tint, linewidth=1.6, linestyle=style)
    reached = sum(seed.reached for seed in seeds)
    hover(line, f"{name}: reached by {reached} of {many(len(seeds), 'seed')}")
    arrived = {seed.time for seed in seeds if seed.reached}
    level = dict(zip(x, y, strict=True))
    axes.plot(
        sorted(arrived),
        [level[time] for time in sorted(arrived)],
        marker=marker(experiment.case.variant),
        markersize=5.5,
        color=tint,
        linestyle="",
    )
    ended = sorted({seed.time for seed in seeds if not seed.reached})
    ticks = [level[time] for time in ended]
    axes.plot(ended, ticks, "|", color=tint, markersize=11, markeredgewidth=1.6)


TABLE = Table(
    "time_to_accuracy",
    "Time to accuracy",
    (
        "When an evaluation first found the accuracy, over seeds; accuracies that the same "
        "evaluations found share a row.",
        With(
            (AT_MOST,),
            "≤ says that the first evaluation found it: it was reached at some time before.",
        ),
        With(
            ("median (s)",),
            "Seconds include the start-up: they are of import, build and training with its first "
            "step, without evaluation.",
        ),
        "A seed that ended without reaching it is right-censored "
        "(Kaplan-Meier). The mean is restricted to the horizon, as far as all trainings of the "
        "network went: a seed that is later counts as the horizon.",
        With((AT_LEAST,), "≥ says that there was one."),
        "Accuracies that no framework of a network reached are left out.",
    ),
    time_to_accuracy_rows,
    columns,
    charts=(Chart("time_to_accuracy", time_to_accuracy, ("accuracy",)),),
    notes=notes,
    times=("accuracy",),
    lead=lead,
    kinds=("accuracy",),
    shown=by_evaluation,
)
