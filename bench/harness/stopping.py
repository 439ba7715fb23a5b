"""When a match has been measured for long enough."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.limits import Limits
from bench.core.samples import Timed, ratios
from bench.harness.interleave import Tally
from bench.stats import estimates

JUDGED = ("train_throughput", "inference")
"""Kinds whose precision decides: latency and start-up take as many processes as these."""


def why_enough(tallies: Sequence[Tally], limits: Limits, relays: Sequence[float]) -> str | None:
    """Why no further process is taken, as a record says it; None while one is wanted.

    ``relays``: how many seconds each of those that were has taken.

    ``precision``: the goal is reached for every ratio. ``time limit``: another process would not
    be done in time. ``processes``: as many as the profile asks for, and there is no goal.
    """
    alive = [tally for tally in tallies if tally.error is None]
    if not alive:
        return "failure"
    if len(relays) >= limits.processes:
        judged = [tally for tally in alive if tally.task.kind in JUDGED]
        if limits.precision is None or not judged:
            return "processes"
        if all(reached <= limits.precision for reached in _precisions(judged)):
            return "precision"
    # The first one had more to do, once for all.
    another = relays[-1] - (_once(tallies) if len(relays) == 1 else 0)
    return "time limit" if sum(relays) + another > limits.match_seconds else None


def _once(tallies: Sequence[Tally]) -> float:
    """Seconds of what is measured in the first process alone."""
    clocks = (answer["metrics"].get("clock") for t in tallies for answer in t.answers)
    return float(sum(clock["seconds"] for clock in clocks if clock))


def _precisions(tallies: Sequence[Tally]) -> list[float]:
    """Half widths of the intervals of all ratios to the first framework; its own when alone."""
    found = []
    for kind in dict.fromkeys(tally.task.kind for tally in tallies):
        first, *others = (_timed(tally) for tally in tallies if tally.task.kind == kind)
        # Alone, its speed is held against a speed of one.
        pairs = [ratios(other, first) for other in others] or [_alone(first)]
        found += [estimates.paired(pair).precision for pair in pairs if any(pair)]
    return found


def _alone(one: Timed) -> list[list[float]]:
    return [[one.images_per_sample / sample for sample in p] for p in one.by_process()]


def _timed(tally: Tally) -> Timed:
    images = tally.answers[0]["images_per_sample"] if tally.answers else 1
    return Timed(tally.samples, tally.blocks, images or 1)
