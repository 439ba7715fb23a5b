"""The loop that a framework's tutorials show, next to the harness's own.

In a throughput case a block of it is next to each of ours, in the same process. After a training it
takes as many images as ours took, and is evaluated by the same code.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.extensions import load_object
from bench.training.frameworks import framework
from bench.training.interfaces import Images
from bench.training.tracks import track
from bench.worker.evaluation import accuracy_of, evaluate
from bench.worker.inputs import ImageInputs
from bench.worker.measurements.article_loop import WARMUP_STEPS, CopiedLoop, LoopBlocks
from bench.worker.session import Session


class TutorialLoop(CopiedLoop, Protocol):
    """What a framework's row names under ``tutorial_loop``: a function of (setup, dataset)."""

    def predict(self, images: Images) -> NDArray[Any]:
        """Evaluation-mode logits on the host, (N, classes)."""


def tutorial_blocks(bench: Session, blocks: int) -> LoopBlocks | None:
    """The loop in as many blocks as ours, each about as long; None where none is asked for."""
    loop = _loop(bench)
    if loop is None:
        return None
    pace = _pace(loop, bench.limits.warmup_steps + 1)
    steps = max(2, round(bench.limits.block_seconds / pace))
    return LoopBlocks(loop, steps * blocks, blocks, bench.monitor)


def tutorial_training(bench: Session, images: int) -> dict[str, Any] | None:
    """Accuracy and seconds of the loop after ``images`` images, as ours are measured.

    Its seconds begin with its first step, as ours do. None where none is asked for, and where ours
    starts from pretrained weights: the loop starts from random ones.
    """
    loop = _loop(bench) if bench.setup.case.init == "scratch" else None
    if loop is None:
        return None
    size = int(loop.facts["batch_size"])
    steps, taken = max(1, images // size), 0

    def after_step() -> None:
        nonlocal taken
        taken += 1
        if taken % 10 == 0:
            bench.progress(taken / steps, f"the tutorials' loop, step {taken}")

    started = perf_counter()
    loop.train(steps, after_step)
    loop.sync()
    seconds = perf_counter() - started
    counts = evaluate(loop, bench.dataset, ImageInputs(bench.dataset, bench.plan))
    return {
        "test_accuracy": accuracy_of(counts),
        "train_seconds": seconds,
        "train_images": steps * size,
        **loop.facts,
    }


def _loop(bench: Session) -> TutorialLoop | None:
    case = bench.setup.case
    where = framework(case.framework).tutorial_loop
    asked = bench.limits.tutorial_loop and track(case.track).recommended_settings
    if not asked or where is None or case.frozen:  # the loop trains all layers
        return None
    loop: TutorialLoop = load_object(where)(bench.setup, bench.dataset)
    return loop


def _pace(loop: CopiedLoop, steps: int) -> float:
    """Seconds of a step in steady state, from a short call."""
    ends: list[float] = []

    def after_step() -> None:
        loop.sync()
        ends.append(perf_counter())

    loop.train(WARMUP_STEPS + steps, after_step)
    return max(float(np.median(np.diff(ends[WARMUP_STEPS - 1 :]))), 1e-5)
