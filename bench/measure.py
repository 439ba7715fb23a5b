"""Measurements inside a worker: the one clock, the same for every framework.

A reading is sync, ``perf_counter`` and nothing else. The first step (trace, compile, autotune) is
timed apart; every ``train`` call then drops its first block, since a call may have a start-up of
its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import Dataset, Split
from bench.defaults import shuffles
from bench.initial import DropoutMasks
from bench.plan import BatchPlan, gather
from bench.profiles import Limits
from bench.repeatability import digests
from bench.trainer import Images, Setup, StepInput, Trainer

Progress = Callable[[float, str], None]
"""Called with the done fraction and a few words."""

THRESHOLDS = (0.5, 0.6, 0.648, 0.7, 0.75, 0.8, 0.8441, 0.9)
"""Accuracies to time: round ones, and the two published figures that recipes are held against."""

STEP_LOSSES = 500
"""Steps of a closed training whose losses are kept one by one: how long two frameworks take the
same steps is told from them, and they have parted long before."""

EVALUATION_BATCH = 500  # divides 10,000: one shape to compile, and small enough at 227 pixels


@dataclass(frozen=True)
class Result:
    """What a measurement gives: the part of a record that only the worker knows."""

    samples: list[float]
    images_per_sample: int | None
    metrics: dict[str, Any]
    unit: str = "s"


@dataclass
class Bench:
    """One built trainer with its inputs."""

    trainer: Trainer
    setup: Setup
    dataset: Dataset
    limits: Limits
    progress: Progress
    build_seconds: float
    import_seconds: float
    first_step_seconds: float | None = None
    _next_step: int = 0

    def __post_init__(self) -> None:
        case, recipe = self.setup.case, self.setup.recipe
        self.plan = plan_for(self.setup, self.dataset)
        self._masks = DropoutMasks(self.setup.architecture, case.seed)
        self._closed = case.track == "closed"
        self._padding = recipe.augmentation.padding

    def input_at(self, step: int) -> StepInput:
        """Everything that one step gets: a function of (data, recipe, seed, step)."""
        batch = self.plan.batch(step)
        images, labels = gather(self.dataset.train, batch, self._padding)
        masks = self._masks.at(step, len(labels)) if self._closed else {}
        rate = self.setup.recipe.rate(step, self.setup.steps)
        return StepInput(images, labels, masks, rate)

    def train(self, steps: int, after_step: Callable[[], None] = lambda: None) -> None:
        """The next ``steps`` steps of the training."""
        # Counted here and cut to size: a trainer that reads ahead, or stops reading at the last
        # step, would otherwise skip or repeat a batch between two calls.
        first, self._next_step = self._next_step, self._next_step + steps
        inputs = map(self.input_at, range(first, first + steps))
        self.trainer.train(inputs, steps, after_step)

    def first_step(self) -> float:
        """Seconds of the very first step: trace, compile, allocate."""
        if self.first_step_seconds is None:
            started = perf_counter()
            self.train(1)
            self.trainer.sync()
            self.first_step_seconds = perf_counter() - started
        return self.first_step_seconds


def plan_for(setup: Setup, dataset: Dataset) -> BatchPlan:
    """Order, crops and flips of a case's seed."""
    return BatchPlan(
        images=len(dataset.train.labels),
        batch_size=setup.case.batch_size,
        seed=setup.case.seed,
        augmentation=setup.recipe.augmentation,
        shuffle=shuffles(setup.case),
    )


def startup(bench: Bench) -> Result:
    """Import, build and first step of a fresh process."""
    first = bench.first_step()
    parts = {
        "import_seconds": bench.import_seconds,
        "build_seconds": bench.build_seconds,
        "first_step_seconds": first,
    }
    return Result([sum(parts.values())], bench.setup.case.batch_size, parts)


class _Blocks:
    """Reads the clock at the end of every block of steps, and runs something between blocks."""

    def __init__(self, sync: Callable[[], None], steps: int, between: Callable[[], None]) -> None:
        self._sync, self._steps, self._between = sync, steps, between
        self._taken = 0
        self._started = perf_counter()
        self.seconds: list[float] = []

    def after_step(self) -> None:
        self._taken += 1
        if self._taken % self._steps:
            return
        self._sync()
        self.seconds.append(perf_counter() - self._started)
        self._between()
        self._started = perf_counter()


def train_throughput(bench: Bench) -> Result:
    """Seconds per block of training steps; with a bare loop's blocks beside them when asked."""
    first, limits = bench.first_step(), bench.limits
    steps = _steps_per_block(bench)
    bare = _bare(bench, steps)
    count = max(limits.blocks, limits.overhead_blocks if bare else 0)
    bare_seconds: list[float] = []

    def between() -> None:
        bench.progress(min(len(blocks.seconds) / (count + 1), 1.0), "training")
        if bare and len(bare_seconds) <= limits.overhead_blocks:
            started = perf_counter()
            bare(steps)
            bare_seconds.append(perf_counter() - started)

    blocks = _Blocks(bench.trainer.sync, steps, between)
    bench.train((count + 1) * steps, blocks.after_step)
    samples = blocks.seconds[1:]
    images = steps * bench.setup.case.batch_size
    metrics = {
        "first_step_seconds": first,
        "steps_per_sample": steps,
        "flops_per_image": bench.setup.architecture.training_flops(),
        "overhead": _overhead(samples, bare_seconds[1:], images),
    }
    return Result(samples, images, metrics)


def _steps_per_block(bench: Bench) -> int:
    """As many steps as fill a block, from the pace of the warm-up."""
    readings: list[float] = []

    def after_step() -> None:
        bench.trainer.sync()
        readings.append(perf_counter())

    bench.train(bench.limits.warmup_steps + 1, after_step)
    pace = float(np.median(np.diff(readings)))
    return max(1, round(bench.limits.block_seconds / pace))


def _bare(bench: Bench, steps: int) -> Callable[[int], None] | None:
    if not bench.limits.overhead_blocks:
        return None
    loop = bench.trainer.bare_loop(bench.input_at(0))
    if loop is not None:
        loop(min(steps, 2))  # trace and compile outside the clock
    return loop


def _overhead(harness: list[float], bare: list[float], images: int) -> dict[str, Any] | None:
    pairs = min(len(harness), len(bare))
    if not pairs:
        return None
    return {"harness": harness[:pairs], "bare": bare[:pairs], "images_per_sample": images}


def inference(bench: Bench) -> Result:
    """Seconds per block of evaluation-mode batches."""
    size, limits = bench.setup.case.batch_size, bench.limits
    batches = _test_batches(bench.dataset.test, size)
    first = _timed(lambda: bench.trainer.predict(next(batches)))
    pace = min(_timed(lambda: bench.trainer.predict(next(batches))) for _ in range(2))
    steps = max(1, round(limits.block_seconds / pace))
    samples = []
    for block in range(limits.blocks):
        samples.append(_timed(lambda: _predict(bench.trainer, batches, steps)))
        bench.progress((block + 1) / limits.blocks, "inference")
    metrics = {
        "first_step_seconds": first,
        "steps_per_sample": steps,
        "flops_per_image": bench.setup.architecture.forward_flops(),
        "overhead": None,
    }
    return Result(samples, steps * size, metrics)


def _predict(trainer: Trainer, batches: Iterator[Images], steps: int) -> None:
    for _ in range(steps):
        trainer.predict(next(batches))


def latency(bench: Bench) -> Result:
    """Seconds of single calls with one picture, from host memory to logits on the host."""
    limits = bench.limits
    pictures = _test_batches(bench.dataset.test, 1)
    for _ in range(max(3, limits.warmup_steps)):
        bench.trainer.predict(next(pictures))
    samples: list[float] = []
    ends = perf_counter() + limits.latency_seconds
    while len(samples) < limits.latency_calls and (len(samples) < 20 or perf_counter() < ends):
        picture = next(pictures)
        samples.append(_timed(lambda given=picture: bench.trainer.predict(given)))  # type: ignore[misc]
    bench.progress(1.0, "latency")
    return Result(samples, 1, {})


def _timed(work: Callable[[], object]) -> float:
    """Seconds of work that is done when it returns."""
    started = perf_counter()
    work()
    return perf_counter() - started


def _test_batches(split: Split, size: int) -> Iterator[Images]:
    """Batches of the test pictures, over and over, all of one shape."""
    order = np.resize(np.arange(len(split.labels)), math.lcm(size, len(split.labels)))
    while True:
        for start in range(0, len(order), size):
            yield np.ascontiguousarray(split.images[order[start : start + size]])


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
        confusion = evaluate(bench.trainer, bench.dataset)
        curve.append(_point(bench, done, seconds, losses, confusion))
        if curve[-1]["train_loss"] is None:
            break  # it has diverged: more steps would measure nothing
    metrics = _summary(bench, curve, confusion) | digests(bench.trainer, history)
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


def evaluate(trainer: Trainer, dataset: Dataset) -> NDArray[np.int64]:
    """Confusion counts over every test picture, (classes, classes), rows the true class."""
    classes = len(dataset.classes)
    counts = np.zeros((classes, classes), np.int64)
    split = dataset.test
    for start in range(0, len(split.labels), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        logits = trainer.predict(np.ascontiguousarray(split.images[part]))
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


MEASUREMENTS: dict[str, Callable[[Bench], Result]] = {
    "startup": startup,
    "train_throughput": train_throughput,
    "inference": inference,
    "latency": latency,
    "accuracy": accuracy,
}
