"""Start-up, throughput and latency: seconds of repeated work.

The first step (trace, compile, autotune) is timed apart. Blocks are interleaved
(:mod:`bench.worker.schedule`), and each begins with steps that do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np

from bench.core.system.devices import accelerated
from bench.data.dataset import Split
from bench.training.interfaces import Images, Trainer
from bench.worker.device.time import DeviceTimer
from bench.worker.device.watch import BlockWatch
from bench.worker.measurements.article_loop import LoopBlocks, article_blocks
from bench.worker.measurements.layers import layer_pairs
from bench.worker.measurements.pairs import Block, PairedBlocks
from bench.worker.measurements.parallel import parallel_metrics
from bench.worker.measurements.sync_audit import audit
from bench.worker.measurements.tutorial_loop import tutorial_blocks
from bench.worker.session import Result, Session


def startup(bench: Session) -> Result:
    """Import, build and first step of a fresh process."""
    first = bench.first_step()
    parts = {
        "import_seconds": bench.import_seconds,
        "build_seconds": bench.build_seconds,
        "first_step_seconds": first,
    }
    seconds = sum(parts.values())
    bench.schedule.record_block([seconds], bench.monitor.end())  # begun before the import
    return Result([seconds], bench.setup.case.batch_size, parts)


class _Blocks:
    """Takes a block of steps at each turn, and reads the clock at both of its ends.

    Some steps at the head of a block are not counted: what starts or wakes up is no steady state.
    """

    def __init__(
        self,
        bench: Session,
        steps: int,
        before: Callable[[], None],
        after: Callable[[], None],
    ) -> None:
        """``before`` and ``after`` each block, other loops take theirs."""
        self._bench, self._steps = bench, steps
        self._before, self._after = before, after
        self._lead = whole_calls(bench, lead_of(steps))
        self._taken, self._started = 0, 0.0
        self.watch = _watch(bench)
        self.timer = DeviceTimer(bench.trainer)
        self.seconds: list[float] = []
        self.disturbed: list[bool] = []
        """Whether others used the CPUs during each block."""

    def take(self) -> None:
        """As many blocks as there are turns, in one call of ``train``."""
        if self._next():
            self._bench.train_while(self._after_step)

    def _next(self) -> bool:
        """Whether there is a turn for another block."""
        going = self._bench.schedule.next()
        if going:
            self._before()
        return going

    def _after_step(self) -> bool:
        self._taken += 1
        if self._taken == self._lead:
            self.watch.under_load()
            self._bench.trainer.sync()
            self.watch.begin()
            self._bench.monitor.begin()
            self.timer.begin()
            self._started = perf_counter()
        if self._taken < self._lead + self._steps:
            return True
        self.timer.end()
        self._bench.trainer.sync()
        self.seconds.append(perf_counter() - self._started)
        state = self._bench.monitor.end()
        self.disturbed.append(state.disturbed)
        self.watch.end()
        self.timer.record()
        self._taken = 0
        self._bench.schedule.record_block(self.seconds[-1:], state)
        self._after()
        return self._next()


def _watch(bench: Session) -> BlockWatch:
    case = bench.setup.case
    return BlockWatch(case.device, case.devices, exclusive=bench.limits.exclusive)


def whole_calls(bench: Session, steps: int) -> int:
    """At least so many steps, as whole calls of a compiled function that takes several: a block
    begins and ends between two calls."""
    each = bench.setup.case.steps_per_execution
    return -(-steps // each) * each


def lead_of(steps: int) -> int:
    """Uncounted steps at the head of a block of ``steps``."""
    return max(1, steps // 8)


def train_throughput(bench: Session) -> Result:
    """Seconds per block of training steps; with blocks of other loops between them when asked."""
    first, limits = bench.first_step(), bench.limits
    found = _steps_per_block(bench)
    steps = bench.schedule.steps or whole_calls(bench, found)
    bare = _bare_blocks(bench, lambda: bench.trainer.bare_loop(bench.input_at(0)), steps)
    copied = _copied_loops(bench)
    others = [*([bare] if bare else []), *copied.values()]

    def before() -> None:
        for loop in reversed(others):  # the mirror of what follows a block
            loop.before()

    def after() -> None:
        bench.progress(min(len(blocks.seconds) / limits.blocks, 1.0), "training")
        for loop in others:
            loop.after(blocks.seconds[-1], disturbed=blocks.disturbed[-1])

    blocks = _Blocks(bench, steps, before, after)
    blocks.take()
    samples = blocks.seconds
    images = steps * bench.setup.case.batch_size
    layers = layer_pairs(bench)
    metrics = {
        "first_step_seconds": first,
        "steps_per_sample": steps,
        "flops_per_image": _training_flops(bench),
        "overhead": _overhead(bare, images),
        **blocks.watch.metrics(images * len(samples)),
        **blocks.timer.metrics(),
        **{name: loop.metrics() for name, loop in copied.items()},
        **({"layers": layers} if layers else {}),
        **parallel_metrics(bench, max(1, steps // 2) if bench.schedule.extras else 0),
        **(audit(bench, _undisturbed(blocks), steps) if bench.schedule.extras else {}),
    }
    return Result(samples, images, metrics)


def _undisturbed(blocks: _Blocks) -> list[float]:
    """Seconds of the blocks that nothing disturbed; of all where there is none of these."""
    pairs = zip(blocks.seconds, blocks.disturbed, strict=True)
    return [seconds for seconds, disturbed in pairs if not disturbed] or blocks.seconds


def _training_flops(bench: Session) -> int:
    """Those that are executed, as the trainer's layers say: our own kernels multiply no padding on
    the smallest maps."""
    dense = bool(getattr(bench.trainer, "small_maps_dense", False))
    return bench.setup.architecture.training_flops(small_maps_dense=dense)


def _copied_loops(bench: Session) -> dict[str, LoopBlocks]:
    """Copied loops with a block next to each of ours, by the name of their metrics."""
    if not bench.schedule.extras or bench.setup.case.devices > 1:
        return {}
    blocks = bench.limits.blocks
    made = {
        "article_loop": article_blocks(bench, blocks),
        "tutorial_loop": tutorial_blocks(bench, blocks),
    }
    return {name: loop for name, loop in made.items() if loop}


def _steps_per_block(bench: Session) -> int:
    """As many steps as fill a block, from the pace of the warm-up."""
    readings: list[float] = []

    def after_step() -> None:
        bench.trainer.sync()
        readings.append(perf_counter())

    each = bench.setup.case.steps_per_execution
    bench.train((bench.limits.warmup_steps + 1) * each, after_step)
    calls = readings[each - 1 :: each]
    # A sync may not wait, or a clock be coarse.
    pace = max(float(np.median(np.diff(calls))) / each, 1e-5)
    steps = max(1, round(bench.limits.block_seconds / pace))
    return _steps_of_a_queue(bench, steps) if accelerated(bench.setup.case.device) else steps


def _steps_of_a_queue(bench: Session, steps: int) -> int:
    """The same on an accelerator, where steps that are not waited for one by one take less time:
    from the pace of a quarter of a block."""
    few = whole_calls(bench, max(1, steps // 4))
    started = perf_counter()
    bench.train(few)
    bench.trainer.sync()
    pace = max((perf_counter() - started) / few, 1e-5)
    return max(1, round(bench.limits.block_seconds / pace))


def _bare_blocks(
    bench: Session, make: Callable[[], Callable[[int], None] | None], steps: int
) -> PairedBlocks | None:
    """A bare loop in blocks of as many steps as the harness's, which begin, as the harness's do,
    with steps that do not count; None where none is asked for or the trainer has none."""
    most = bench.limits.overhead_blocks if bench.schedule.extras else 0
    loop = make() if most else None
    if loop is None:
        return None
    loop(min(steps, 2))  # trace and compile outside the clock

    def take() -> Block:
        loop(lead_of(steps))
        return Block(_timed(lambda: loop(steps)))

    return PairedBlocks(take, most, bench.monitor)


def _overhead(bare: PairedBlocks | None, images: int) -> dict[str, Any] | None:
    """Seconds of the blocks of both, of ``images`` each."""
    pairs = bare.pairs() if bare else []
    if not pairs:
        return None
    own, others = [pair.own for pair in pairs], [pair.other.seconds for pair in pairs]
    return {"harness": own, "bare": others, "images_per_sample": images}


def inference(bench: Session) -> Result:
    """Seconds per block of evaluation-mode batches."""
    size, limits = bench.setup.case.batch_size, bench.limits
    batches = _test_batches(bench.dataset.test, size)
    first = _timed(lambda: bench.trainer.predict(next(batches)))
    pace = min(_timed(lambda: bench.trainer.predict(next(batches))) for _ in range(2))
    steps = bench.schedule.steps or max(1, round(limits.block_seconds / pace))
    bare = _bare_blocks(bench, lambda: bench.trainer.bare_predict(next(batches)), steps)
    samples: list[float] = []
    watch, timer = _watch(bench), DeviceTimer(bench.trainer)
    while bench.schedule.next():
        if bare:
            bare.before()
        _predict(bench.trainer, batches, lead_of(steps))
        watch.under_load()
        watch.begin()
        bench.monitor.begin()
        timer.begin()
        samples.append(_timed(lambda: _predict(bench.trainer, batches, steps)))
        timer.end()
        state = bench.monitor.end()
        watch.end()
        timer.record()
        bench.schedule.record_block(samples[-1:], state)
        if bare:
            bare.after(samples[-1], disturbed=state.disturbed)
        bench.progress(min(len(samples) / limits.blocks, 1.0), "inference")
    metrics = {
        "first_step_seconds": first,
        "steps_per_sample": steps,
        "flops_per_image": bench.setup.architecture.forward_flops(),
        "overhead": _overhead(bare, steps * size),
        **watch.metrics(steps * size * len(samples)),
        **timer.metrics(),
    }
    return Result(samples, steps * size, metrics)


def _predict(trainer: Trainer, batches: Iterator[Images], steps: int) -> None:
    for _ in range(steps):
        trainer.predict(next(batches))


def latency(bench: Session) -> Result:
    """Seconds of single calls with one image, from host memory to logits on the host."""
    limits = bench.limits
    images = _test_batches(bench.dataset.test, 1)
    for _ in range(max(3, limits.warmup_steps)):
        bench.trainer.predict(next(images))
    samples: list[float] = []
    while bench.schedule.next():
        bench.trainer.predict(next(images))
        bench.monitor.begin()
        calls = _calls(bench, images)
        state = bench.monitor.end()
        samples.extend(calls)
        bench.schedule.record_block(calls, state)
        bench.progress(min(len(samples) / limits.latency_calls, 1.0), "latency")
    return Result(samples, 1, {})


def _calls(bench: Session, images: Iterator[Images]) -> list[float]:
    """One turn's share of the calls, and of the seconds that they may take."""
    limits = bench.limits
    most, least = (-(-calls // limits.blocks) for calls in (limits.latency_calls, 20))
    ends = perf_counter() + limits.latency_seconds / limits.blocks
    calls: list[float] = []
    while len(calls) < most and (len(calls) < least or perf_counter() < ends):
        image = next(images)
        calls.append(_timed(lambda given=image: bench.trainer.predict(given)))  # type: ignore[misc]
    return calls


def _timed(work: Callable[[], object]) -> float:
    """Seconds of work that is done when it returns."""
    started = perf_counter()
    work()
    return perf_counter() - started


def _test_batches(split: Split, size: int) -> Iterator[Images]:
    """Batches of the test images, over and over, all of one shape."""
    start, places = 0, np.arange(size)
    while True:
        yield np.ascontiguousarray(split.images[(start + places) % len(split.labels)])
        start = (start + size) % len(split.labels)
