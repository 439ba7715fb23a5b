"""The article's own loop: what it does, how it is timed, and what is made of its pace."""

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
from bench.report.chapters.article import GOAL
from bench.report.tables import TABLES, frame, sections
from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import recipe
from bench.worker import session
from bench.worker.measurements import article_loop as measure_article
from bench.worker.measurements import speed as measure_speed
from bench.worker.measurements.article_loop import WARMUP_STEPS, LoopBlocks, article_blocks
from bench.worker.measurements.pairs import Block, PairedBlocks
from tests.support import fakes
from tests.support.plugins import fake_weights
from tests.support.synthetic_records.synthetic import ENVIRONMENT, make_record
from tests.support.synthetic_records.synthetic_pretrained import make_article, make_transfer

TABLE = next(table for table in TABLES if table.name == "article")
STEP, WARM = 0.5, 9.0


class Clock:
    """Made-up time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Loop:
    """Steps take time when they are waited for; the first ones of a call take longer."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.queued, self.calls = clock, 0.0, list[int]()
        self.facts: dict[str, Any] = {"batch_size": 4, "workers": 2}

    def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
        self.calls.append(steps)
        for index in range(steps):
            self.queued += WARM if index < WARMUP_STEPS else STEP
            after_step()
        return [float(len(self.calls))] * steps

    def sync(self) -> None:
        self.clock.now += self.queued
        self.queued = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(measure_article, "perf_counter", made)
    return made


@pytest.mark.parametrize(("steps", "blocks", "each"), [(300, 10, 30), (7, 3, 3), (1, 5, 1)])
def test_steps_are_spread_over_the_blocks_and_warm_up_is_outside_the_clock(
    clock: Clock, steps: int, blocks: int, each: int
) -> None:
    loop = Loop(clock)
    machine: Any = fakes.Machine()
    beside = LoopBlocks(loop, steps, blocks, machine)
    for index in range(blocks + 2):  # it is asked more often than it has blocks
        beside.before()
        beside.after(1.0 + index, disturbed=False)
    found = beside.metrics()
    assert found["own_seconds"] == [1.0 + index for index in range(blocks)]
    assert loop.calls == [each + WARMUP_STEPS] * blocks
    assert found["seconds"] == [pytest.approx(each * STEP)] * blocks
    assert (found["steps_per_sample"], found["images_per_sample"]) == (each, 4 * each)
    assert found["losses"] == [float(block + 1) for block in range(blocks)]
    assert found["workers"] == 2


def test_a_disturbed_pair_is_taken_again_and_does_not_count(clock: Clock) -> None:
    """Ours were measured again after a disturbance and the loop's not: 1.3x for equal loops."""
    machine: Any = fakes.Machine(1)  # the second block of the loop
    beside = LoopBlocks(Loop(clock), 3, 3, machine)
    for index in range(8):
        beside.before()
        beside.after(float(index), disturbed=index == 2)
    found = beside.metrics()
    assert found["own_seconds"] == [0, 3, 4]
    assert len(found["seconds"]) == len(found["losses"]) == 3


def test_the_pairs_that_count_have_each_loop_first_in_turn() -> None:
    order: list[str] = []

    def take() -> Block:
        order.append("other")
        return Block(1.0)

    machine: Any = fakes.Machine(1)  # the other loop's second block
    paired = PairedBlocks(take, 3, machine)
    for _ in range(4):
        paired.before()
        order.append("ours")
        paired.after(1.0, disturbed=False)
    assert order == ["ours", "other", *["other", "ours"] * 2, "ours", "other"]
    assert len(paired.pairs()) == 3


def test_on_a_machine_that_is_never_quiet_all_pairs_count_and_have_an_end(clock: Clock) -> None:
    loop = Loop(clock)
    machine: Any = fakes.Machine()
    beside = LoopBlocks(loop, 2, 2, machine)
    for index in range(9):
        beside.before()
        beside.after(float(index), disturbed=True)
    assert len(loop.calls) == 4
    assert beside.metrics()["own_seconds"] == [0, 1]


def test_a_loss_that_is_no_number_is_none(clock: Clock) -> None:
    loop = Loop(clock)
    loop.train = lambda steps, after: [float("nan") for _ in range(steps) if after() is None]  # type: ignore[method-assign]
    machine: Any = fakes.Machine()
    beside = LoopBlocks(loop, 4, 2, machine)
    beside.after(1.0, disturbed=False)
    assert beside.metrics()["losses"] == [None]


def made_bench(steps: int, name: str, framework: str = "fake") -> Any:
    data = fakes.images(20, 10)
    case = SimpleNamespace(framework=framework, recipe=name, seed=3, device="cpu")
    return SimpleNamespace(
        setup=SimpleNamespace(case=case),
        limits=Limits(article_steps=steps),
        dataset=data,
        trainer=SimpleNamespace(export_weights=lambda: {"conv1.weight": np.ones(1)}),
        monitor=fakes.Machine(),
    )


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[Any]:
    """What the framework's row was called with."""
    fakes.install(monkeypatch, tmp_path)
    calls: list[Any] = []

    def create(*args: Any, **options: Any) -> Loop:
        calls.append((args, options))
        return Loop(Clock())

    row = replace(FRAMEWORKS["fake"], article_loop="test_article:made")
    monkeypatch.setitem(FRAMEWORKS, "fake", row)
    module = SimpleNamespace(made=create)
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    return calls


@pytest.mark.parametrize("name", ["tutorial-transfer", "tutorial-transfer-speed@0.5"])
def test_the_loop_gets_the_data_and_the_weights_of_the_case(given: list[Any], name: str) -> None:
    bench = made_bench(20, name)
    assert article_blocks(bench, 4) is not None
    ((split, classes, weights), options) = given[0]
    assert split is bench.dataset.train
    assert classes == len(bench.dataset.classes)
    assert list(weights) == ["conv1.weight"]
    assert options == {"seed": 3, "device": "cpu"}


@pytest.mark.parametrize(("steps", "name"), [(0, "tutorial-transfer"), (20, "steady")])
def test_no_loop_unless_it_is_asked_for_beside_its_own_recipe(
    given: list[Any], steps: int, name: str
) -> None:
    assert article_blocks(made_bench(steps, name), 4) is None
    assert given == []


def test_only_pytorch_has_the_loop() -> None:
    assert [name for name, row in FRAMEWORKS.items() if row.article_loop] == ["pytorch"]


def test_its_blocks_are_next_to_ours_and_each_is_first_in_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    fakes.install(monkeypatch, tmp_path)
    order: list[str] = []

    class Ordered(Loop):
        def train(self, steps: int, after_step: Callable[[], None]) -> list[float]:
            order.append("article")
            return super().train(steps, after_step)

    def beside(bench: Any, blocks: int) -> LoopBlocks:
        return LoopBlocks(Ordered(Clock()), 3, blocks, bench.monitor)

    monkeypatch.setattr(measure_speed, "article_blocks", beside)
    data = fakes.images(80, 40)

    class Trainer(fakes.FakeTrainer):
        def sync(self) -> None:
            order.append("sync")

        def bare_loop(self, step_input: Any) -> Callable[[int], None]:
            return lambda steps: order.append(f"bare {steps}")

    case = fakes.case(recipe="steady")
    setup = session.Setup(
        case,
        fakes.VARIANT.architecture(len(data.classes)),
        recipe("steady"),
        5,
        data.mean,
        data.std,
        2,
    )
    limits = Limits(warmup_steps=1, blocks=3, block_seconds=0.0, overhead_blocks=3)
    bench = session.Session(Trainer(setup), setup, data, limits, lambda *_: None, 0.0, 0.0)
    bench.monitor = fakes.Machine()  # type: ignore[assignment]  # others may use this machine
    found = measure_speed.train_throughput(bench)
    assert len(found.metrics["article_loop"]["own_seconds"]) == 3
    ours = ["sync", "sync"]  # a block of ours begins and ends with a sync
    bare = ["bare 1", "bare 1"]  # its block begins with a step that does not count
    first = order.index("article") - len(ours) - len(bare)
    expected = [*ours, *bare, "article", "article", *bare, *ours, *ours, *bare, "article"]
    assert order[first : first + len(expected)] == expected
    assert order.count("article") == 3


def test_without_it_a_record_has_no_such_key() -> None:
    assert "article_loop" not in make_record(kind="train_throughput").metrics


def row(records: list[Any]) -> dict[str, Any]:
    content = frame(TABLE, records)
    assert len(content) == 1
    return dict(content.iloc[0])


def training(curve: list[tuple[float, float]], **changes: Any) -> Any:
    record = make_transfer(**changes)
    points = [{"test_accuracy": a, "seconds": s, "train_loss": 1.0} for a, s in curve]
    return replace(record, metrics={**record.metrics, "curve": points})


def test_the_articles_training_is_extrapolated_from_the_median_pace() -> None:
    found = row([make_article(seconds=(8.0, 16.0, 4.0)), make_transfer()])
    assert found["article_images_per_second"] == pytest.approx(160 / 8)
    assert found["article_seconds"] == pytest.approx(10 * 50_000 / 20)
    assert found["article_steps"] == 120
    assert found["article_low"] < 20 < found["article_high"]


def test_ours_is_told_to_the_articles_accuracy_where_it_is_reached() -> None:
    ours = training([(0.5, 10.0), (GOAL, 40.0), (0.9, 90.0)])
    found = row([make_article(), ours])
    assert (found["reached"], found["seconds"]) == (GOAL, 40.0)
    assert found["ratio"] == pytest.approx(found["article_seconds"] / 40)


def test_ours_is_told_to_its_best_where_it_is_not() -> None:
    found = row([make_article(), training([(0.5, 10.0), (0.8, 30.0), (0.79, 60.0)])])
    assert (found["reached"], found["seconds"]) == (0.8, 30.0)


def test_seeds_are_put_together() -> None:
    runs = [training([(0.7 + seed / 100, 10.0 * (seed + 1))], seed=seed) for seed in range(3)]
    found = row([make_article(), *runs])
    assert found["seeds"] == 3
    assert found["reached"] == pytest.approx(0.71)
    assert found["seconds"] == 20


def test_a_training_from_scratch_or_on_another_machine_does_not_stand_beside_it() -> None:
    scratch = make_transfer(init="scratch", weights=None)
    elsewhere = make_transfer(environment={**ENVIRONMENT, "cpu": "Other CPU"})
    on_gpu = make_transfer(device="cuda")
    found = row([make_article(), scratch, elsewhere, on_gpu])
    assert found["recipe"] == "tutorial-transfer-speed"  # the loop alone
    assert found["ratio"] is None


def test_no_table_without_the_loop() -> None:
    assert sections(TABLE, [make_transfer(), make_record(kind="train_throughput")]) == []


def test_the_table_says_from_how_little_it_was_extrapolated() -> None:
    (section,) = sections(TABLE, [make_article(), training([(0.85, 100.0)])])
    shown = dict(zip(section.headers, section.cells[0], strict=True))
    assert shown["our accuracy"] == "85.0 %"
    assert shown["reached after (s)"] == "100"
    assert shown["article's s / ours"] == "250x"
    assert shown["its whole training (s)"] == "25,000"
    (line,) = [note for note in section.notes if "extrapolated" in note]
    assert "timed for 120 steps of 4 images" in line
    assert "loss 2.31 in its first block, 0.90 in its last" in line


def test_the_profile_times_the_loop_and_trains_in_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_weights.install(monkeypatch)
    profile = PROFILES["article"]
    assert profile.limits.article_steps >= 200
    assert recipe(profile.timed_recipe).name in measure_article.ARTICLE_RECIPES
    if FRAMEWORKS["pytorch"].missing():
        pytest.skip("PyTorch is not installed")
    found = [task for job in jobs(Selection(), profile) for task in job.tasks]
    assert [(task.kind, task.case.track) for task in found] == [
        ("train_throughput", "tuned"),
        ("accuracy", "tuned"),
    ]


def test_a_row_has_the_caveats_of_the_loop_too() -> None:
    loop = replace(make_article(), caveats=({"on": "speed", "why": "other work ran"},))
    (found,) = frame(TABLE, [loop, make_transfer()])["speed_caveats"]
    assert found == "other work ran"
