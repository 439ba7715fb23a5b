"""The transfer article's own loop, a few steps at a time next to the blocks of ours.

What is measured is its pace; how long it would take for its epochs is extrapolated in a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from bench.core.extensions import load_object
from bench.core.system.machine import Monitor
from bench.training.frameworks import framework
from bench.training.recipes.tutorials import ARTICLE_RECIPES
from bench.worker.measurements.pairs import Block, PairedBlocks
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


class LoopBlocks(PairedBlocks):
    """Such a loop, cut into blocks."""

    def __init__(self, loop: CopiedLoop, steps: int, blocks: int, monitor: Monitor) -> None:
        """Of ``steps`` in all, in so many ``blocks``."""
        self._loop = loop
        self._steps = max(1, math.ceil(steps / blocks))
        super().__init__(self._timed, blocks, monitor)

    def _timed(self) -> Block:
        ends: list[float] = []

        def after_step() -> None:
            self._loop.sync()
            ends.append(perf_counter())

        losses = self._loop.train(WARMUP_STEPS + self._steps, after_step)
        mean = sum(losses) / len(losses)
        seconds = ends[-1] - ends[WARMUP_STEPS - 1]
        return Block(seconds, mean if math.isfinite(mean) else None)

    def metrics(self) -> dict[str, Any]:
        """Seconds of both, images and mean loss of each block; the loss shows whether it learns."""
        pairs = self.pairs()
        return {
            "seconds": [pair.other.seconds for pair in pairs],
            "own_seconds": [pair.own for pair in pairs],
            "steps_per_sample": self._steps,
            "images_per_sample": self._steps * int(self._loop.facts["batch_size"]),
            "losses": [pair.other.loss for pair in pairs],
            **self._loop.facts,
        }


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
    return LoopBlocks(loop, steps, blocks, bench.monitor)
