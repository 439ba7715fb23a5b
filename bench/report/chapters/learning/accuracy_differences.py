"""Differences in accuracy: between frameworks, and between normalisations in one framework.

A diverged seed counts in its mean. A failed one has no accuracy: it is counted on its side, and in
a track with paired seeds its partner has no pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bench.analysis.comparison.comparability import Difference, in_words
from bench.analysis.comparison.pairing import accuracy_difference
from bench.analysis.experiments import Data, Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, caveats_of_both, counts, identity
from bench.core.case import Case
from bench.networks.normalisations import NORMALISATIONS, Normalisation
from bench.report.captions import ARROW, HOLLOW, INTERVAL, With
from bench.report.charts.forest import Forest, difference_axis
from bench.report.columns import Column, how, seeds_of, text, who, whole
from bench.report.format import CHANGE, NOTHING, points
from bench.report.leads import compared
from bench.report.table import Chart, Table
from bench.stats.estimates import UNKNOWN
from bench.stats.verdicts import EQUIVALENT_ACCURACY


def difference_rows(results: Results) -> list[Row]:
    """A row per experiment and other experiment that it is compared with.

    ``difference`` with ``low`` and ``high`` is in fractions: this row's mean minus the other's.
    ``pairs`` seeds are in it where it is paired. First come the frameworks against the reference,
    then the normalisations against the network without.
    """
    found = results.experiments("accuracy")
    frameworks = [_against_reference(e, results) for e in found]
    certified = single_experiments(found)
    norms = [_against_base(e, norm, certified, results) for norm in NORMALISATIONS for e in found]
    return [row for row in (*frameworks, *norms) if row is not None]


def single_experiments(found: Iterable[Experiment]) -> dict[tuple[Case, str], Experiment]:
    """The certified experiment of each case and kind."""
    return {(e.case, e.kind): e for e in found if e.certified}


def _against_reference(experiment: Experiment, results: Results) -> Row | None:
    reference = results.reference(experiment)
    if reference is experiment:
        return None
    if reference is not None:
        refused = in_words(results.between(experiment, reference))
        against = results.reference_name(reference)
        return _row(experiment, reference, results.data, "framework", (against, refused))
    # Nothing to compare with: without a result, or a certificate. It is not left out silently.
    peers = results.peers(experiment)
    return _row(experiment, None, results.data, "framework", ("", "")) if peers else None


def _against_base(
    experiment: Experiment,
    norm: Normalisation,
    certified: Mapping[tuple[Case, str], Experiment],
    results: Results,
) -> Row | None:
    base = base_of(experiment, norm, certified)
    if base is None:
        return None
    refused = in_words(apart(experiment, base, results))
    return _row(experiment, base, results.data, norm.name, (f"its own {norm.base}", refused))


def base_of(
    experiment: Experiment,
    norm: Normalisation,
    certified: Mapping[tuple[Case, str], Experiment],
) -> Experiment | None:
    """The same case of the other network, where both are certified."""
    if experiment.case.variant != norm.variant or not experiment.certified:
        return None
    return certified.get((replace(experiment.case, variant=norm.base), experiment.kind))


def apart(experiment: Experiment, base: Experiment, results: Results) -> list[Difference]:
    """The differences that forbid to compare two networks of one framework."""
    if not experiment.ok or not base.ok:
        return []
    # Two networks never have the same initial weights: that is a part of what is compared.
    found = results.between(experiment, base)
    return [difference for difference in found if difference.key != "initial_weights_sha256"]


def _row(
    experiment: Experiment,
    other: Experiment | None,
    data: Data,
    compared: str,
    reference: tuple[str, str],
) -> Row:
    against, refused = reference
    row = identity(experiment, data) | counts(experiment) | {"diverged": experiment.diverged}
    row |= {"compared": compared, "reference": against or None, "not_compared": refused or None}
    difference, pairs, word = UNKNOWN, None, ""
    row |= {f"against_{name}": None for name in ("seeds", "failed", "diverged")}
    if other is not None:
        row |= {"against_seeds": len(other.ok), "against_failed": other.failed}
        row["against_diverged"] = other.diverged
        row |= caveats_of_both(experiment, other)
        if not refused:
            found = accuracy_difference(experiment.ok, other.ok)
            difference, pairs, word = found.estimate, found.pairs, found.verdict.word
    method = "Welch" if pairs is None else "paired by seed"
    known = not math.isnan(difference.value)
    row |= {"method": method if known else None, "pairs": pairs}
    row |= {"difference": difference.value, "low": difference.low, "high": difference.high}
    row["verdict"] = _verdict(experiment, other, refused, word)
    return row


def _verdict(experiment: Experiment, other: Experiment | None, refused: str, word: str) -> str:
    if not experiment.ok:
        return "no result"
    if not experiment.certified:
        return "uncertified"
    if other is None or not other.ok:
        return "no result"
    if refused:
        return "not comparable"
    return word


def columns(rows: Sequence[Row]) -> list[Column]:
    """Who is compared with whom, from which seeds, and the difference with its interval."""
    return [
        *who(),
        Column("difference (points)", _difference),
        text("verdict", "verdict"),
        text("compared with", "reference"),
        Column("seeds", seeds_of),
        Column("its seeds", partial(seeds_of, prefix="against_")),
        whole("pairs", "pairs", usual=NOTHING),
        text("method", "method"),
        *how(rows),
    ]


def _difference(row: Row) -> str:
    return points(row["difference"], row["low"], row["high"])


def one_seed(row: Row) -> str:
    """``one seed`` where a side of a difference has no more: its value has no interval."""
    return "one seed" if min(row["seeds"], row["against_seeds"] or 0) == 1 else ""


DIFFERENCES = Forest(
    "accuracy_differences",
    "Differences in accuracy",
    (
        "Right of the line is more accurate than what the name after *over* says; the shaded band "
        "is the margin of a tie.",
        With((INTERVAL,), "Lines are 95 % intervals."),
        With((HOLLOW,), "A hollow mark is a tie or inconclusive."),
        With((ARROW,), "An arrow with a value is an end beyond the panel."),
    ),
    "accuracy_differences",
    difference_rows,
    lambda _: "difference of test accuracy, percentage points",
    CHANGE,
    ("difference", "low", "high"),
    detail=lambda row: f"over {row['reference']}",
    alone=one_seed,
    nothing=0.0,
    even=(-100 * EQUIVALENT_ACCURACY, 100 * EQUIVALENT_ACCURACY),
    factor=100,
    axis=difference_axis,
    decided=lambda row: row["verdict"] in ("higher", "lower"),
    timed=False,
)

TABLE = Table(
    "accuracy_differences",
    "Differences in accuracy",
    "Mean test accuracy of a row minus that of what it is compared with, in percentage points: "
    "another framework on the same network, or the same framework without the normalisation or "
    "with another one. The 95 % interval is Student's t, paired by seed where the runs of a seed "
    "share batches and initial weights, else Welch's. *Higher* and *lower* are intervals without "
    "0; a *tie* contains 0 and lies wholly within ± 1 point; everything else is *inconclusive*, a "
    "single seed too. Intervals are per row, without a correction for the number of rows.",
    difference_rows,
    columns,
    charts=(Chart("accuracy_differences", DIFFERENCES.draw, ("accuracy",), timed=False),),
    lead=compared("verdict"),
    kinds=("accuracy",),
)
