"""The suite's own layers compared with the framework's: forward and backward, alternately.

Only what the suite writes itself where a framework has its own: the local response normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from bench.core.extensions import load_object
from bench.training.frameworks import framework
from bench.training.interfaces import LayerPair, Setup
from bench.worker.session import Session

Maker = Callable[[Setup], Iterable[LayerPair]]
"""What a framework's row names under ``layer_pairs``."""


def layer_pairs(bench: Session) -> list[dict[str, Any]]:
    """Seconds of one call of each side, block by block; empty where none are asked for."""
    where = framework(bench.setup.case.framework).layer_pairs
    if not bench.limits.layer_pairs or where is None or not bench.schedule.extras:
        return []
    make: Maker = load_object(where)
    return [_measured(pair, bench) for pair in make(bench.setup)]


def _measured(pair: LayerPair, bench: Session) -> dict[str, Any]:
    sides = (pair.ours, pair.theirs)
    seconds: tuple[list[float], list[float]] = ([], [])
    for side in sides:
        side()  # traces, compiles and allocates outside the clock
    blocks = bench.limits.blocks
    calls = [_calls(side, bench.limits.block_seconds / 4) for side in sides]
    for block in range(blocks):
        order = (0, 1) if block % 2 == 0 else (1, 0)
        for which in order:
            seconds[which].append(_seconds(sides[which], calls[which]))
        bench.progress((block + 1) / blocks, f"layer {pair.layer}")
    ours, theirs = seconds
    return {
        "layer": pair.layer,
        "shape": list(pair.shape),
        "theirs": pair.theirs_name,
        "our_seconds": ours,
        "their_seconds": theirs,
        "largest_difference": pair.difference(),
    }


def _calls(side: Callable[[], object], seconds: float) -> int:
    """As many as fill a block."""
    return max(1, round(seconds / max(_seconds(side, 1), 1e-6)))


def _seconds(side: Callable[[], object], calls: int) -> float:
    """Of one call, as the mean of several."""
    started = perf_counter()
    for _ in range(calls):
        side()
    return (perf_counter() - started) / calls
