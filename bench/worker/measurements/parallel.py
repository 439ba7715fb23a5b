"""Training on several devices: how, and the share of a step that communication takes."""

from __future__ import annotations

from dataclasses import asdict
from time import perf_counter
from typing import Any, cast

import numpy as np

from bench.training.interfaces import ParallelTrainer
from bench.worker.session import Session


def parallel_metrics(bench: Session, steps: int) -> dict[str, Any]:
    """The metric ``parallel``; empty on one device.

    Blocks with and without communication alternate. Without it the devices' weights drift apart, so
    they are loaded again after each.
    """
    if bench.setup.case.devices == 1:
        return {}
    trainer = cast(ParallelTrainer, bench.trainer)
    found = {"devices": bench.setup.case.devices, **asdict(trainer.parallel())}
    return {"parallel": found | (_communication(bench, trainer, steps) if steps else {})}


def _communication(bench: Session, trainer: ParallelTrainer, steps: int) -> dict[str, Any]:
    pairs: tuple[list[float], list[float]] = ([], [])
    for block in range(bench.limits.blocks):
        for without in (False, True) if block % 2 == 0 else (True, False):
            seconds = _seconds(bench, trainer, steps, without=without)
            if isinstance(seconds, str):
                return {"communication_reason": seconds}
            pairs[without].append(seconds)
    return {"with_exchange": pairs[0], "without_exchange": pairs[1], "steps": steps}


def _seconds(bench: Session, trainer: ParallelTrainer, steps: int, *, without: bool) -> float | str:
    """Seconds of so many steps; why they cannot be had."""
    weights = trainer.export_weights() if without else {}
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        return "the weights are no numbers any more"
    block = trainer.without_exchange() if without else None
    if without and block is None:
        return "the exchange is a part of the compiled step"
    if block is None:
        return _timed(bench, steps)
    with block:
        seconds = _timed(bench, steps)
    trainer.load_weights(weights)
    return seconds


def _timed(bench: Session, steps: int) -> float:
    bench.train(1)
    bench.trainer.sync()
    began = perf_counter()
    bench.train(steps)
    bench.trainer.sync()
    return perf_counter() - began
