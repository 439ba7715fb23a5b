"""Disturbed blocks: measured again as whole turns; marked, and without verdict, if they stay so."""

import dataclasses
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.comparison.compare import compare
from bench.core.limits import Limits
from bench.core.system.machine import BlockState, is_disturbed
from bench.core.system.resources import usable_cpus
from bench.data.sources import prepared
from bench.harness import measure as measurements
from bench.harness import results
from bench.harness.interleaving import interleave
from bench.harness.interleaving.interleave import InterleavedRun
from bench.harness.matrix import Job, Task
from bench.worker.client import Worker, WorkerError, unheard
from tests.harness.test_interleave import RESULT, Quiet
from tests.support import fakes, planted_machine

CALM = BlockState(1.0, 2.0, 2, others=0.01)
BUSY = replace(CALM, others=0.5)
BUSIER = replace(CALM, others=0.6)


class Workers:
    """What the workers of a test do: by block, in the order in which blocks are asked for."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.state: Callable[[int], BlockState | None] = lambda block: CALM
        self.fails_at: int | None = None

    def block(self, name: str) -> dict[str, Any]:
        number = len(self.log)
        self.log.append(name)
        if number == self.fails_at:
            raise WorkerError("failed", "planted")
        state = self.state(number)
        return {"samples": [float(number + 1)], "machine": state and state.to_json()}


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    made = Workers()

    class FakeWorker:
        def __init__(self, case: Any, data: Path, limits: Limits, weights: Any = None) -> None:
            self.name = case.framework

        def open(self, on_progress: Any) -> None: ...
        def begin(self, *_: Any, **__: Any) -> None: ...
        def pause(self) -> None: ...
        def resume(self) -> None: ...
        def close(self) -> None: ...

        def block(self) -> dict[str, Any]:
            return made.block(self.name)

        def end(self, on_progress: Any) -> dict[str, Any]:
            return {**RESULT, "metrics": {"steps_per_sample": 3}, "images_per_sample": 10}

    monkeypatch.setattr(interleave, "Worker", FakeWorker)
    return made


def jobs(*names: str, kind: str = "inference") -> list[Job]:
    cases = [fakes.case(name) for name in names]
    return [Job(case, (Task(case, kind),)) for case in cases]


def run(workers: Workers, turns: int = 3, seconds: float = 0.0) -> InterleavedRun:
    limits = Limits(blocks=turns, group_seconds=seconds)
    made = InterleavedRun(jobs("a", "b"), Path(), limits, lambda task: None, unheard)
    made.run_process(0)
    return made


def test_a_calm_run_repeats_nothing(workers: Workers) -> None:
    made = run(workers)
    assert workers.log == ["a", "b", "b", "a", "a", "b"]
    assert [t.repeated for t in made.all_results] == [0, 0]
    assert all(t.states == [CALM] * 3 for t in made.all_results)


def test_a_disturbed_turn_is_measured_again_as_a_whole_after_the_others(workers: Workers) -> None:
    workers.state = lambda block: BUSY if block == 2 else CALM  # b in turn 1
    a, b = run(workers).all_results
    assert workers.log == ["a", "b", "b", "a", "a", "b", "b", "a"]  # turn 1 again, in its order
    assert a.samples == [1.0, 8.0, 5.0]  # both blocks of the turn are the later ones
    assert b.samples == [2.0, 7.0, 6.0]
    assert a.blocks == b.blocks == [(0, turn, 1) for turn in range(3)]
    assert (a.repeated, b.repeated) == (1, 1)
    assert a.states == b.states == [CALM] * 3


def test_repeating_ends_and_what_stays_disturbed_is_kept_as_such(workers: Workers) -> None:
    workers.state = lambda block: BUSY
    a, b = run(workers).all_results
    assert len(workers.log) == 2 * 2 * 3  # as many blocks again, at the most
    assert a.states == b.states == [BUSY] * 3
    assert len(a.samples) == 3


def test_one_turn_is_tried_a_few_times_only(workers: Workers) -> None:
    workers.state = lambda block: BUSY if block in (0, 1) or block >= 40 else CALM
    run(workers, turns=20)
    assert len(workers.log) == 2 * 20 + 2 * interleave._REPEATS


def test_the_least_disturbed_attempt_counts_whatever_its_seconds(workers: Workers) -> None:
    workers.state = lambda block: (
        {6: BUSY, 7: BUSY}.get(block, BUSIER) if block > 5 else (BUSIER if block < 2 else CALM)
    )
    a, b = run(workers).all_results
    assert (a.samples[0], b.samples[0]) == (7.0, 8.0)
    assert a.states[0] == BUSY


def test_nothing_is_repeated_after_the_time_limit_of_the_group(workers: Workers) -> None:
    workers.state = lambda block: BUSY
    run(workers, seconds=1e-9)
    assert len(workers.log) == 6


def test_the_time_for_repeats_is_that_of_all_networks_less_what_is_spent(workers: Workers) -> None:
    def blocks(variant: str, spent: float) -> int:
        workers.log.clear()
        workers.state = lambda block: BUSY
        two = [fakes.case("a"), replace(fakes.case("b"), variant=variant)]
        made = InterleavedRun(
            [Job(case, (Task(case, "inference"),)) for case in two],
            Path(),
            Limits(blocks=3, group_seconds=600.0),
            lambda task: None,
            unheard,
        )
        made.run_process(1, spent)
        return len(workers.log)

    assert blocks("tiny", 0.0) == 12
    assert blocks("tiny", 900.0) == 6
    assert blocks("other", 900.0) == 12  # two networks have twice the time
    assert blocks("other", 1300.0) == 6


def test_a_failure_while_repeating_loses_nothing_that_was_measured(workers: Workers) -> None:
    workers.state = lambda block: BUSY if block < 2 else CALM
    workers.fails_at = 7
    a, b = run(workers).all_results
    assert b.error is not None
    assert (a.samples, b.samples) == ([1.0, 4.0, 5.0], [2.0, 3.0, 6.0])
    assert [len(t.states) for t in (a, b)] == [3, 3]


def test_a_state_that_is_none_is_an_error_of_the_worker() -> None:
    with pytest.raises(WorkerError, match="block is refused: no state"):
        results.checked_block({"samples": [1.0], "machine": {"others": 1}})
    with pytest.raises(WorkerError, match="result is refused"):
        results.checked_states({"machine": [CALM.to_json() | {"steal": -1}]})
    assert results.checked_block({"samples": [1.0], "machine": None}).state is None


def planted(
    workers: Workers, state: BlockState, fast: str = "a", slow: float = 3.0
) -> dict[str, Any]:
    """Records of a run in which one of two is three times as fast, by framework."""
    workers.state = lambda block: state
    real = workers.block

    def block(name: str) -> dict[str, Any]:
        found = real(name)
        seconds = 1.0 if name == fast else slow
        return found | {"samples": [seconds * (1 + len(workers.log) / 1e4)]}

    workers.block = block  # type: ignore[method-assign]
    limits = Limits(blocks=4, processes=3, group_seconds=600.0)
    found = list(measurements.measure(jobs("fake", "fake-two"), Path(), limits, Quiet()))
    workers.block = real  # type: ignore[method-assign]
    return {record.case.framework: record for record in found}


@pytest.fixture
def _rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


@pytest.mark.usefixtures("_rows")
def test_a_disturbed_pair_gives_no_verdict(workers: Workers) -> None:
    """Planted: three times as fast, in every pair of three processes, next to a busy process."""
    calm = planted(workers, CALM, fast="fake")
    slower = planted(workers, CALM, fast="none")
    busy = planted(workers, BUSY, fast="none")
    assert calm["fake"].metrics["disturbed"] == 0.0
    assert busy["fake"].metrics["disturbed"] == 1.0
    assert busy["fake"].metrics["machine"]["repeated"] == 3 * 4
    (row,) = compare([slower["fake"]], [calm["fake"]])
    assert row.verdict == "faster"
    for pair in ((busy, calm), (calm, busy)):
        (row,) = compare(*([records["fake"]] for records in pair))
        assert row.ratio == pytest.approx(3, rel=0.01) or row.ratio == pytest.approx(
            1 / 3, rel=0.01
        )
        assert row.verdict == "inconclusive"
        assert row.reason == "disturbed: others used the CPUs in 100 % of the blocks"


@pytest.mark.usefixtures("_rows")
def test_a_record_has_the_machine_before_during_and_by_block(workers: Workers) -> None:
    record = planted(workers, BUSY)["fake"]
    blocks = record.metrics["interleaving"]["blocks"]
    assert len(record.metrics["machine"]["others"]) == len(blocks) == 12
    assert set(record.environment["machine_state"]) == {
        "others",
        "steal",
        "throttled",
        "load",
        "swapped_bytes",
    }


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch, tmp_path / "cache")
    return prepared(fakes.images(), tmp_path / "data")


REAL = replace(fakes.LIMITS, blocks=2, block_seconds=0.3, processes=1)
"""Blocks of thirty ticks, so that the clock can tell who used the CPUs."""


@pytest.mark.slow
def test_a_busy_process_disturbs_a_real_run(data: Path) -> None:
    """A real process that spins on the CPUs of the workers."""
    cpus = usable_cpus()
    with planted_machine.spinning(cpus, processes=len(cpus), seconds=60):
        found = list(measurements.measure(jobs("fake", "fake-two"), data, REAL, Quiet()))
    for record in found:
        assert record.ok, record.error
        assert is_disturbed(record.metrics)
        assert record.metrics["machine"]["repeated"] >= 1
        assert min(record.metrics["machine"]["others"]) > 0.1
        assert record.environment["machine_state"]["others"] > 0.1


def test_every_kind_records_the_machine(data: Path) -> None:
    quick = replace(fakes.LIMITS, processes=2, group_seconds=600.0)
    case = fakes.case(recipe="short")
    kinds = ("startup", "train_throughput", "inference", "latency")
    job = Job(case, tuple(Task(case, kind) for kind in kinds))
    training = Job(case, (Task(case, "accuracy"),))
    records = [
        *measurements.measure([job], data, quick, Quiet()),
        *measurements.measure([training], data, quick, Quiet()),
    ]
    assert [record.kind for record in records] == [*kinds, "accuracy"]
    for record in records:
        machine = record.metrics["machine"]
        points = len(record.metrics["curve"]) if record.kind == "accuracy" else None
        blocks = record.metrics.get("interleaving", {}).get("blocks")
        assert len(machine["seconds"]) == (points or len(blocks))
        assert machine["threads"] == len(usable_cpus())
        assert all(seconds > 0 for seconds in machine["seconds"])
        assert all(cpu >= 0 for cpu in machine["cpu_seconds"])
        assert 0 <= record.metrics["disturbed"] <= 1


def test_the_state_is_read_outside_of_the_timed_seconds(data: Path) -> None:
    with Worker(fakes.case("fake-slow"), data, replace(fakes.LIMITS, block_seconds=0.2)) as worker:
        worker.open(unheard)
        worker.begin("train_throughput", None, extras=False, on_progress=unheard)
        found = worker.block()
        worker._signal(signal.SIGCONT)
    assert found["samples"][0] <= found["machine"]["seconds"] + 1e-6
    assert found["machine"]["seconds"] < found["samples"][0] + 0.01
    assert dataclasses.fields(BlockState)
