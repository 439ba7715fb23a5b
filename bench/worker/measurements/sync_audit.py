"""The sync audit, whether the clock waits for the work: training steps timed in three ways.

A framework may hand back a step before it is done, and a ``sync`` that does not wait would make any
figure look good. So calls of a few and of many steps are timed up to three moments: until they
return, until ``sync`` returns, and until the weights that they trained lie on the host, which
nothing can deliver early. The slopes between few and many have neither the reading of the weights
nor the start of a call in them, and both are of the same calls. Judged in
`bench.analysis.clock`.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple

from bench.worker.session import Session

LONGER = 3
"""How many times as many steps the longer of two timings has."""


def audit(bench: Session, samples: Sequence[float], steps: int) -> dict[str, Any]:
    """``clock``: seconds per step in blocks (the given samples of ``steps`` steps), of calls that
    are not waited for, and as slopes up to ``sync`` and up to the weights."""
    each = bench.setup.case.steps_per_execution
    few = max(1, steps // (4 * each)) * each
    many = LONGER * few
    unsynced: list[float] = []
    synced: list[float] = []
    slopes: list[float] = []
    began = perf_counter()
    bench.trainer.export_weights()
    repeats = bench.limits.audit_repeats
    spare = repeats
    while (repeat := len(slopes)) < repeats:
        # Every other one from many to few: a drift then favours neither.
        order = (few, many) if repeat % 2 == 0 else (many, few)
        bench.monitor.begin()
        taken = {count: _timed(bench, count) for count in order}
        disturbed = bench.monitor.end().disturbed
        bench.progress((repeat + 1) / repeats, "sync audit")
        if disturbed and spare:  # taken again: as many again at the most
            spare -= 1
            continue
        unsynced.append(taken[many].returned / many)
        synced.append((taken[many].synced - taken[few].synced) / (many - few))
        slopes.append((taken[many].read - taken[few].read) / (many - few))
    return {
        "clock": {
            "block_seconds_per_step": [sample / steps for sample in samples],
            "unsynced_seconds_per_step": unsynced,
            "synced_seconds_per_step": synced,
            "slope_seconds_per_step": slopes,
            "slope_between_steps": [few, many],
            "seconds": perf_counter() - began,
        }
    }


class _Moments(NamedTuple):
    """Seconds from the beginning of a call."""

    returned: float
    synced: float
    read: float


def _timed(bench: Session, steps: int) -> _Moments:
    started = perf_counter()
    bench.train(steps)
    returned = perf_counter()
    bench.trainer.sync()
    synced = perf_counter()
    bench.trainer.export_weights()
    read = perf_counter()
    return _Moments(*(moment - started for moment in (returned, synced, read)))
