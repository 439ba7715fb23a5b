"""The tutorials' loops: that they train, how they are timed beside ours, and what is told of it."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.core.limits import Limits
from bench.harness.matrix import jobs
from bench.harness.profiles import PROFILES
from bench.harness.selection import Selection
from bench.report.chapters.speed.baselines import tutorial_loop_rows
from bench.report.tables import TABLES
from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import recipe
from bench.worker import session
from bench.worker.measurements import article_loop
from bench.worker.measurements import tutorial_loop as measure_tutorial
from bench.worker.measurements.accuracy import accuracy
from bench.worker.measurements.article_loop import WARMUP_STEPS
from bench.worker.measurements.speed import train_throughput
from tests.support import fakes
from tests.support.parts import results_of
from tests.support.synthetic_records.synthetic import make_record

TABLE = next(table for table in TABLES if table.name == "tutorial_loops")


class Loop:
    """Steps of half a second, of four images; calls everything class 3."""

    def __init__(self, now: list[float]) -> None:
        self.facts: dict[str, Any] = {"batch_size": 4, "loop": "made up"}
        self._now, self.calls = now, list[int]()

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        self.calls.append(steps)
        for _ in range(steps):
            self._now[0] += 0.5
            after_step()
        return [1.0] * steps

    def sync(self) -> None:
        """Nothing is queued."""

    def predict(self, images: Any) -> Any:
        return np.eye(10)[np.full(len(images), 3)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[Loop]:
    """The loops that the fake framework was asked for."""
    fakes.install(monkeypatch, tmp_path)
    now, loops = [0.0], list[Loop]()

    def create(setup: Any, dataset: Any) -> Loop:
        assert setup.case.framework == "fake"
        assert len(dataset.train)
        loops.append(Loop(now))
        return loops[-1]

    row = replace(FRAMEWORKS["fake"], tutorial_loop="somewhere:made")
    monkeypatch.setitem(FRAMEWORKS, "fake", row)
    module = SimpleNamespace(made=create)
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    for part in (measure_tutorial, article_loop):
        monkeypatch.setattr(part, "perf_counter", lambda: now[0])
    return loops


def made_bench(limits: Limits, track: str = "idiomatic") -> session.Session:
    data = fakes.images(80, 40)
    case = fakes.case(recipe="steady", track=track)
    rows = fakes.VARIANT.architecture(len(data.classes))
    setup = session.Setup(case, rows, recipe("steady"), 5, data.mean, data.std, 2)
    trainer = fakes.FakeTrainer(setup)
    bench = session.Session(trainer, setup, data, limits, lambda *_: None, 0.0, 0.0)
    bench.monitor = fakes.Machine()  # type: ignore[assignment]  # others may use this machine
    return bench


ASKED = Limits(warmup_steps=1, blocks=3, block_seconds=2.0, tutorial_loop=True)


@pytest.mark.slow
def test_its_blocks_are_as_long_as_ours(made: list[Loop]) -> None:
    found = train_throughput(made_bench(replace(ASKED, block_seconds=2.0, audit_repeats=1)))
    told = found.metrics["tutorial_loop"]
    (loop,) = made
    first, *blocks = loop.calls
    assert first == WARMUP_STEPS + 2  # for its pace
    assert blocks == [WARMUP_STEPS + 4] * 3  # 2 s of steps of half a second
    assert told["seconds"] == pytest.approx([2.0] * 3)
    assert (told["images_per_sample"], told["loop"]) == (16, "made up")


@pytest.mark.parametrize(
    ("limits", "track"), [(replace(ASKED, tutorial_loop=False), "idiomatic"), (ASKED, "closed")]
)
def test_only_where_it_is_asked_for_and_only_beside_the_idiomatic_track(
    made: list[Loop], limits: Limits, track: str
) -> None:
    bench = made_bench(limits, track)
    assert measure_tutorial.tutorial_blocks(bench, 3) is None
    assert measure_tutorial.tutorial_training(bench, 10) is None
    assert made == []


def test_behind_a_training_it_takes_as_many_pictures_as_ours(made: list[Loop]) -> None:
    bench = made_bench(ASKED)
    found = accuracy(bench)
    (loop,) = made
    ours = found.metrics["train_images"]
    assert loop.calls == [ours // 4]
    told = found.metrics["tutorial_loop"]
    assert told["train_images"] == ours
    assert told["train_seconds"] == pytest.approx(ours // 4 * 0.5)
    assert told["test_accuracy"] == pytest.approx(float((bench.dataset.test.labels == 3).mean()))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_training_from_pretrained_weights_has_none(made: list[Loop], frozen: bool) -> None:
    """The loop starts from random weights; and images do not fit the head behind a frozen trunk."""
    bench = made_bench(ASKED)
    weights = {"init": "pretrained", "weights": "bvlc@01234567", "frozen": frozen}
    bench.setup = replace(bench.setup, case=replace(bench.setup.case, **weights))
    assert measure_tutorial.tutorial_training(bench, 10) is None
    assert made == []


def test_every_framework_has_a_loop() -> None:
    assert all(row.tutorial_loop for name, row in FRAMEWORKS.items() if name != "fake")


def test_the_profile_times_and_trains_beside_the_loops() -> None:
    profile = PROFILES["loops"]
    assert profile.limits.tutorial_loop
    found = jobs(Selection(frameworks=("pytorch",)), profile)
    kinds = {(task.kind, task.case.variant, task.case.track) for job in found for task in job.tasks}
    assert kinds == {
        (kind, variant, track)
        for track in ("idiomatic", "tuned")
        for kind, variant in (
            ("startup", "cifar-bn"),
            ("startup", "torchvision"),
            ("train_throughput", "cifar-bn"),
            ("train_throughput", "torchvision"),
            ("accuracy", "cifar-bn"),
        )
    }


def timed(**changes: Any) -> Any:
    loop = {"seconds": [2.0, 2.0, 4.0], "images_per_sample": 100, "batch_size": 64, "loop": "plain"}
    fields = {"track": "idiomatic", "samples": (1.0, 1.0, 1.0), "images_per_sample": 400} | changes
    return make_record(kind="train_throughput", metrics={"tutorial_loop": loop}, **fields)


def test_speeds_are_of_the_pairs_that_the_record_has() -> None:
    record = timed(samples=(9.0, 9.0, 9.0))
    loop = record.metrics["tutorial_loop"] | {"own_seconds": [1.0, 1.0, 1.0]}
    (row,) = rows_of(replace(record, metrics={"tutorial_loop": loop}))
    assert row["images_per_second"] == pytest.approx(400)  # older records: the first samples
    assert rows_of(record)[0]["images_per_second"] == pytest.approx(400 / 9)


def trained(**changes: Any) -> Any:
    record = make_record(kind="accuracy", track="idiomatic", **changes)
    loop = {"test_accuracy": 0.5, "train_seconds": 90.0, "train_images": 30_000}
    ours = {"test_accuracy": 0.6, "train_seconds": 30.0, "train_images": 30_208}
    return replace(record, metrics=record.metrics | ours | {"tutorial_loop": loop})


def rows_of(*records: Any) -> list[dict[str, Any]]:
    return tutorial_loop_rows(results_of(records))


def test_a_row_has_the_caveats_of_its_training_too() -> None:
    marked = replace(trained(), caveats=({"on": "speed", "why": "other work ran"},), run="later")
    (row,) = rows_of(timed(), marked)
    assert row["speed_caveats"] == "other work ran"
    assert "later" in row["run"]


def test_the_ratio_is_taken_block_by_block() -> None:
    (row,) = rows_of(timed(), make_record(kind="train_throughput", track="idiomatic", seed=1))
    # 400 images/s beside 50, 50 and 25
    assert row["ratio"] == pytest.approx(8)
    assert row["images_per_second"] == pytest.approx(400)
    assert row["loop_images_per_second"] == pytest.approx(50)
    assert row["pairs"] == 3
    assert row["accuracy"] is None


def test_accuracies_of_the_same_network_stand_beside_it() -> None:
    other = trained(variant="cifar-lrn")
    (row,) = rows_of(timed(batch_size=512), trained(batch_size=256), other)
    assert (row["accuracy"], row["loop_accuracy"]) == (0.6, 0.5)
    assert (row["seconds"], row["loop_seconds"]) == (30, 90)
    assert rows_of(timed(), other)[0]["accuracy"] is None
    started = trained(init="pretrained", weights="bvlc@01234567")
    assert rows_of(timed(), started)[0]["accuracy"] is None


def test_the_table_shows_both() -> None:
    found = rows_of(timed(), trained())
    columns = {c.header: c.show(found[0]) for c in TABLE.columns(found) if c.worth_showing(found)}
    assert columns["ours / theirs"] == "8.00x"
    assert columns["their accuracy"] == "50.0 %"
    assert columns["after images"] == "30,208"
    assert "our accuracy" not in {
        c.header for c in TABLE.columns(rows_of(timed())) if c.worth_showing(rows_of(timed()))
    }


def test_without_a_loop_there_is_no_row() -> None:
    assert rows_of(make_record(kind="train_throughput", track="idiomatic")) == []
