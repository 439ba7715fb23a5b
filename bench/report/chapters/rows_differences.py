"""Rows of differences in accuracy: between frameworks, and between normalisations in one framework.

A diverged seed counts in its mean. A failed one has no accuracy: it is counted on its side, and in
the closed track its partner has no pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.analysis.comparability import Difference, differences_between, in_words
from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.pairing import accuracy_difference
from bench.analysis.rows import Row, counts, identity, reference_of
from bench.core.records import Record
from bench.stats.estimates import UNKNOWN


@dataclass(frozen=True)
class Normalisation:
    """Two networks that differ in nothing but how, or whether, they normalise."""

    name: str
    variant: str
    base: str


NORMALISATIONS = (
    Normalisation("BN over none", "cifar-bn", "cifar-plain"),
    Normalisation("LRN over none", "cifar-lrn", "cifar-plain"),
    Normalisation("BN over LRN", "imagenet-bn", "imagenet-lrn"),
)


def difference_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row per experiment and other experiment that it is held against.

    ``difference`` with ``low`` and ``high`` is in fractions: this row's mean minus the other's.
    ``pairs`` seeds are in it where it is paired. First come the frameworks against the reference,
    then the normalisations against the network without.
    """
    found = experiments(records, ("accuracy",))
    frameworks = [_against_reference(e, found, data) for e in found]
    norms = [_against_base(e, norm, found, data) for norm in NORMALISATIONS for e in found]
    return [row for row in (*frameworks, *norms) if row is not None]


def _against_reference(
    experiment: Experiment, found: Sequence[Experiment], data: Data
) -> Row | None:
    reference = reference_of(experiment, found)
    if reference is experiment:
        return None
    if reference is not None:
        refused = in_words(differences_between(experiment, reference))
        against = reference.case.framework
        return _row(experiment, reference, data, "framework", (against, refused))
    # Nothing to be held against: for want of a result, or of a proof. It is not left out silently.
    peers = [e for e in found if e.peers == experiment.peers and e is not experiment]
    return _row(experiment, None, data, "framework", ("", "")) if peers else None


def _against_base(
    experiment: Experiment, norm: Normalisation, found: Sequence[Experiment], data: Data
) -> Row | None:
    base = base_of(experiment, norm, found)
    if base is None:
        return None
    refused = in_words(apart(experiment, base))
    return _row(experiment, base, data, norm.name, (f"its own {norm.base}", refused))


def base_of(
    experiment: Experiment, norm: Normalisation, found: Sequence[Experiment]
) -> Experiment | None:
    """The same case of the other network, where both are certified."""
    if experiment.case.variant != norm.variant or not experiment.certified:
        return None
    wanted = replace(experiment.case, variant=norm.base)
    same = (e for e in found if e.kind == experiment.kind and e.case == wanted)
    return next((e for e in same if e.certified), None)


def apart(experiment: Experiment, base: Experiment) -> list[Difference]:
    """What keeps two networks of one framework from being compared."""
    if not experiment.ok or not base.ok:
        return []
    # Two networks never have the same initial weights: that is a part of what is compared.
    told = differences_between(experiment, base)
    return [difference for difference in told if difference.key != "initial_weights_sha256"]


def diverged(experiment: Experiment) -> int:
    """How many seeds ended in a loss that is no number."""
    return sum(bool(record.metrics.get("diverged")) for record in experiment.ok)


def _row(
    experiment: Experiment,
    other: Experiment | None,
    data: Data,
    compared: str,
    standing: tuple[str, str],
) -> Row:
    against, refused = standing
    row = identity(experiment, data) | counts(experiment) | {"diverged": diverged(experiment)}
    row |= {"compared": compared, "reference": against or None, "not_compared": refused or None}
    difference, pairs, word = UNKNOWN, None, ""
    row |= {f"against_{name}": None for name in ("seeds", "failed", "diverged")}
    if other is not None:
        row |= {"against_seeds": len(other.ok), "against_failed": other.failed}
        row["against_diverged"] = diverged(other)
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
    if not experiment.certified:
        return "uncertified"
    if not experiment.ok or other is None or not other.ok:
        return "no result"
    if refused:
        return "not comparable"
    return word
