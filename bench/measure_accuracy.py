"""Training by a recipe: how right the network becomes, and after how many seconds and images."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import Dataset
from bench.inputs import Inputs
from bench.measuring import Bench, Result
from bench.repeatability import digests
from bench.trainer import Trainer

THRESHOLDS = (0.5, 0.6, 0.648, 0.7, 0.75, 0.8, 0.8441, 0.9)
"""Accuracies to time: round ones, and the two published figures that recipes are held against."""

STEP_LOSSES = 500
"""Steps of a closed training whose losses are kept one by one: how long two frameworks take the
same steps is told from them, and they have parted long before."""

EVALUATION_BATCH = 500  # divides 10,000: one shape to compile, and small enough at 227 pixels


def accuracy(bench: Bench) -> Result:
    """Train by the recipe and evaluate on all of the test pictures; the clock stands meanwhile."""
    steps, curve, history = bench.setup.steps, [], list[float]()
    seconds, done = 0.0, 0
    confusion = np.zeros((1, 1), np.int64)
    bench.trainer.sync()
    points = bench.limits.evaluations or max(1, round(2 * bench.setup.recipe.epochs))
    for index in range(points):
        target = round(steps * (index + 1) / points)
        if target == done:
            continue
        seconds += _train_until(bench, done, target)
        done = target
        losses = bench.trainer.losses()
        history.extend(losses)
        confusion = evaluate(bench.trainer, bench.dataset, bench.inputs)
        curve.append(_point(bench, done, seconds, losses, confusion))
        if curve[-1]["train_loss"] is None:
            break  # it has diverged: more steps would measure nothing
    metrics = _summary(bench, curve, confusion) | digests(bench.trainer, history)
    metrics |= bench.inputs.metrics()
    if bench.setup.case.track == "closed":  # elsewhere a loss may be the mean of many steps
        metrics["step_losses"] = [_finite(loss) for loss in history[:STEP_LOSSES]]
    return Result([curve[-1]["test_accuracy"]], None, metrics, "fraction")


def _finite(loss: float) -> float | None:
    """None in the place of what JSON has no number for."""
    return loss if math.isfinite(loss) else None


def _train_until(bench: Bench, done: int, target: int) -> float:
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


def evaluate(trainer: Trainer, dataset: Dataset, inputs: Inputs) -> NDArray[np.int64]:
    """Confusion counts over every test picture, (classes, classes), rows the true class."""
    classes = len(dataset.classes)
    counts = np.zeros((classes, classes), np.int64)
    split = dataset.test
    for start in range(0, len(split.labels), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        logits = trainer.predict(inputs.test(part))
        np.add.at(counts, (split.labels[part], logits.argmax(axis=1)), 1)
    return counts


def _point(
    bench: Bench, step: int, seconds: float, losses: list[float], confusion: NDArray[np.int64]
) -> dict[str, Any]:
    loss = float(np.mean(losses)) if losses else math.nan
    images = step * bench.setup.case.batch_size
    return {
        "epoch": images / bench.plan.images,
        "step": step,
        "images": images,
        "seconds": seconds,
        "train_loss": _finite(loss),
        "test_accuracy": float(np.trace(confusion) / confusion.sum()),
    }


def _summary(
    bench: Bench, curve: list[dict[str, Any]], confusion: NDArray[np.int64]
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
