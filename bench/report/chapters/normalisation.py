"""What normalisation costs and brings: change of images/s and change of accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from bench.analysis.comparison.comparability import in_words
from bench.analysis.comparison.pairing import accuracy_difference
from bench.analysis.experiments import Experiment, framework_place, without_recipe
from bench.analysis.results import Results
from bench.analysis.rows import Row, counts, identity, provenance_columns
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.networks.normalisations import NORMALISATIONS, Normalisation
from bench.report.captions import ARROW, HOLLOW, INTERVAL, With, read_with
from bench.report.chapters.learning.accuracy_differences import (
    apart,
    base_of,
    one_seed,
    single_experiments,
)
from bench.report.charts.forest import Forest, difference_axis
from bench.report.columns import Column, how, naming, seeds_of, text, who, whole
from bench.report.format import CHANGE, NOTHING, known, points
from bench.report.leads import both, compared
from bench.report.panels import first_lines
from bench.report.plot_style import Drawing, framework_legend, grid_of_axes, new_figure
from bench.report.report import Part
from bench.report.table import Chart, Table
from bench.stats.estimates import UNKNOWN, Estimate
from bench.stats.verdicts import EQUIVALENT_ACCURACY, EQUIVALENT_SPEED, speed_verdict

Pair = tuple[Experiment, Experiment]
"""A network with a normalisation, and the same case of the network it is compared with."""

NOT_INTERLEAVED = "no verdict (not interleaved)"


def normalisation_rows(results: Results) -> list[Row]:
    """A row per framework, track and normalisation over its base, for every recipe of accuracy.

    ``difference`` is of accuracies (fractions), ``ratio`` of images/s. Either is not a number where
    it was not measured on both networks; a row has one of them at least. The ratio is of paired
    blocks (``speed_pairs`` of them) where both networks ran in one interleaved group; otherwise it
    has no interval and no verdict, since the machine may have changed from one to the other.
    """
    rows = []
    for norm in NORMALISATIONS:
        trained, timed = (_pairs(norm, results, kind) for kind in ("accuracy", TRAIN_THROUGHPUT))
        speeds = {without_recipe(pair[0].case): pair for pair in timed}
        matched = [(pair, speeds.get(without_recipe(pair[0].case))) for pair in trained]
        used = {without_recipe(pair[0].case) for pair in trained}
        alone = [(None, pair) for case, pair in speeds.items() if case not in used]
        rows += [_row(norm, accuracy, speed, results) for accuracy, speed in [*matched, *alone]]
    return rows


def _pairs(norm: Normalisation, results: Results, kind: str) -> list[Pair]:
    same = [e for e in results.experiments(kind) if e.ok]
    certified = single_experiments(same)
    pairs = [(e, base_of(e, norm, certified)) for e in same]
    return [(experiment, base) for experiment, base in pairs if base is not None]


def _row(norm: Normalisation, accuracy: Pair | None, speed: Pair | None, results: Results) -> Row:
    pair = accuracy or speed
    assert pair is not None, "a row has one of the two at least"
    row = identity(pair[0], results.data) | counts(pair[0])
    used = [*(accuracy or ()), *(speed or ())]
    row |= provenance_columns([record for experiment in used for record in experiment.ok])
    row |= {"normalisation": norm.name, "reference": f"its own {norm.base}"}
    row |= {"base": norm.base, "diverged": pair[0].diverged}
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
        sides["against_diverged"] = theirs.diverged
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
        interleaved = results.interleaved(*pair)
        if interleaved is None:
            ratio = UNKNOWN._replace(value=results.ratio(*pair).ratio.value)
            word = NOT_INTERLEAVED
        else:
            versus = interleaved.ratio
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
        *who(),
        naming("change", "normalisation"),
        Column("accuracy (points)", lambda row: points(row["difference"], row["low"], row["high"])),
        text("accuracy is", "accuracy_verdict"),
        Column("images/s (%)", lambda row: CHANGE.estimate(*percent_change(row))),
        text("training is", "speed_verdict"),
        Column("seeds", seeds_of),
        Column("seeds of base", partial(seeds_of, prefix="against_")),
        whole("pairs of seeds", "pairs", usual=NOTHING),
        whole("pairs of blocks", "speed_pairs", usual=NOTHING),
        *how(rows),
    ]


def percent_change(row: Row) -> Estimate:
    """The ratio of images/s as a change in percent, with its interval: 0.8 becomes -20."""
    low, high = (
        None if row[k] is None else 100 * (row[k] - 1) for k in ("ratio_low", "ratio_high")
    )
    return Estimate(100 * (row["ratio"] - 1), low, high)


def normalisation(part: Part) -> Drawing | None:
    """A line per framework and normalisation that has both changes, that of speed in pairs: the
    change of speed left, that of accuracy right."""
    found = [row for row in part.rows(normalisation_rows) if _both(row)]
    if not found:
        return None
    rows, left_out = first_lines(found, "normalisation")
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["normalisation"]), []).append(row)
    title = f"What normalisation costs and brings, {part.track} track"
    columns = part.across(2)
    height = SPEED.height(groups, narrow=part.narrow) * (2 // columns) + 1.0
    figure = new_figure(part.width(11.5), height, title, part.data)
    left, right = chain.from_iterable(grid_of_axes(figure, 2 // columns, columns))
    frameworks = sorted({str(row["framework"]) for row in rows}, key=framework_place)
    marks = SPEED.lines(left, groups, frameworks, narrow=part.narrow)
    marks |= ACCURACY.lines(right, groups, frameworks, narrow=part.narrow)
    framework_legend(figure, frameworks, networks=[str(row["variant"]) for row in rows])
    return Drawing(
        f"normalisation_{part.track}",
        title,
        f"{read_with(_HOW, marks)}{left_out}",
        figure,
    )


_HOW = (
    "Left of the line is slower, right of it faster or more accurate, both compared with the same "
    "network without the normalisation (2 BN over 2 LRN: with LRN). The shaded band is the margin "
    "of a tie.",
    With((INTERVAL,), "Lines are 95 % intervals, of accuracy from two seeds on."),
    With((HOLLOW,), "A hollow mark is a tie or inconclusive."),
    With((ARROW,), "An arrow with a value is an end beyond the panel."),
)


def _both(row: Row) -> bool:
    return row["speed_pairs"] is not None and known(row["difference"])


SPEED = Forest(
    "normalisation",
    "",
    "",
    "normalisation",
    normalisation_rows,
    lambda _: "change of training images/s, %",
    CHANGE,
    network=lambda row: str(row["variant"]),
    nothing=0.0,
    even=(100 * (1 / (1 + EQUIVALENT_SPEED) - 1), 100 * EQUIVALENT_SPEED),
    factor=100,
    zero=1,
    axis=difference_axis,
    decided=lambda row: row["speed_verdict"] in ("faster", "slower"),
)
"""The left panel: change of speed."""
ACCURACY = replace(
    SPEED,
    across=lambda _: "change of test accuracy, points",
    keys=("difference", "low", "high"),
    alone=one_seed,
    even=(-100 * EQUIVALENT_ACCURACY, 100 * EQUIVALENT_ACCURACY),
    zero=0,
    decided=lambda row: row["accuracy_verdict"] in ("higher", "lower"),
)
"""The right panel: change of accuracy."""


TABLE = Table(
    "normalisation",
    "What normalisation costs and brings",
    "The network with a normalisation compared with the same one without (or with the other one), "
    "in one framework: change of test accuracy in percentage points (intervals as in the "
    "differences in accuracy) and of training images/s in percent. The speed is compared by pairs "
    "of neighbouring blocks, in the processes in which both networks ran interleaved; the "
    "images/s of the throughput table, over all processes of a row, may have another quotient. "
    "Networks that did not run interleaved have no verdict. Numbers count layers. `cifar-bn` has "
    "nine BatchNorms, as its tutorial has them, and `cifar-lrn` two LRNs, so *9 BN* and *2 LRN "
    "over none* do not exchange one for the other; `cifar-bn2` (BatchNorm where `cifar-lrn` has "
    "LRN) and `imagenet-bn` do.",
    normalisation_rows,
    columns,
    charts=(Chart("normalisation", normalisation, ("accuracy", TRAIN_THROUGHPUT)),),
    times=(TRAIN_THROUGHPUT,),
    lead=both(
        compared("accuracy_verdict", before="Accuracy: "),
        compared("speed_verdict", before="Training speed: "),
    ),
    kinds=("accuracy", TRAIN_THROUGHPUT),
)
