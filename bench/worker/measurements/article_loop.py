"""The transfer article's own loop, a few steps at a time between the blocks of ours.

What is measured is its pace; how long it would take for its epochs is extrapolated in a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from bench.core.extensions import load_object
from bench.core.system.machine import Monitor
from bench.training.frameworks import framework
from bench.training.recipes.tutorials import ARTICLE_RECIPES
from bench.worker.session import Session

WARMUP_STEPS = 2
"""At the head of every block, outside the clock: starting the loader's workers is no step."""


class CopiedLoop(Protocol):
    """A loop that people copy: a framework's row names it (``article_loop``, ``tutorial_loop``)."""

    facts: dict[str, Any]
    """What a record says of it, with ``batch_size``."""

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        """Take steps, calling ``after_step`` after each; their losses."""

    def sync(self) -> None:
        """Return when all queued work is done."""


class LoopBlocks:
    """Such a loop, cut into blocks of which each follows one of ours.

    A pair of blocks in which others used the CPUs does not count, and is taken again: as many pairs
    again at the most.
    """

    def __init__(self, loop: CopiedLoop, steps: int, blocks: int) -> None:
        self._loop, self._blocks = loop, blocks
        self._steps = max(1, math.ceil(steps / blocks))
        self._taken: list[_Pair] = []

    def block(self, own: float, *, disturbed: bool, monitor: Monitor) -> None:
        """Time one block, unless all have been.

        Args:
            own: Seconds of our block before it.
            disturbed: Whether others used the CPUs during that one.
            monitor: Says whether they do during this one.
        """
        tried, valid = len(self._taken), sum(not pair.disturbed for pair in self._taken)
        if valid >= self._blocks or tried >= 2 * self._blocks:
            return
        ends: list[float] = []

        def after_step() -> None:
            self._loop.sync()
            ends.append(perf_counter())

        monitor.begin()
        losses = self._loop.train(WARMUP_STEPS + self._steps, after_step)
        disturbed = monitor.end().disturbed or disturbed
        mean = sum(losses) / len(losses)
        loss = mean if math.isfinite(mean) else None
        seconds = ends[-1] - ends[WARMUP_STEPS - 1]
        self._taken.append(_Pair(own, seconds, loss, disturbed))

    def metrics(self) -> dict[str, Any]:
        """Of the pairs that nothing disturbed, or of all where there is none of these: seconds of
        both, images and mean loss of each block; the loss shows whether it learns."""
        chosen = [pair for pair in self._taken if not pair.disturbed] or self._taken
        chosen = chosen[: self._blocks]
        return {
            "seconds": [pair.seconds for pair in chosen],
            "own_seconds": [pair.own for pair in chosen],
            "steps_per_sample": self._steps,
            "images_per_sample": self._steps * int(self._loop.facts["batch_size"]),
            "losses": [pair.loss for pair in chosen],
            **self._loop.facts,
        }


class _Pair(NamedTuple):
    """A block of ours and one of the loop; the loss is the loop's."""

    own: float
    seconds: float
    loss: float | None
    disturbed: bool


def article_blocks(bench: Session, blocks: int) -> LoopBlocks | None:
    """The loop for a case of the article's recipe, where it is asked for and there is one."""
    case, steps = bench.setup.case, bench.limits.article_steps
    where = framework(case.framework).article_loop
    if not steps or where is None or case.recipe.partition("@")[0] not in ARTICLE_RECIPES:
        return None
    loop: CopiedLoop = load_object(where)(
        bench.dataset.train,
        len(bench.dataset.classes),
        bench.trainer.export_weights(),
        seed=case.seed,
        device=case.device,
    )
    return LoopBlocks(loop, steps, blocks)
