"""Training by a recipe: the accuracy that it reaches, and after how many seconds and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.case import COMPILED
from bench.core.errors import UnavailableError
from bench.training.tracks import track
from bench.worker.digests import training_digests
from bench.worker.evaluation import accuracy_of, evaluate, evaluate_with_flips
from bench.worker.inputs import ImageInputs
from bench.worker.measurements.features import recomputed_features
from bench.worker.measurements.parallel import parallel_metrics
from bench.worker.measurements.training import Training, checkpoint_due, resumed, save
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
    it took is in ``metrics["startup"]`` with the seconds before the training. With a checkpoint the
    training goes on from there, and the seconds of its parts are added.

    Raises:
        UnavailableError: Several steps are taken in one call: none of them ends where a point or a
            checkpoint is due.
    """
    execution = bench.setup.case.execution
    if bench.setup.case.steps_per_execution > 1:
        raise UnavailableError(f"execution {execution}: is timed only; train with {COMPILED}")
    training = resumed(bench) or Training()
    bench.trainer.sync()
    if not training.step:
        _first_step(bench, training)
    for target in _targets(bench):
        if training.diverged:
            break  # more steps would measure nothing
        if target > training.step:  # else the first step alone leads to the first point
            bench.watched(_train_until, bench, training, target)
        if target > training.evaluated:
            _save_if_due(bench, training)
            counts = evaluate(bench.trainer, bench.dataset, bench.inputs)
            training.add_point(_point(bench, training, counts), counts.tolist())
    _save_if_due(bench, training)  # what follows may take long
    return Result(
        [training.curve[-1]["test_accuracy"]], None, _metrics(bench, training), "fraction"
    )


def _metrics(bench: Session, training: Training) -> dict[str, Any]:
    """Metrics of a training that has ended, and what is measured after it."""
    metrics = _summary(bench, training) | training_digests(bench.trainer, training.history)
    metrics |= bench.inputs.metrics() | {"startup": training.startup, "parts": training.parts}
    if bench.setup.recipe.augmentation.flip and isinstance(bench.inputs, ImageInputs):
        counts = evaluate_with_flips(bench.trainer, bench.dataset, bench.inputs)
        metrics["test_accuracy_with_flips"] = accuracy_of(counts)
    if (recomputed := recomputed_features(bench)) is not None:
        metrics["features"]["recomputed"] = recomputed
    if track(bench.setup.case.track).certified:  # elsewhere a loss may be the mean of many steps
        metrics["step_losses"] = [_finite(loss) for loss in training.history[:STEP_LOSSES]]
    if (tutorial := tutorial_training(bench, training.curve[-1]["images"])) is not None:
        metrics["tutorial_loop"] = tutorial
    return metrics | parallel_metrics(bench, 0)


def _first_step(bench: Session, training: Training) -> None:
    training.enter()
    training.seconds, training.step = bench.first_step(), 1
    training.leave(bench.trainer.losses())
    training.startup = _startup(bench)


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


def _train_until(bench: Session, training: Training, target: int) -> float:
    """Train up to a step; the seconds it took. The clock stands while a checkpoint is written."""
    training.enter()
    before = training.seconds
    started = perf_counter()

    def after_step() -> None:
        nonlocal started
        training.step += 1
        if training.step % 10 == 0:
            bench.progress(training.step / bench.setup.steps, f"step {training.step}")
        if training.step < target and checkpoint_due(bench, training):
            bench.trainer.sync()
            training.seconds += perf_counter() - started
            bench.schedule.states.append(bench.monitor.end())
            save(bench, training)
            bench.monitor.begin()
            started = perf_counter()

    bench.train(target - training.step, after_step)
    bench.trainer.sync()
    training.seconds += perf_counter() - started
    if training.step != target:
        raise RuntimeError(f"training ended at step {training.step}, not at {target}")
    training.leave(bench.trainer.losses())
    return training.seconds - before


def _save_if_due(bench: Session, training: Training) -> None:
    """Write a checkpoint between two stretches."""
    if checkpoint_due(bench, training):
        save(bench, training)


def _point(bench: Session, training: Training, confusion: NDArray[np.int64]) -> dict[str, Any]:
    images = training.step * bench.setup.case.batch_size
    return {
        "epoch": images / bench.plan.images,
        "step": training.step,
        "images": images,
        "seconds": training.seconds,
        "train_loss": _finite(_mean_loss(training.stretches)),
        "test_accuracy": accuracy_of(confusion),
    }


def _summary(bench: Session, training: Training) -> dict[str, Any]:
    confusion, curve = np.array(training.confusion), training.curve
    per_class = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    last = curve[-1]
    return {
        "test_accuracy": last["test_accuracy"],
        "classes": list(bench.dataset.classes),
        "per_class": dict(zip(bench.dataset.classes, per_class.tolist(), strict=True)),
        "confusion": training.confusion,
        "curve": curve,
        "thresholds": [_reached(threshold, curve) for threshold in THRESHOLDS],
        "train_seconds": last["seconds"],
        "train_images": last["images"],
        "diverged": training.diverged,
    }


def _reached(threshold: float, curve: list[dict[str, Any]]) -> dict[str, Any]:
    """The first evaluated point at or above ``threshold``; nothing is interpolated."""
    point = next((p for p in curve if p["test_accuracy"] >= threshold), None)
    return {
        "accuracy": threshold,
        "seconds": point and point["seconds"],
        "images": point and point["images"],
    }
