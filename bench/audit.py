"""Whether the clock can be believed: the same training steps timed in three ways.

A framework may hand back a step before it is done, and a ``sync`` that does not wait would make any
figure look good. So steps are also timed until their weights lie on the host, which nothing can
deliver early, once over few steps and once over many: the slope between the two has neither the
reading of the weights nor the start of a call in it. Judged in `rows_clock`.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from bench.measuring import Bench

LONGER = 3
"""How many times as many steps the longer of two timings has."""


def audit(bench: Bench, samples: Sequence[float], steps: int) -> dict[str, Any]:
    """``clock``: seconds per step of blocks that ended in ``sync`` (the given samples of ``steps``
    steps), of calls alone, and as a slope."""
    few = max(1, steps // 4)
    many = LONGER * few
    unsynced, slopes = [], []
    began = perf_counter()
    bench.trainer.export_weights()
    for repeat in range(bench.limits.audit_repeats):
        # Every other one from many to few: a drift then favours neither.
        order = (few, many) if repeat % 2 == 0 else (many, few)
        taken = {count: _timed(bench, count) for count in order}
        bench.progress((repeat + 1) / bench.limits.audit_repeats, "sync audit")
        unsynced.append(taken[many][0] / many)
        slopes.append((taken[many][1] - taken[few][1]) / (many - few))
    return {
        "clock": {
            "synced_seconds_per_step": [sample / steps for sample in samples],
            "unsynced_seconds_per_step": unsynced,
            "slope_seconds_per_step": slopes,
            "slope_between_steps": [few, many],
            "seconds": perf_counter() - began,
        }
    }


def _timed(bench: Bench, steps: int) -> tuple[float, float]:
    """Seconds until the call returns, and until the weights that it trained are on the host."""
    started = perf_counter()
    bench.train(steps)
    returned = perf_counter()
    bench.trainer.export_weights()
    return returned - started, perf_counter() - started
