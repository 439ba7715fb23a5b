"""The one clock, driven by a trainer that works in simulated time.

Its steps cost nothing when they are queued and everything when `sync` is called, as on a GPU: a
reading without a sync before it shows at once.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.clock import sync_audit_of
from bench.analysis.experiments import Experiment
from bench.core.kinds import KINDS
from bench.core.limits import Limits
from bench.core.records import Record
from bench.core.schema.metrics import METRICS, check
from bench.data.dataset import Dataset, describe_pixels
from bench.training.interfaces import Images, Logits, Setup, StepInput
from bench.training.recipes import recipe
from bench.training.tracks import TRACKS
from bench.worker import checkpoints, session
from bench.worker.checkpoints import Checkpoints, TrainingFiles
from bench.worker.measurements import accuracy as measure_accuracy
from bench.worker.measurements import registry, speed, sync_audit
from bench.worker.schedule import FixedSchedule, RemoteSchedule
from bench.worker.session import Result, Session
from tests.support import fakes

FIRST, CALL, STEP, BARE, PREDICT = 50.0, 7.0, 0.25, 0.2, 0.03
"""Seconds: the very first step more, the first of every call more, a step, a bare one, a batch."""


class Clock:
    """Simulated time, and the order in which things were done."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[str] = []

    def __call__(self) -> float:
        self.events.append("read")
        return self.now

    def does(self, event: str, seconds: float = 0.0) -> None:
        self.events.append(event)
        self.now += seconds


class QueueTrainer(fakes.FakeTrainer):
    """Queues its steps; `sync` does the work. Takes what it is given in one of several ways."""

    def __init__(self, setup: Setup, clock: Clock) -> None:
        super().__init__(setup)
        self.clock = clock
        self.queued = FIRST
        self.inputs: list[StepInput] = []
        self.predicted: list[Images] = []
        self.read_ahead = 0

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        self.queued += CALL
        given = iter(inputs)
        ahead: list[StepInput] = []
        for _ in range(steps):
            while len(ahead) <= self.read_ahead and (following := next(given, None)):
                ahead.append(following)
            if not ahead:
                break
            taken = ahead.pop(0)
            self.inputs.append(taken)
            self._step(taken)
            self.clock.does("step")
            self.queued += STEP
            after_step()

    def sync(self) -> None:
        self.clock.does("sync", self.queued)
        self.queued = 0.0

    def predict(self, images: Images) -> Logits:
        self.sync()
        self.predicted.append(images)
        self.clock.does("predict", PREDICT)
        return super().predict(images)

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None]:
        taken = iter(range(1000))  # each call takes a second more than the one before
        return lambda steps: self.clock.does(f"bare {steps}", steps * BARE + next(taken))

    def bare_predict(self, images: Images) -> Callable[[int], None]:
        self.bare_given = images
        taken = iter(range(1000))
        return lambda passes: self.clock.does(f"bare {passes}", passes * BARE + next(taken))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Clock:
    fakes.install(monkeypatch, tmp_path)
    made = Clock()
    for module in (sync_audit, session, speed, measure_accuracy):
        monkeypatch.setattr(module, "perf_counter", made)
    return made


@pytest.fixture(scope="module")
def data() -> Dataset:
    return fakes.images(80, 40)


def bench_of(
    clock: Clock,
    data: Dataset,
    *,
    limits: Limits = fakes.LIMITS,
    trainer: type[QueueTrainer] = QueueTrainer,
    **changes: Any,
) -> tuple[Session, QueueTrainer]:
    case = fakes.case(**changes)
    chosen = recipe(case.recipe)
    steps = int(chosen.epochs * len(data.train) / case.batch_size)
    network = fakes.VARIANT.architecture(len(data.classes))
    setup = Setup(case, network, chosen, steps, data.mean, data.std, threads=2)
    made = trainer(setup, clock)
    notes: list[float] = []
    bench = Session(made, setup, data, limits, lambda done, note: notes.append(done), 2.0, 3.0)
    bench.monitor = fakes.Machine()  # type: ignore[assignment]  # others may use this machine meanwhile
    return bench, made


LIMITS = Limits(warmup_steps=2, blocks=4, block_seconds=1.0, latency_calls=25)


def test_every_kind_has_its_measurement() -> None:
    assert list(registry.MEASUREMENTS) == list(KINDS)
    assert all(map(callable, registry.MEASUREMENTS.values()))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("track", TRACKS)
def test_every_metric_that_is_written_has_a_row_of_its_kind(
    clock: Clock, data: Dataset, name: str, track: str
) -> None:
    staged = {"defaults": "own"} if TRACKS[track].stages else {}
    limits = dataclasses.replace(LIMITS, overhead_blocks=2)
    bench, _ = bench_of(clock, data, limits=limits, track=track, **staged)
    metrics = registry.MEASUREMENTS[name](bench).metrics
    assert {key for key in metrics if key not in METRICS} == set()
    assert all(name in METRICS[key].kinds for key in metrics)
    check(metrics)


def test_startup_is_import_build_and_the_first_step(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data)
    found = speed.startup(bench)
    assert found.samples == [pytest.approx(2 + 3 + FIRST + CALL + STEP)]
    assert found.metrics["first_step_seconds"] == pytest.approx(FIRST + CALL + STEP)
    assert found.metrics["build_seconds"] == 2
    assert found.metrics["import_seconds"] == 3


def test_the_first_step_is_taken_once(clock: Clock, data: Dataset) -> None:
    bench, trainer = bench_of(clock, data)
    speed.startup(bench)
    taken = len(trainer.inputs)
    found = speed.train_throughput(bench)
    assert taken == 1
    assert found.metrics["first_step_seconds"] == pytest.approx(FIRST + CALL + STEP)


def test_first_step_and_the_head_of_a_block_are_in_no_sample(clock: Clock, data: Dataset) -> None:
    bench, trainer = bench_of(clock, data, limits=LIMITS)
    found = speed.train_throughput(bench)
    assert found.samples == [pytest.approx(1.0)] * LIMITS.blocks
    assert found.metrics["steps_per_sample"] == 4  # as many as fill block_seconds
    assert found.images_per_sample == 4 * fakes.BATCH
    audited = LIMITS.audit_repeats * (1 + sync_audit.LONGER)
    assert len(trainer.inputs) == 1 + (LIMITS.warmup_steps + 1) + (1 + 4) * LIMITS.blocks + audited


def test_every_reading_of_a_training_comes_right_after_a_sync(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data, limits=LIMITS)
    bench.schedule.extras = False  # the audit times what is not synced, too
    speed.train_throughput(bench)
    # A reading either ends an interval, right after a sync, or begins one, right after the
    # reading that ended the last (nothing ran in between), or begins a call.
    events = clock.events
    ends = [place for place, event in enumerate(events) if event == "read" and place]
    assert len(ends) > 2 * LIMITS.blocks
    assert {events[place - 1] for place in ends} <= {"sync", "read"}
    assert not any(pair == ("step", "read") for pair in pairwise(events))


def test_a_block_has_one_step_at_least(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data, limits=Limits(block_seconds=0.001, blocks=3))
    assert speed.train_throughput(bench).samples == [pytest.approx(STEP)] * 3


def test_overhead_holds_each_block_against_a_bare_one(clock: Clock, data: Dataset) -> None:
    limits = Limits(blocks=2, overhead_blocks=5, block_seconds=1.0)
    bench, _ = bench_of(clock, data, limits=limits)
    bench.schedule = FixedSchedule(limits.turns("train_throughput", extras=True))
    found = speed.train_throughput(bench)
    overhead = found.metrics["overhead"]
    assert overhead["harness"] == [pytest.approx(4 * STEP)] * 5
    # The call before the clock is number 0, and the first step of each block has an odd one.
    assert overhead["bare"] == pytest.approx([4 * BARE + call for call in (2, 4, 6, 8, 10)])
    assert overhead["images_per_sample"] == found.images_per_sample
    assert found.samples == overhead["harness"]  # the bare loop's seconds are in no sample
    harness, bare = ["step"] * 5, ["bare 1", "bare 4"]
    turns = [event for event in clock.events if event in (*harness, *bare)]
    first = turns.index("bare 1") - len(harness)
    # Side by side, each first in turn; the first step of a block does not count.
    pairs = [*harness, *bare, *bare, *harness] * 3
    assert turns[first : first + 7 * 5] == pairs[: 7 * 5]


def test_pairs_of_disturbed_blocks_are_taken_again(clock: Clock, data: Dataset) -> None:
    limits = Limits(blocks=2, overhead_blocks=2, block_seconds=1.0)
    bench, _ = bench_of(clock, data, limits=limits)
    bench.schedule = FixedSchedule(5)
    # The first pair's block, and the second pair's bare block, which is before the other.
    bench.monitor = fakes.Machine(0, 2)  # type: ignore[assignment]
    found = speed.train_throughput(bench)
    assert len(found.samples) == 5
    overhead = found.metrics["overhead"]
    assert overhead["bare"] == pytest.approx([4 * BARE + 6, 4 * BARE + 8])
    assert len(overhead["harness"]) == 2


def test_pairs_that_are_all_disturbed_count_as_they_are(clock: Clock, data: Dataset) -> None:
    limits = Limits(blocks=2, overhead_blocks=2, block_seconds=1.0)
    bench, _ = bench_of(clock, data, limits=limits)
    bench.schedule = FixedSchedule(9)
    bench.monitor = fakes.Machine(*range(1000))  # type: ignore[assignment]
    found = speed.train_throughput(bench)
    assert len(found.metrics["overhead"]["bare"]) == 2
    assert sum(event == "bare 4" for event in clock.events) == 4  # as many again at the most
    assert len(found.metrics["clock"]["slope_seconds_per_step"]) == limits.audit_repeats


def test_the_audit_takes_undisturbed_blocks_alone(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data, limits=LIMITS)
    # Four blocks, of which two are disturbed, then the timings of the audit, the first again.
    bench.monitor = fakes.Machine(1, 2, 4)  # type: ignore[assignment]
    found = speed.train_throughput(bench)
    assert len(found.samples) == LIMITS.blocks
    audit = found.metrics["clock"]
    assert audit["block_seconds_per_step"] == pytest.approx([STEP] * 2)
    assert len(audit["slope_seconds_per_step"]) == LIMITS.audit_repeats
    assert bench.monitor.ended == LIMITS.blocks + LIMITS.audit_repeats + 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("blocks", [0, 3])
def test_no_overhead_where_none_is_asked_for_or_can_be(
    clock: Clock, data: Dataset, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if blocks:
        monkeypatch.setattr(QueueTrainer, "bare_loop", lambda *_: None)
    bench, _ = bench_of(clock, data, limits=Limits(blocks=2, overhead_blocks=blocks))
    found = speed.train_throughput(bench)
    assert found.metrics["overhead"] is None
    assert len(found.samples) == 2
    assert not any(event.startswith("bare") for event in clock.events)


def test_the_bare_forward_pass_is_timed_beside_inference(clock: Clock, data: Dataset) -> None:
    limits = Limits(blocks=2, overhead_blocks=5, block_seconds=10 * PREDICT)
    bench, trainer = bench_of(clock, data, limits=limits)
    bench.schedule = FixedSchedule(5)
    found = speed.inference(bench)
    overhead = found.metrics["overhead"]
    assert overhead["harness"] == found.samples == [pytest.approx(10 * PREDICT)] * 5
    assert overhead["bare"] == pytest.approx([10 * BARE + call for call in (2, 4, 6, 8, 10)])
    assert overhead["images_per_sample"] == found.images_per_sample
    assert trainer.bare_given.shape == (bench.setup.case.batch_size, 32, 32, 3)
    harness, bare = ["predict"] * (1 + 10), ["bare 1", "bare 10"]
    turns = [event for event in clock.events if event in (*harness, *bare)]
    pairs = [*harness, *bare, *bare, *harness] * 3
    assert turns[-13 * 5 :] == pairs[: 13 * 5]


def test_no_bare_forward_pass_unless_asked(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data, limits=Limits(blocks=2))
    assert speed.inference(bench).metrics["overhead"] is None
    bench, _ = bench_of(clock, data, limits=Limits(blocks=2, overhead_blocks=2))
    bench.schedule.extras = False
    assert speed.inference(bench).metrics["overhead"] is None
    assert not any(event.startswith("bare") for event in clock.events)


@pytest.mark.parametrize("size", [16, 24, 100])
def test_inference_times_whole_batches(clock: Clock, data: Dataset, size: int) -> None:
    limits = Limits(blocks=3, block_seconds=0.3)
    bench, trainer = bench_of(clock, data, limits=limits, batch_size=size)
    trainer.sync()
    found = speed.inference(bench)
    assert found.samples == [pytest.approx(0.3)] * 3
    assert found.images_per_sample == 10 * size
    assert {len(images) for images in trainer.predicted} == {size}


def test_inference_goes_through_all_test_pictures(clock: Clock, data: Dataset) -> None:
    bench, trainer = bench_of(clock, data, limits=Limits(block_seconds=0.3))
    speed.inference(bench)
    shown = np.concatenate(trainer.predicted)
    cycle = np.resize(np.arange(len(data.test)), len(shown))
    assert (shown == data.test.images[cycle]).all()


def test_latency_is_that_of_one_picture_at_a_time(clock: Clock, data: Dataset) -> None:
    bench, trainer = bench_of(clock, data, limits=LIMITS)
    trainer.sync()
    found = speed.latency(bench)
    assert found.samples == [pytest.approx(PREDICT)] * 28  # four turns of seven, for 25
    assert found.images_per_sample == 1
    assert {images.shape for images in trainer.predicted} == {(1, 32, 32, 3)}
    assert len(trainer.predicted) > len(found.samples)  # warm-up is not counted
    assert trainer.inputs == []


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 20), (31 * PREDICT, 35), (99.0, 50)])
def test_latency_ends_by_time_or_calls(
    clock: Clock, data: Dataset, seconds: float, calls: int
) -> None:
    limits = Limits(latency_calls=50, latency_seconds=seconds)
    bench, trainer = bench_of(clock, data, limits=limits)
    trainer.sync()
    assert len(speed.latency(bench).samples) == calls  # five turns, the last call of each whole


def accuracy(
    clock: Clock, data: Dataset, evaluations: int = 4, **changes: Any
) -> tuple[Result, QueueTrainer]:
    limits = Limits(evaluations=evaluations)
    bench, trainer = bench_of(clock, data, limits=limits, recipe="short", **changes)
    return measure_accuracy.accuracy(bench), trainer


def test_a_curve_has_its_points_evenly_spread(clock: Clock, data: Dataset) -> None:
    found, trainer = accuracy(clock, data, evaluations=5)
    curve = found.metrics["curve"]
    assert [point["step"] for point in curve] == [2, 4, 6, 8, 10]
    assert [point["images"] for point in curve] == [32, 64, 96, 128, 160]
    assert [point["epoch"] for point in curve] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert len(trainer.inputs) == trainer.setup.steps == 10


def test_more_points_than_steps_are_one_per_step(clock: Clock, data: Dataset) -> None:
    found, _ = accuracy(clock, data, evaluations=100)
    assert [point["step"] for point in found.metrics["curve"]] == list(range(1, 11))


class Short(QueueTrainer):
    """Ends before all steps are taken."""

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        super().train(inputs, min(steps, 3), after_step)


def test_a_training_that_ends_early_is_no_result(clock: Clock, data: Dataset) -> None:
    """As Keras's with KERAS_MAX_STEPS_PER_EPOCH: its record claimed all steps."""
    with pytest.raises(RuntimeError, match="training ended at step 4, not at 5"):
        accuracy(clock, data, evaluations=2, trainer=Short)


class Exports(QueueTrainer):
    """Takes long over its state, and stops at a given step."""

    stop = 100

    def _step(self, given: StepInput) -> None:
        if len(self.inputs) > self.stop:
            raise InterruptedError
        super()._step(given)

    def export_state(self) -> Iterator[tuple[str, Any]]:
        self.clock.does("export", 1000.0)
        return super().export_state()


def test_the_clock_stands_while_a_checkpoint_is_written(
    clock: Clock, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)

    def session_of(stop: int) -> Session:
        limits = Limits(evaluations=4)
        bench, trainer = bench_of(clock, data, limits=limits, recipe="short", trainer=Exports)
        trainer.stop = stop
        files = TrainingFiles(tmp_path / "c", {}, "", resume=checkpoints.found(tmp_path / "c"))
        bench.checkpoints = Checkpoints(files)
        return bench

    with pytest.raises(InterruptedError):
        measure_accuracy.accuracy(session_of(6))
    assert clock.events.count("export") >= 5
    found = measure_accuracy.accuracy(session_of(100)).metrics
    # The last checkpoint is that of step 6, in the middle of a call: it is made by both parts.
    assert found["train_seconds"] == pytest.approx(10 * STEP + 6 * CALL)
    assert found["parts"] == 2
    assert [point["step"] for point in found["curve"]] == [2, 5, 8, 10]


def test_the_clock_stands_while_evaluating(clock: Clock, data: Dataset) -> None:
    found, _ = accuracy(clock, data, evaluations=4)
    # What was queued before the training is not its own; the first step is a call of its own, and
    # so is the way to each point.
    assert found.metrics["train_seconds"] == pytest.approx(10 * STEP + 5 * CALL)
    seconds = [point["seconds"] for point in found.metrics["curve"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] == found.metrics["train_seconds"]


def test_a_training_tells_what_its_start_took_and_has_its_first_step_in_its_seconds(
    clock: Clock, data: Dataset
) -> None:
    found, _ = accuracy(clock, data, evaluations=10)
    first = found.metrics["curve"][0]
    assert first["step"] == 1
    assert first["seconds"] == pytest.approx(CALL + STEP)  # that step alone, in one call
    assert found.metrics["startup"] == {
        "import_seconds": 3.0,
        "build_seconds": 2.0,
        "first_step_seconds": first["seconds"],
    }


class MeanTrainer(QueueTrainer):
    """Tells one mean loss for each call, as Keras's ``fit`` does, and refuses an empty call."""

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        assert steps > 0
        before = len(self._losses)
        super().train(inputs, steps, after_step)
        self._losses[before:] = [float(np.mean(self._losses[before:]))]


@pytest.mark.parametrize("evaluations", [1, 3, 10])
def test_a_points_loss_is_the_mean_of_its_steps_however_they_are_told(
    clock: Clock, data: Dataset, evaluations: int
) -> None:
    each, means = (
        accuracy(clock, data, evaluations=evaluations, trainer=kind)[0].metrics["curve"]
        for kind in (QueueTrainer, MeanTrainer)
    )
    assert len(each) == evaluations
    for one, other in zip(each, means, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"])


def test_training_learns_and_its_result_is_the_last_point(clock: Clock, data: Dataset) -> None:
    found, _ = accuracy(clock, data)
    last = found.metrics["curve"][-1]
    assert found.unit == "fraction"
    assert found.samples == [last["test_accuracy"]] == [found.metrics["test_accuracy"]]
    assert last["train_loss"] < np.log(10)
    assert found.metrics["train_images"] == 160
    assert not found.metrics["diverged"]


def test_the_losses_of_the_whole_training_have_a_digest(clock: Clock, data: Dataset) -> None:
    """Reported in one piece or in four, they are the same losses; another seed has others."""
    once, _ = accuracy(clock, data, evaluations=1)
    parts, _ = accuracy(clock, data, evaluations=4)
    other, _ = accuracy(clock, data, evaluations=4, seed=1)
    found = [result.metrics["losses_sha256"] for result in (once, parts, other)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("read_ahead", [0, 1, 3])
@pytest.mark.parametrize("evaluations", [1, 3, 10])
def test_every_picture_is_used_once_per_epoch(
    clock: Clock, data: Dataset, read_ahead: int, evaluations: int
) -> None:
    limits = Limits(evaluations=evaluations)
    bench, trainer = bench_of(clock, data, limits=limits, recipe="short")
    trainer.read_ahead = read_ahead
    measure_accuracy.accuracy(bench)
    assert len(trainer.images) == len(data.train)
    assert set(trainer.images.values()) == {2}
    first = Counter(fakes._identity(i) for given in trainer.inputs[:5] for i in given.images)
    assert set(first.values()) == {1}


def test_steps_get_the_rates_and_batches_of_their_place(clock: Clock, data: Dataset) -> None:
    bench, trainer = bench_of(clock, data, recipe="short", limits=Limits(evaluations=3))
    measure_accuracy.accuracy(bench)
    for step, given in enumerate(trainer.inputs):
        wanted = bench.input_at(step)
        assert (given.images == wanted.images).all()
        assert (given.labels == wanted.labels).all()
        assert given.learning_rate == bench.setup.recipe.rate(step, bench.setup.steps)
        assert (given.masks["dense1_dropout"] == wanted.masks["dense1_dropout"]).all()


def test_batches_go_on_from_call_to_call(clock: Clock, data: Dataset) -> None:
    bench, trainer = bench_of(clock, data)
    speed.startup(bench)
    speed.train_throughput(bench)
    for step, given in enumerate(trainer.inputs):
        assert (given.images == bench.input_at(step).images).all()


def test_the_idiomatic_track_gets_no_masks(clock: Clock, data: Dataset) -> None:
    _, closed = accuracy(clock, data)
    _, idiomatic = accuracy(clock, data, track="idiomatic")
    assert all(set(given.masks) == {"dense1_dropout"} for given in closed.inputs)
    assert all(given.masks == {} for given in idiomatic.inputs)
    assert closed.inputs[0].masks["dense1_dropout"].shape[0] == fakes.BATCH


@pytest.mark.parametrize("count", [40, 500, 523])
def test_every_test_picture_is_counted_once(clock: Clock, count: int) -> None:
    found, trainer = accuracy(clock, fakes.images(80, count), evaluations=1)
    confusion = np.array(found.metrics["confusion"])
    assert confusion.shape == (10, 10)
    # Once, and twice more after the training: as they are and mirrored.
    assert confusion.sum() == count == sum(len(images) for images in trainer.predicted) / 3
    truth = np.bincount(np.arange(count) % 10)
    assert (confusion.sum(axis=1) == truth).all()  # rows are the true class
    recall = np.diag(confusion) / truth
    assert list(found.metrics["per_class"].values()) == pytest.approx(recall.tolist())
    assert found.samples[0] == pytest.approx(np.trace(confusion) / count)


def test_mirrored_test_pictures_are_of_recipes_that_mirror_and_change_nothing_else(
    clock: Clock, data: Dataset
) -> None:
    found, trainer = accuracy(clock, data, evaluations=1)
    plain, *after = trainer.predicted
    mirrored = [images for images in after if not np.array_equal(images, plain)]
    assert [np.array_equal(images[:, :, ::-1], plain) for images in mirrored] == [True]
    assert 0 <= found.metrics["test_accuracy_with_flips"] <= 1
    assert found.samples == [found.metrics["test_accuracy"]]
    bench, _ = bench_of(clock, data, limits=Limits(evaluations=1), recipe="quick")
    assert "test_accuracy_with_flips" not in measure_accuracy.accuracy(bench).metrics


def test_a_class_without_a_test_picture_has_a_recall_of_zero(clock: Clock, data: Dataset) -> None:
    kept = data.test.take(np.flatnonzero(data.test.labels != 3))
    found, _ = accuracy(clock, describe_pixels("cut", data.classes, data.train, kept))
    assert found.metrics["per_class"][data.classes[3]] == 0


def test_thresholds_are_null_where_never_reached() -> None:
    point = {"train_loss": 1.0, "epoch": 1.0, "step": 1}
    curve = [
        {**point, "test_accuracy": 0.4, "seconds": 1.0, "images": 10},
        {**point, "test_accuracy": 0.6, "seconds": 2.0, "images": 20},
        {**point, "test_accuracy": 0.55, "seconds": 3.0, "images": 30},
    ]
    reached = {
        found: measure_accuracy._reached(found, curve) for found in measure_accuracy.THRESHOLDS
    }
    assert reached[0.5] == {"accuracy": 0.5, "seconds": 2.0, "images": 20}
    assert reached[0.6] == {"accuracy": 0.6, "seconds": 2.0, "images": 20}
    assert reached[0.9] == {"accuracy": 0.9, "seconds": None, "images": None}


def test_a_run_that_never_reaches_anything_says_so(clock: Clock, data: Dataset) -> None:
    found, _ = accuracy(clock, data, evaluations=1)
    rows = {row["accuracy"]: row for row in found.metrics["thresholds"]}
    assert tuple(rows) == measure_accuracy.THRESHOLDS
    assert rows[0.9]["seconds"] is None
    assert rows[0.9]["images"] is None


class DivergingTrainer(QueueTrainer):
    def losses(self) -> list[float]:
        found = super().losses()
        return [float("nan")] * len(found) if len(self.inputs) > 4 else found


def test_a_training_that_diverges_is_flagged_and_stops(clock: Clock, data: Dataset) -> None:
    found, trainer = accuracy(clock, data, evaluations=5, trainer=DivergingTrainer)
    curve = found.metrics["curve"]
    assert found.metrics["diverged"]
    assert [point["train_loss"] is None for point in curve] == [False, False, True]
    assert len(trainer.inputs) == 6 < trainer.setup.steps
    assert np.sum(found.metrics["confusion"]) == len(data.test)


def test_a_closed_training_keeps_the_loss_of_each_of_its_first_steps(
    clock: Clock, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = accuracy(clock, data, evaluations=4)
    losses = whole.metrics["step_losses"]
    assert len(losses) == 10
    assert len(set(losses)) == 10  # each step's own, not the mean of several
    means = [point["train_loss"] for point in whole.metrics["curve"]]
    ends = [point["step"] for point in whole.metrics["curve"]]
    parts = np.split(losses, ends[:-1])
    assert [np.mean(part) for part in parts] == pytest.approx(means)
    monkeypatch.setattr(measure_accuracy, "STEP_LOSSES", 4)
    cut, _ = accuracy(clock, data, evaluations=4)
    assert cut.metrics["step_losses"] == losses[:4]


def test_elsewhere_a_loss_may_be_a_mean_and_is_not_kept_as_a_steps(
    clock: Clock, data: Dataset
) -> None:
    found, _ = accuracy(clock, data, track="idiomatic")
    assert "step_losses" not in found.metrics


def test_a_loss_that_is_no_number_is_kept_as_none(clock: Clock, data: Dataset) -> None:
    found, _ = accuracy(clock, data, evaluations=5, trainer=DivergingTrainer)
    losses = found.metrics["step_losses"]
    assert [loss is None for loss in losses] == [False] * 4 + [True] * 2


def test_progress_is_told_outside_the_clock_and_within_bounds(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data, limits=LIMITS)
    reported: list[float] = []

    def progress(done: float, note: str) -> None:
        reported.append(done)
        clock.now += 1000  # a listener that takes its time

    bench.progress = progress
    bench.schedule.extras = False
    assert speed.train_throughput(bench).samples == [pytest.approx(1.0)] * 4
    assert reported
    assert all(0 <= done <= 1 for done in reported)
    assert reported == sorted(reported)


def test_two_points_per_epoch_unless_told(clock: Clock, data: Dataset) -> None:
    bench, _ = bench_of(clock, data, recipe="short", limits=Limits(evaluations=None))
    epochs = [point["epoch"] for point in measure_accuracy.accuracy(bench).metrics["curve"]]
    assert len(epochs) == 4
    assert epochs[-1] == pytest.approx(2, abs=0.1)


class Early(QueueTrainer):
    """Says that it is done when it is not: only who asks for the weights waits."""

    def sync(self) -> None:
        self.clock.does("sync", 0.01)

    def export_weights(self) -> dict[str, Any]:
        super().sync()
        return super().export_weights()


class Honest(QueueTrainer):
    def export_weights(self) -> dict[str, Any]:
        self.sync()
        self.clock.does("copy", 3.0)
        return super().export_weights()


@pytest.mark.parametrize(
    ("trainer", "said"),
    [(Honest, "synchronised"), (Early, "missing synchronisation")],
)
def test_the_audit_knows_a_sync_that_does_not_wait(
    clock: Clock, data: Dataset, trainer: type[QueueTrainer], said: str
) -> None:
    bench, _ = bench_of(clock, data, limits=LIMITS, trainer=trainer)
    clock.now = 0.0
    bench.schedule.steps = 8  # type: ignore[misc]
    found = speed.train_throughput(bench)
    slopes = found.metrics["clock"]["slope_seconds_per_step"]
    # Reading the weights takes its time, and none of it is in a slope.
    assert slopes == pytest.approx([STEP] * LIMITS.audit_repeats)
    record = Record(bench.setup.case, "train_throughput", "ok", metrics=found.metrics)
    clock_found = sync_audit_of(Experiment(bench.setup.case, "train_throughput", (record,)))
    assert clock_found is not None
    assert clock_found.verdict == said


def test_a_process_after_the_first_takes_its_blocks_alone(clock: Clock, data: Dataset) -> None:
    limits = Limits(blocks=2, overhead_blocks=5, block_seconds=1.0)
    bench, _ = bench_of(clock, data, limits=limits)
    given: list[list[float]] = []
    commands = iter([{"do": "block"}, {"do": "end"}])
    bench.schedule = RemoteSchedule(
        lambda samples, state: given.append(samples),
        lambda: next(commands),
        3,
        extras=False,
        finish=bench.trainer.sync,
    )
    found = speed.train_throughput(bench)
    assert found.metrics["steps_per_sample"] == 3
    assert given == [[], found.samples] == [[], [pytest.approx(3 * STEP)]]
    assert found.metrics["overhead"] is None
    assert "clock" not in found.metrics
