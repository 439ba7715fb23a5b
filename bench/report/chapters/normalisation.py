"""What normalisation costs and brings: change of images/s and change of accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.comparison.comparability import in_words
from bench.analysis.comparison.pairing import accuracy_difference
from bench.analysis.experiments import Experiment, framework_place
from bench.analysis.results import Results
from bench.analysis.rows import TRAINING, Row, counts, identity, provenance_columns
from bench.core.case import Case
from bench.networks.normalisations import NORMALISATIONS, Normalisation
from bench.report.chapters.learning.accuracy_differences import (
    apart,
    base_of,
    diverged,
    single_experiments,
)
from bench.report.columns import Column, how, seeds_of, text, who, whole
from bench.report.footnotes import has_caveat, signed
from bench.report.format import NOTHING, known, plus, points
from bench.report.leads import both, counted
from bench.report.panels import first_lines
from bench.report.plot_style import (
    INK,
    Drawing,
    colour,
    draw_interval,
    framework_legend,
    grid_of_axes,
    hover,
    marker,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats.estimates import UNKNOWN, Estimate
from bench.stats.verdicts import speed_verdict

Pair = tuple[Experiment, Experiment]
"""A network with a normalisation, and the same case of the network it is compared with."""

NOT_INTERLEAVED = "not interleaved: no verdict"
_REACH = 1.5
"""An interval is drawn as far as this times the farthest mark: few seeds give huge ones."""


def normalisation_rows(results: Results) -> list[Row]:
    """A row per framework, track and normalisation over its base, for every recipe of accuracy.

    ``difference`` is of accuracies (fractions), ``ratio`` of images/s. Either is not a number where
    it was not measured on both networks; a row has one of them at least. The ratio is of paired
    blocks (``speed_pairs`` of them) where both networks ran in one interleaved group; otherwise it
    has no interval and no verdict, since the machine may have changed from one to the other.
    """
    rows = []
    for norm in NORMALISATIONS:
        trained, timed = (_pairs(norm, results, kind) for kind in ("accuracy", TRAINING))
        speeds = {_whatever_the_recipe(pair[0]): pair for pair in timed}
        matched = [(pair, speeds.get(_whatever_the_recipe(pair[0]))) for pair in trained]
        used = {_whatever_the_recipe(pair[0]) for pair in trained}
        alone = [(None, pair) for case, pair in speeds.items() if case not in used]
        rows += [_row(norm, accuracy, speed, results) for accuracy, speed in [*matched, *alone]]
    return rows


def _pairs(norm: Normalisation, results: Results, kind: str) -> list[Pair]:
    same = [e for e in results.experiments(kind) if e.ok]
    certified = single_experiments(same)
    pairs = [(e, base_of(e, norm, certified)) for e in same]
    return [(experiment, base) for experiment, base in pairs if base is not None]


def _whatever_the_recipe(experiment: Experiment) -> Case:
    """Speed does not depend on the schedule, so the two may have recipes of their own."""
    return replace(experiment.case, recipe="")


def _row(norm: Normalisation, accuracy: Pair | None, speed: Pair | None, results: Results) -> Row:
    pair = accuracy or speed
    assert pair is not None, "a row has one of the two at least"
    row = identity(pair[0], results.data) | counts(pair[0])
    used = [*(accuracy or ()), *(speed or ())]
    row |= provenance_columns([record for experiment in used for record in experiment.ok])
    row |= {"normalisation": norm.name, "reference": f"its own {norm.base}"}
    row |= {"base": norm.base, "diverged": diverged(pair[0])}
    row |= {f"against_{name}": None for name in ("seeds", "failed", "diverged")}
    row["not_compared"] = _refused((accuracy, speed), results)
    return row | _accuracy(accuracy, results) | _speed(speed, results)


def _refused(pairs: Sequence[Pair | None], results: Results) -> str | None:
    """Why a pair is not compared, in words; the other pair keeps its number."""
    reasons = [in_words(apart(*pair, results)) for pair in pairs if pair]
    return "; ".join(dict.fromkeys(words for words in reasons if words)) or None


def _accuracy(pair: Pair | None, results: Results) -> Row:
    difference, pairs, sides, word = UNKNOWN, None, {}, ""
    if pair is not None:
        ours, theirs = pair
        sides = {"against_seeds": len(theirs.ok), "against_failed": theirs.failed}
        sides["against_diverged"] = diverged(theirs)
        if not apart(ours, theirs, results):
            found = accuracy_difference(ours.ok, theirs.ok)
            difference, pairs, word = found.estimate, found.pairs, found.verdict.word
    return sides | {
        "pairs": pairs,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "accuracy_verdict": word,
    }


def _speed(pair: Pair | None, results: Results) -> Row:
    ratio, pairs, word = UNKNOWN, None, ""
    if pair is not None and not apart(*pair, results):
        versus = results.interleaved(*pair)
        if versus is None:
            ratio = UNKNOWN._replace(value=results.ratio(*pair).ratio.value)
            word = NOT_INTERLEAVED
        else:
            ratio, pairs, word = versus.ratio, versus.pairs, speed_verdict(versus).word
    return {
        "speed_pairs": pairs,
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "speed_verdict": word,
    }


def columns(rows: Sequence[Row]) -> list[Column]:
    """What is compared with what, and both changes."""
    return [
        *who(rows),
        text("change", "normalisation"),
        Column("seeds", seeds_of),
        Column("seeds of base", partial(seeds_of, prefix="against_")),
        whole("pairs", "pairs", usual=NOTHING),
        Column("accuracy (points)", lambda row: points(row["difference"], row["low"], row["high"])),
        text("accuracy is", "accuracy_verdict"),
        Column("images/s (%)", _percent),
        text("training is", "speed_verdict"),
        *how(),
    ]


def percent_change(row: Row) -> Estimate:
    """The ratio of images/s as a change in percent, with its interval: 0.8 becomes -20."""
    low, high = (
        None if row[k] is None else 100 * (row[k] - 1) for k in ("ratio_low", "ratio_high")
    )
    return Estimate(100 * (row["ratio"] - 1), low, high)


def _percent(row: Row) -> str:
    value, low, high = percent_change(row)
    if not known(value):
        return NOTHING
    shown = plus(value)
    return shown if low is None or high is None else f"{shown} [{plus(low)}, {plus(high)}]"


def normalisation(part: Part) -> Drawing | None:
    """A mark per framework and normalisation that has both changes, that of speed in pairs."""
    found = [row for row in part.rows(normalisation_rows) if _both(row)]
    if not found:
        return None
    rows, left_out = first_lines(found, "normalisation")
    title = f"What normalisation costs and brings, {part.track} track"
    figure = new_figure(8.2, 5.4, title, part.data)
    ((axes,),) = grid_of_axes(figure, 1, 1)
    frameworks = sorted({str(row["framework"]) for row in rows}, key=framework_place)
    marks = [(row, percent_change(row), _points(row)) for row in rows]
    widest = _REACH * max(1.0, *(abs(across.value) for _, across, _ in marks))
    highest = _REACH * max(1.0, *(abs(up.value) for _, _, up in marks))
    for row, across, up in marks:
        tint = colour(row["framework"], frameworks)
        draw_interval(axes, up.value, across, (-widest, widest), show=plus, tint=tint)
        limits = (-highest, highest)
        draw_interval(axes, across.value, up, limits, show=plus, tint=tint, upright=True)
        shape, place = marker(row["variant"]), (across.value, up.value)
        (mark,) = axes.plot(*place, shape, color=tint, markersize=9, markeredgecolor="white")
        words = f"{plus(across.value)} % images/s, {plus(up.value)} points"
        hover(mark, f"{row['normalisation']} in {row['framework']}: {words}")
        name = signed(row["normalisation"], on=has_caveat(row))
        # Two frameworks often lie together: one name above, one below.
        above = frameworks.index(str(row["framework"])) % 2 == 0
        label = axes.annotate(
            name,
            place,
            xytext=(7, 7 if above else -7),
            textcoords="offset points",
            va="bottom" if above else "top",
            color=tint,
        )
        label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    _scales(axes)
    networks = dict.fromkeys(str(row["variant"]) for row in rows)
    framework_legend(figure, frameworks, networks=networks)
    return Drawing(
        f"normalisation_{part.track}",
        title,
        "Up is more accurate, left is slower, both against the same network without the "
        "normalisation (2 BN over 2 LRN: with LRN). Lines are 95 % intervals, from two seeds on; "
        "the table has the verdicts; an arrow with a value is an end beyond the panel."
        f"{left_out}",
        figure,
    )


def _both(row: Row) -> bool:
    return row["speed_pairs"] is not None and known(row["difference"])


def _points(row: Row) -> Estimate:
    low, high = (None if row[key] is None else 100 * row[key] for key in ("low", "high"))
    return Estimate(100 * row["difference"], low, high)


def _scales(axes: Axes) -> None:
    """Zero lines, signs at the ticks, and room around the marks."""
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    axes.margins(0.08)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axes.set_xlabel("change of training images/s, %")
    axes.set_ylabel("change of test accuracy, points")


TABLE = Table(
    "normalisation",
    "What normalisation costs and brings",
    "The network with a normalisation compared with the same one without (or with the other one), "
    "in one framework: change of test accuracy in percentage points (intervals as in the "
    "differences in accuracy) and of training images/s in percent: from pairs of blocks (95 % "
    "bootstrap) where both networks ran in one interleaved group, otherwise without a verdict. "
    "Numbers count layers. `cifar-bn` has nine BatchNorms, as its tutorial has them, and "
    "`cifar-lrn` two LRNs, so *9 BN* and *2 LRN over none* do not exchange one for the other; "
    "`cifar-bn2` (BatchNorm where `cifar-lrn` has LRN) and `imagenet-bn` do.",
    normalisation_rows,
    columns,
    charts=(Chart("normalisation", normalisation, ("accuracy", TRAINING)),),
    times=(TRAINING,),
    lead=both(
        counted("accuracy_verdict", before="Accuracy: "),
        counted("speed_verdict", before="Training speed: "),
    ),
    kinds=("accuracy", TRAINING),
)
