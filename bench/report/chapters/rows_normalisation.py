"""Rows of what a normalisation costs and brings: change of images/s beside change of accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.comparability import in_words
from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.pairing import accuracy_difference
from bench.analysis.rows import Row, counts, identity
from bench.analysis.speeds import versus
from bench.core.case import Case
from bench.core.records import Record
from bench.report.chapters.rows_differences import (
    NORMALISATIONS,
    Normalisation,
    apart,
    base_of,
    diverged,
)
from bench.stats.estimates import UNKNOWN
from bench.stats.verdicts import speed_verdict

Pair = tuple[Experiment, Experiment]
"""A network with a normalisation, and the same case of the network it is held against."""


def normalisation_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row per framework, track and normalisation over its base, for every recipe of accuracy.

    ``difference`` is of accuracies (fractions), ``ratio`` of images/s. Either is not a number where
    it was not measured on both networks; a row has one of them at least.
    """
    found = experiments(records, ("accuracy", "train_throughput"))
    rows = []
    for norm in NORMALISATIONS:
        learnt, timed = (_pairs(norm, found, kind) for kind in ("accuracy", "train_throughput"))
        speeds = {_whatever_the_recipe(pair[0]): pair for pair in timed}
        matched = [(pair, speeds.get(_whatever_the_recipe(pair[0]))) for pair in learnt]
        used = {_whatever_the_recipe(pair[0]) for pair in learnt}
        alone = [(None, pair) for case, pair in speeds.items() if case not in used]
        rows += [_row(norm, accuracy, speed, data) for accuracy, speed in [*matched, *alone]]
    return rows


def _pairs(norm: Normalisation, found: Sequence[Experiment], kind: str) -> list[Pair]:
    same = [e for e in found if e.kind == kind and e.ok]
    pairs = [(e, base_of(e, norm, same)) for e in same]
    return [(experiment, base) for experiment, base in pairs if base is not None]


def _whatever_the_recipe(experiment: Experiment) -> Case:
    """Speed does not depend on the schedule, so the two may have recipes of their own."""
    return replace(experiment.case, recipe="")


def _row(norm: Normalisation, accuracy: Pair | None, speed: Pair | None, data: Data) -> Row:
    told = accuracy or speed
    assert told is not None, "a row has one of the two at least"
    row = identity(told[0], data) | counts(told[0])
    row |= {"normalisation": norm.name, "reference": f"its own {norm.base}"}
    row |= {"base": norm.base, "diverged": diverged(told[0])}
    row |= {f"against_{name}": None for name in ("seeds", "failed", "diverged")}
    row["not_compared"] = _refused(accuracy, speed)
    return row | _accuracy(accuracy) | _speed(speed)


def _refused(*pairs: Pair | None) -> str | None:
    """Why a pair is not compared, in words; the other pair keeps its number."""
    told = [in_words(apart(*pair)) for pair in pairs if pair]
    return "; ".join(dict.fromkeys(words for words in told if words)) or None


def _accuracy(pair: Pair | None) -> Row:
    difference, pairs, sides, word = UNKNOWN, None, {}, ""
    if pair is not None:
        ours, theirs = pair
        sides = {"against_seeds": len(theirs.ok), "against_failed": theirs.failed}
        sides["against_diverged"] = diverged(theirs)
        if not apart(ours, theirs):
            found = accuracy_difference(ours.ok, theirs.ok)
            difference, pairs, word = found.estimate, found.pairs, found.verdict.word
    return sides | {
        "pairs": pairs,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "accuracy_verdict": word,
    }


def _speed(pair: Pair | None) -> Row:
    ratio, word = UNKNOWN, ""
    if pair is not None and not apart(*pair):
        held = versus(*pair)
        ratio, word = held.ratio, speed_verdict(held).word
    return {
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "speed_verdict": word,
    }
