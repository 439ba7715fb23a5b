"""Rows of the break-even: when the faster of two frameworks has made up for its slower start.

Behind its start-up a framework needs images / rate seconds. The two are level where
start_a + images / rate_a = start_b + images / rate_b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.analysis.comparability import differences_between, in_words
from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.rows import Row, counts, identity
from bench.analysis.speeds import speeds, versus
from bench.analysis.time_to_accuracy import PARTS
from bench.core.kinds import kind
from bench.core.records import Record
from bench.stats import estimates
from bench.stats.verdicts import speed_verdict

AHEAD, EVEN, REFUSED = "ahead from the start", "break-even", "not comparable"


@dataclass(frozen=True)
class Side:
    """One framework: its steady state, and the start-up of the same case."""

    steady: Experiment
    start: Experiment

    @property
    def rate(self) -> float:
        """Images/s of training: the median, as in the table of throughput."""
        return estimates.median_estimate(self.rates).value

    @property
    def rates(self) -> list[list[float]]:
        """Images/s of each block, by process."""
        return speeds(self.steady)

    def seconds(self, part: str) -> float:
        """Mean over seeds of one of ``PARTS``."""
        return estimates.mean_estimate([float(r.metrics[part]) for r in self.start.ok]).value

    @property
    def startup(self) -> float:
        """Seconds from the empty process to the end of the first step."""
        return sum(self.seconds(part) for part in PARTS)


def break_even_images(startups: tuple[float, float], rates: tuple[float, float]) -> float:
    """Images after which the first framework has caught up with the second; 0 if never behind.

    Seconds of start-up and images/s of both; the first has the higher rate. Raises ValueError when
    it has not.
    """
    (ours, theirs), (faster, slower) = startups, rates
    if not faster > slower > 0:
        raise ValueError(f"the first rate must be the higher one. Received: {rates}")
    behind = ours - theirs
    return 0.0 if behind <= 0 else behind / (1 / slower - 1 / faster)


def break_even_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row per network and pair of frameworks that have both measurements, the faster one first.

    ``images`` and ``epochs`` (of all training pictures) are counted from the end of the first step;
    ``behind_seconds`` is how much later the faster one starts, ``behind_first_step_seconds`` the
    part of the first step (trace and compile) in that.
    """
    found = experiments(records, ("train_throughput", "startup"))
    starts = {(e.case, e.certified): e for e in found if kind(e.kind).startup and _whole(e)}
    sides = [
        Side(e, starts[e.case, e.certified])
        for e in found
        if kind(e.kind).throughput and e.ok and (e.case, e.certified) in starts
    ]
    pairs = [
        (one, other)
        for one, other in combinations(sides, 2)
        if one.steady.peers == other.steady.peers
        and one.steady.certified
        and other.steady.certified
    ]
    return [_row(*pair, data) for pair in pairs]


def _whole(experiment: Experiment) -> bool:
    """Whether every start-up tells its parts: without them nothing can be said of compile."""
    told = [record.metrics.get(part) for record in experiment.ok for part in PARTS]
    return bool(told) and None not in told


def _row(one: Side, other: Side, data: Data) -> Row:
    faster, slower = (one, other) if one.rate >= other.rate else (other, one)
    row = identity(faster.steady, data) | counts(faster.steady)
    # The two measurements may be refused for the same reason: it is said once.
    told = [
        *differences_between(faster.steady, slower.steady),
        *differences_between(faster.start, slower.start),
    ]
    refused = in_words(list(dict.fromkeys(told)))
    row |= {"reference": slower.steady.case.framework, "not_compared": refused or None}
    held = versus(faster.steady, slower.steady)
    value, low, high = held.ratio
    row |= {"ratio": value, "ratio_low": low, "ratio_high": high}
    row |= _start_columns(faster, slower)
    row |= {"images": None, "epochs": None, "verdict": REFUSED}
    if refused:
        return row
    if (word := speed_verdict(held).word) != "faster":
        # The point would lie anywhere: the interval of the ratio holds 1.
        return row | {"verdict": f"{word} in rate"}
    images = break_even_images((faster.startup, slower.startup), (faster.rate, slower.rate))
    pictures = faster.steady.ok[0].dataset.get("train_images")
    row |= {"images": images, "epochs": images / pictures if pictures else None}
    return row | {"verdict": EVEN if images > 0 else AHEAD}


def _start_columns(faster: Side, slower: Side) -> Row:
    return {
        "images_per_second": faster.rate,
        "against_images_per_second": slower.rate,
        "startup_seconds": faster.startup,
        "against_startup_seconds": slower.startup,
        "behind_seconds": faster.startup - slower.startup,
        **{f"behind_{part}": faster.seconds(part) - slower.seconds(part) for part in PARTS},
    }
