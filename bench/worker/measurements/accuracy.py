"""Training by a recipe: how right the network becomes, and after how many seconds and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.training.tracks import track
from bench.worker.digests import training_digests
from bench.worker.evaluation import accuracy_of, evaluate
from bench.worker.measurements.features import recomputed_features
from bench.worker.measurements.tutorial_loop import tutorial_training
from bench.worker.session import Result, Session

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.648, 0.7, 0.75, 0.8, 0.8441, 0.9)
"""Accuracies to time: round ones, and the two published figures that recipes are compared with."""

STEP_LOSSES = 500
"""Steps of a closed training whose losses are recorded one by one: their divergence step is found
in them, and comes long before the last."""


def accuracy(bench: Session) -> Result:
    """Train by the recipe and evaluate on all test images; evaluations are not timed.

    The first step (trace, compile, allocate) is a part of the training and of its seconds; how long
    it took is in ``metrics["startup"]`` with the seconds before the training.
    """
    curve, history = [], list[float]()
    confusion = np.zeros((1, 1), np.int64)
    bench.trainer.sync()
    seconds, done = bench.first_step(), 1
    stretches = [(bench.trainer.losses(), 1)]
    for target in _targets(bench):
        if target > done:  # else the first step alone leads to the first point
            seconds += bench.watched(_train_until, bench, done, target)
            stretches.append((bench.trainer.losses(), target - done))
        done = target
        history.extend(loss for losses, _ in stretches for loss in losses)
        confusion = evaluate(bench.trainer, bench.dataset, bench.inputs)
        curve.append(_point(bench, done, seconds, _mean_loss(stretches), confusion))
        stretches = []
        if curve[-1]["train_loss"] is None:
            break  # it has diverged: more steps would measure nothing
    metrics = _summary(bench, curve, confusion) | training_digests(bench.trainer, history)
    metrics |= bench.inputs.metrics() | {"startup": _startup(bench)}
    if (recomputed := recomputed_features(bench)) is not None:
        metrics["features"]["recomputed"] = recomputed
    if track(bench.setup.case.track).certified:  # elsewhere a loss may be the mean of many steps
        metrics["step_losses"] = [_finite(loss) for loss in history[:STEP_LOSSES]]
    if (tutorial := tutorial_training(bench, curve[-1]["images"])) is not None:
        metrics["tutorial_loop"] = tutorial
    return Result([curve[-1]["test_accuracy"]], None, metrics, "fraction")


def _targets(bench: Session) -> list[int]:
    """The steps after which is evaluated: evenly spread, each once, the last step among them."""
    points = bench.limits.evaluations or max(1, round(2 * bench.setup.recipe.epochs))
    spread = (round(bench.setup.steps * (index + 1) / points) for index in range(points))
    return [step for step in dict.fromkeys(spread) if step]


def _mean_loss(stretches: Sequence[tuple[list[float], int]]) -> float:
    """Mean loss of a step over stretches of (losses, steps); not a number where none is known.

    Some trainers report one mean of a stretch: its weight is the number of steps, not of losses.
    """
    known = [(float(np.mean(losses)), steps) for losses, steps in stretches if losses]
    if not known:
        return math.nan
    means, steps = zip(*known, strict=True)
    return float(np.average(means, weights=steps))


def _startup(bench: Session) -> dict[str, float | None]:
    """Seconds before the training and of its first step, as a record of start-up has them."""
    return {
        "import_seconds": bench.import_seconds,
        "build_seconds": bench.build_seconds,
        "first_step_seconds": bench.first_step_seconds,
    }


def _finite(loss: float) -> float | None:
    """None in the place of what JSON has no number for."""
    return loss if math.isfinite(loss) else None


def _train_until(bench: Session, done: int, target: int) -> float:
    steps, started = target - done, perf_counter()
    taken = 0

    def after_step() -> None:
        nonlocal taken
        taken += 1
        if taken % 10 == 0:
            bench.progress((done + taken) / bench.setup.steps, f"step {done + taken}")

    bench.train(steps, after_step)
    bench.trainer.sync()
    return perf_counter() - started


def _point(
    bench: Session, step: int, seconds: float, loss: float, confusion: NDArray[np.int64]
) -> dict[str, Any]:
    images = step * bench.setup.case.batch_size
    return {
        "epoch": images / bench.plan.images,
        "step": step,
        "images": images,
        "seconds": seconds,
        "train_loss": _finite(loss),
        "test_accuracy": accuracy_of(confusion),
    }


def _summary(
    bench: Session, curve: list[dict[str, Any]], confusion: NDArray[np.int64]
) -> dict[str, Any]:
    per_class = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    last = curve[-1]
    return {
        "test_accuracy": last["test_accuracy"],
        "classes": list(bench.dataset.classes),
        "per_class": dict(zip(bench.dataset.classes, per_class.tolist(), strict=True)),
        "confusion": confusion.tolist(),
        "curve": curve,
        "thresholds": [_reached(threshold, curve) for threshold in THRESHOLDS],
        "train_seconds": last["seconds"],
        "train_images": last["images"],
        "diverged": last["train_loss"] is None,
    }


def _reached(threshold: float, curve: list[dict[str, Any]]) -> dict[str, Any]:
    """The first evaluated point at or above ``threshold``; nothing is interpolated."""
    point = next((p for p in curve if p["test_accuracy"] >= threshold), None)
    return {
        "accuracy": threshold,
        "seconds": point and point["seconds"],
        "images": point and point["images"],
    }
