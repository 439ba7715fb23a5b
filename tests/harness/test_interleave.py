"""Workers taking turns: whose it is, who sleeps meanwhile, and what a failure takes with it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.kinds import KINDS, Kind
from bench.core.limits import Limits
from bench.core.system import nvml
from bench.data.sources import prepared
from bench.harness import measure as measurements
from bench.harness.interleaving import interleave
from bench.harness.interleaving.grouping import bytes_of, groups
from bench.harness.interleaving.interleave import InterleavedRun, TaskResults
from bench.harness.matrix import Job, Task
from bench.training.frameworks import FRAMEWORKS
from bench.worker.client import Worker, WorkerError, unheard
from tests.support import fakes

LIMITS = Limits(blocks=3)
RESULT: dict[str, Any] = {
    "samples": [1.0],
    "unit": "s",
    "images_per_sample": None,
    "metrics": {},
    "settings": {},
    "peak_memory_bytes": None,
}


class Script:
    """What the workers of a test do: the log of all of them, and who fails at what."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.awake: set[str] = set()
        self.fails: dict[tuple[str, str], int] = {}
        """(framework, what) -> how often it goes well before it fails."""

    def does(self, name: str, what: str) -> None:
        self.log.append((name, what))
        left = self.fails.get((name, what))
        if left is not None:
            self.fails[name, what] = left - 1
            if left <= 0:
                raise WorkerError("failed", f"{name} cannot {what}")

    def of(self, *what: str) -> list[tuple[str, str]]:
        return [entry for entry in self.log if entry[1] in what]


class FakeWorker:
    """Logs what it is asked; awake from its start until it is paused."""

    script: Script

    def __init__(self, case: Any, data: Path, limits: Limits, weights: Any = None) -> None:
        self.name = case.framework
        self.script.awake.add(self.name)

    def open(self, on_progress: Any) -> None:
        self.script.does(self.name, "open")

    def measure(self, kind: str, on_progress: Any) -> dict[str, Any]:
        self._alone()
        self.script.does(self.name, kind)
        return {**RESULT, "samples": [2.5]}

    def begin(self, kind: str, steps: int | None, *, extras: bool, on_progress: Any) -> None:
        self._alone()
        self.steps = steps or 7
        self.script.does(self.name, f"begin {steps} {extras}")

    def block(self) -> dict[str, Any]:
        self._alone()
        self.script.does(self.name, "block")
        return {"samples": [1.0], "machine": None}

    def end(self, on_progress: Any) -> dict[str, Any]:
        self._alone()
        self.script.does(self.name, "end")
        metrics = {"steps_per_sample": self.steps}
        return {**RESULT, "metrics": metrics, "images_per_sample": 10}

    def _alone(self) -> None:
        assert self.script.awake == {self.name}, "another worker is awake"

    def pause(self) -> None:
        self.script.awake.discard(self.name)

    def resume(self) -> None:
        self.script.awake.add(self.name)

    def close(self) -> None:
        self.script.awake.discard(self.name)
        self.script.does(self.name, "close")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script()
    monkeypatch.setattr(FakeWorker, "script", made, raising=False)
    monkeypatch.setattr(interleave, "Worker", FakeWorker)
    return made


def job(framework: str, *kinds: str) -> Job:
    case = fakes.case(framework)
    return Job(case, tuple(Task(case, kind) for kind in kinds))


def match_of(*jobs: Job) -> InterleavedRun:
    return InterleavedRun(jobs, Path("data"), LIMITS, lambda task: None, unheard)


def all_results(match: InterleavedRun) -> dict[tuple[str, str], TaskResults]:
    return {(t.task.case.framework, t.task.kind): t for t in match.all_results}


def test_a_network_in_one_framework_takes_part_in_some_rounds_only(script: Script) -> None:
    alone = job("c", "train_throughput")
    alone = replace(alone, case=replace(alone.case, variant="cifar-lrn"))
    alone = replace(alone, tasks=tuple(replace(task, case=alone.case) for task in alone.tasks))
    group = [job("a", "train_throughput"), job("b", "train_throughput"), alone]
    limits = replace(LIMITS, normalisation_processes=1)
    match = InterleavedRun(group, Path("data"), limits, lambda task: None, unheard)
    for process in range(2):
        match.run_process(process)
    rounds = {
        case.framework: {block.process for block in found.blocks}
        for case, found in ((each.task.case, each) for each in match.all_results)
    }
    assert rounds == {"a": {0, 1}, "b": {0, 1}, "c": {0}}


def test_start_up_is_measured_in_some_processes_and_the_others_open_together(
    script: Script,
) -> None:
    kinds = ("startup", "train_throughput")
    limits = replace(LIMITS, startup_processes=1)
    group = (job("a", *kinds), job("b", *kinds))
    match = InterleavedRun(group, Path("data"), limits, lambda task: None, unheard)
    match.run_process(0)
    first = [what for _, what in script.log if what in ("open", "startup")]
    assert first == ["open", "startup", "open", "startup"]
    script.log.clear()
    match.run_process(1)
    names = [what for _, what in script.log]
    assert names[:2] == ["open", "open"]
    assert "startup" not in names
    found = all_results(match)
    assert [block.process for block in found["a", "startup"].blocks] == [0]
    assert {block.process for block in found["a", "train_throughput"].blocks} == {0, 1}


def test_no_worker_starts_for_what_is_measured_or_has_failed(script: Script) -> None:
    limits = replace(LIMITS, startup_processes=1)
    group = (
        job("a", "startup"),
        job("b", "startup", "inference"),
        job("c", "startup", "inference"),
    )
    match = InterleavedRun(group, Path("data"), limits, lambda task: None, unheard)
    script.fails["b", "open"] = 0
    match.run_process(0)
    script.log.clear()
    match.run_process(1)
    assert script.of("open") == [("c", "open")]


def test_jobs_without_start_up_open_together_after_it(script: Script) -> None:
    limits = replace(LIMITS, startup_processes=1)
    group = (job("a", "startup", "inference"), job("b", "inference"), job("c", "inference"))
    match = InterleavedRun(group, Path("data"), limits, lambda task: None, unheard)
    match.run_process(0)
    opened = script.of("open", "startup")
    assert opened[:2] == [("a", "open"), ("a", "startup")]
    assert sorted(opened[2:]) == [("b", "open"), ("c", "open")]
    before = script.log[: script.log.index(("a", "begin None True"))]
    assert {("b", "open"), ("c", "open")} <= set(before)


def test_they_take_turns_and_the_other_one_goes_first_next_time(script: Script) -> None:
    match = match_of(job("a", "train_throughput"), job("b", "train_throughput"))
    match.run_process(0)
    assert [name for name, _ in script.of("block")] == ["a", "b", "b", "a", "a", "b"]
    script.log.clear()
    match.run_process(1)  # and the other one goes first in the next process
    assert [name for name, _ in script.of("block")] == ["b", "a", "a", "b", "b", "a"]


def test_each_process_is_fresh_and_ends(script: Script) -> None:
    match = match_of(job("a", "inference"), job("b", "inference"))
    for process in range(3):
        match.run_process(process)
    assert len(script.of("open")) == len(script.of("close")) == 6
    assert script.awake == set()


def test_samples_know_their_process_and_turn(script: Script) -> None:
    match = match_of(job("a", "inference"), job("b", "inference"))
    match.run_process(0)
    match.run_process(1)
    for task_results in match.all_results:
        assert task_results.blocks == [(p, turn, 1) for p in (0, 1) for turn in range(3)]
        assert task_results.samples == [1.0] * 6


def test_later_processes_take_blocks_of_the_first_ones_size_and_no_extras(script: Script) -> None:
    match = match_of(job("a", "train_throughput"))
    match.run_process(0)
    match.run_process(1)
    begun = [what for _, what in script.log if what.startswith("begin")]
    assert begun == ["begin None True", "begin 7 False"]


def test_startup_comes_first_and_while_nobody_else_is_awake(script: Script) -> None:
    kinds = ("startup", "inference")
    match_of(job("a", *kinds), job("b", *kinds)).run_process(0)
    assert [entry for entry in script.log if entry[1] in ("open", "startup")] == [
        ("a", "open"),
        ("a", "startup"),
        ("b", "open"),
        ("b", "startup"),
    ]


def test_a_start_is_held_against_a_bare_one_while_the_worker_rests(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake: list[set[str]] = []

    def bare(case: Any, cpus: Any) -> float:
        awake.append(set(script.awake))
        return 1.25

    monkeypatch.setattr(interleave, "bare_start", bare)
    limits = replace(LIMITS, bare_start=True)
    jobs = (job("a", "startup"), job("b", "startup"))
    match = InterleavedRun(jobs, Path("data"), limits, lambda task: None, unheard)
    match.run_process(0)
    assert awake == [set(), set()]
    for task_results in match.all_results:
        metrics = task_results.answers[0]["metrics"]
        assert metrics["bare_seconds"] == 1.25
        assert metrics["worker_seconds"] > 0
    match_of(job("a", "startup")).run_process(0)  # where it is not asked for
    assert len(awake) == 2


def test_a_kind_that_is_not_interleaved_is_measured_at_once_in_its_place(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "my_kind", Kind("my_kind", "mine", "mine:measure"))
    kinds = ("startup", "inference", "my_kind")
    match = match_of(job("a", *kinds), job("b", *kinds))
    match.run_process(0)
    assert [what for _, what in script.of("startup", "end", "my_kind")] == [
        *["startup"] * 2,
        *["end"] * 2,
        *["my_kind"] * 2,
    ]
    assert all_results(match)["b", "my_kind"].samples == [2.5]


def test_a_failure_takes_its_own_task_and_the_rest_get_a_fresh_process(script: Script) -> None:
    kinds = ("train_throughput", "inference")
    script.fails["a", "block"] = 1
    match = match_of(job("a", *kinds), job("b", *kinds))
    match.run_process(0)
    found = all_results(match)
    lost = found["a", "train_throughput"]
    assert lost.error is not None
    assert not lost.begun
    assert found["b", "train_throughput"].samples == [1.0] * 3
    assert script.of("open") == [("a", "open"), ("b", "open"), ("a", "open")]
    assert found["b", "inference"].begun


def test_what_was_measured_before_a_failure_is_kept(script: Script) -> None:
    script.fails["b", "block"] = 3 + 2
    match = match_of(job("a", "inference"), job("b", "inference"))
    match.run_process(0)
    match.run_process(1)
    found = all_results(match)["b", "inference"]
    assert found.error is not None
    assert found.begun
    assert found.samples == [1.0] * 5
    match.run_process(2)  # nothing more is asked of it
    assert len(all_results(match)["b", "inference"].samples) == 5
    assert len(all_results(match)["a", "inference"].samples) == 9


def test_a_job_that_cannot_be_built_fails_task_by_task(script: Script) -> None:
    script.fails["a", "open"] = 0
    match = match_of(job("a", "startup", "inference"), job("b", "startup", "inference"))
    match.run_process(0)
    found = all_results(match)
    assert [found["a", kind].error is not None for kind in ("startup", "inference")] == [True] * 2
    assert [found["b", kind].begun for kind in ("startup", "inference")] == [True] * 2


def test_frameworks_on_one_network_are_a_match_and_trainings_are_not() -> None:
    timed = [job("a", "inference"), job("b", "inference")]
    wider = [replace(j, case=replace(j.case, variant="wider")) for j in timed]
    trainings = [job("a", "accuracy"), job("b", "accuracy")]
    found = groups([timed[0], wider[0], timed[1], wider[1], *trainings])
    assert found == [tuple(timed), tuple(wider), (trainings[0],), (trainings[1],)]


NETWORKS = ("cifar-bn", "cifar-lrn", "cifar-plain")


def of(variant: str, *jobs: Job) -> list[Job]:
    """The same jobs on another network."""
    made = []
    for each in jobs:
        tasks = tuple(replace(t, case=replace(t.case, variant=variant)) for t in each.tasks)
        made.append(replace(each, case=replace(each.case, variant=variant), tasks=tasks))
    return made


def test_networks_that_differ_in_their_normalisation_share_a_group_where_that_is_asked() -> None:
    timed = [job("a", "inference"), job("b", "inference")]
    found = [each for name in (*NETWORKS, "torchvision") for each in of(name, *timed)]
    everything = 2**60
    family, alone = groups(found, NETWORKS, everything)
    assert family == tuple(found[:6])
    assert alone == tuple(found[6:])
    assert [len(group) for group in groups(found, NETWORKS[:2], everything)] == [4, 2, 2]
    assert [len(group) for group in groups(found)] == [2, 2, 2, 2]


def test_what_differs_in_more_than_the_normalisation_shares_no_group() -> None:
    (one,) = of("cifar-bn", job("a", "inference"))
    (other,) = of("cifar-lrn", job("a", "inference"))
    idiomatic = replace(other, case=replace(other.case, track="idiomatic"))
    larger = replace(other, case=replace(other.case, batch_size=64))
    found = groups([one, other, idiomatic, larger], NETWORKS, 2**60)
    assert [len(group) for group in found] == [2, 1, 1]


def test_a_group_that_the_memory_does_not_hold_is_one_per_network() -> None:
    timed = [job("a", "inference"), job("b", "inference")]
    found = [each for name in NETWORKS for each in of(name, *timed)]
    assert [len(group) for group in groups(found, NETWORKS, 4 * 2**30)] == [2, 2, 2]


def test_each_rank_of_a_training_on_several_devices_has_memory_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    several = replace(job("a", "inference").case, devices=4)
    of_ranks = bytes_of(replace(job("a", "inference"), case=several))
    row = replace(FRAMEWORKS["pytorch"], several_environment={"FLAGS": "{devices}"})
    monkeypatch.setitem(FRAMEWORKS, "a", row)
    assert bytes_of(replace(job("a", "inference"), case=several)) == of_ranks - 3 * 2**30


@pytest.mark.parametrize(("gibibytes", "sizes"), [(4, [2, 2, 2]), (80, [6])])
def test_a_group_that_the_card_does_not_hold_is_one_per_network(
    monkeypatch: pytest.MonkeyPatch, gibibytes: int, sizes: list[int]
) -> None:
    """Idle workers keep their memory on the card as well."""
    monkeypatch.setattr(nvml.Card, "facts", lambda self: {"memory_bytes": gibibytes * 2**30})
    timed = [job("a", "inference"), job("b", "inference")]
    timed = [replace(each, case=replace(each.case, device="cuda")) for each in timed]
    found = [each for name in NETWORKS for each in of(name, *timed)]
    assert [len(group) for group in groups(found, NETWORKS, 2**60)] == sizes


def test_in_a_shared_group_all_take_every_turn(script: Script) -> None:
    jobs = [each for name in NETWORKS[:2] for each in of(name, job("a", "inference"))]
    for place, each in enumerate(jobs):  # the fake worker goes by the framework's name
        jobs[place] = replace(each, case=replace(each.case, framework=f"a{place}"))
    match_of(*jobs, job("b", "inference")).run_process(0)
    assert [name for name, _ in script.of("block")] == [
        *("a0", "a1", "b", "b", "a1", "a0"),
        *("a0", "a1", "b"),
    ]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch, tmp_path / "cache")
    return prepared(fakes.images(), tmp_path / "data")


def _stopped(worker: Worker) -> bool:
    """Within five seconds: the kernel takes a moment."""
    status = Path(f"/proc/{worker._process.pid}/stat")
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        if status.read_text("ascii").rpartition(")")[2].split()[0] == "T":
            return True
    return False


def test_a_resting_process_is_stopped_and_goes_on_where_it_was(data: Path) -> None:
    with Worker(fakes.case("fake"), data, fakes.LIMITS) as worker:
        worker.open(unheard)
        worker.begin("train_throughput", 2, extras=False, on_progress=unheard)
        worker.pause()
        assert _stopped(worker)
        worker.resume()
        samples = worker.block()["samples"]
        answer = worker.end(unheard)
    assert answer["samples"] == samples
    assert answer["metrics"]["steps_per_sample"] == 2


def test_records_of_a_match_say_where_their_samples_come_from(data: Path) -> None:
    limits = replace(fakes.LIMITS, processes=2, group_seconds=1000.0)
    kinds = ("startup", "train_throughput", "latency")
    listener = Quiet()
    match = [job(name, *kinds) for name in ("fake", "fake-two")]
    records = list(measurements.measure(match, data, limits, listener))
    assert [(r.case.framework, r.kind) for r in records] == [
        (name, kind) for name in ("fake", "fake-two") for kind in kinds
    ]
    assert len({r.metrics["interleaving"]["group"] for r in records}) == 1
    for record in records:
        turns = record.metrics["interleaving"]
        assert turns["stopped"] == "processes"
        assert sum(block[2] for block in turns["blocks"]) == len(record.samples)
        assert {block[0] for block in turns["blocks"]} == {0, 1}
        assert record.seconds > 0
    assert len(records[0].samples) == 2
    assert records[1].summary["processes"] == 2


class Quiet:
    def started(self, task: Task) -> None: ...
    def progress(self, done: float, note: str) -> None: ...
    def note(self, text: str) -> None: ...
    def finished(self, record: Any) -> None: ...
    def certifying(self, done: float, note: str) -> None: ...
    def certificate_done(self, certificate: Any) -> None: ...
    def planned(self, plan: Any) -> None: ...
