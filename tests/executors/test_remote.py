"""Groups on a cluster: every case there once, whatever happens to its nodes; one line for each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core import signals
from bench.core.errors import UserError
from bench.core.records import Record
from bench.executors import node as on_node
from bench.executors import nodes, remote
from bench.executors.cluster import Lost, Needs, Place
from bench.executors.remote import ATTEMPTS, RemoteExecutor
from bench.executors.requests import Answer, Setting, label_of
from bench.harness.matrix import jobs
from bench.harness.resumption.run_settings import Begun, RunSettings
from bench.harness.run import Run, open_run, run_all
from bench.harness.selection import Selection
from bench.training.frameworks import FRAMEWORKS
from bench.worker.environment import KEPT
from tests.support import fakes
from tests.support.clusters import FakeCluster
from tests.support.plugins import instant


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(on_node, "measure", instant.measure)
    monkeypatch.setattr(on_node, "_before", lambda run: {})
    monkeypatch.setattr(on_node, "_enter", lambda setting: None)  # the fakes are here already


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


class Listener:
    """Keeps lines and records."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.certificates: list[dict[str, Any]] = []
        self.found: list[Record] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def certificate_done(self, certificate: dict[str, Any]) -> None:
        self.certificates.append(certificate)

    def finished(self, record: Record) -> None:
        self.found.append(record)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@pytest.fixture
def start(tmp_path: Path, batches: str) -> Callable[..., Run]:
    def started(name: str = "run", *, resume: bool = False) -> Run:
        run, done = open_run(tmp_path / "results", name, resume, fakes.PROFILE, batches)
        run.done = done  # type: ignore[attr-defined]
        return run

    return started


def measure(
    run: Run,
    cluster: FakeCluster,
    *names: str,
    parity: bool = False,
    seeds: int = 3,
    kinds: tuple[str, ...] = ("train_throughput", "accuracy"),
) -> Listener:
    """Trainings of some seeds, and a timed group."""
    wanted = Selection(frameworks=names, tracks=("closed",), kinds=kinds, seeds=seeds)
    listener = Listener()
    executor = RemoteExecutor(run, cluster)
    done = getattr(run, "done", set())
    run_all(
        run,
        jobs(wanted, run.profile),
        listener,  # type: ignore[arg-type]
        done=done,
        parity=parity,
        executor=executor,
    )
    return listener


def counted(run: Run) -> Counter[tuple[str, str]]:
    return Counter(record.key for record in run.store.read())


def test_every_case_is_there_once_with_its_node(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    listener = measure(run, cluster, "fake", "fake-two")
    assert set(counted(run).values()) == {1}
    records = run.store.read()
    assert len(records) == 2 + 2 * 3
    assert all(record.ok for record in records)
    labels = {record.environment["node"]["label"] for record in records}
    assert labels == {label_of("one"), label_of("two")}
    assert not any("one" in label or "two" in label for label in labels)
    assert len({record.environment["node"]["kind"] for record in records}) == 1
    assert all(record.dataset == run.dataset.describe() for record in records)
    assert listener.found == records
    assert cluster.closed


def test_a_timed_group_is_one_request_with_cpus_and_memory(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one")
    measure(run, cluster, "fake", "fake-two", seeds=1)
    (timed,) = [group for group in cluster.groups if len(group[1]) == 2]
    assert timed[2].cpus == 1
    assert timed[2].gpus == 0
    assert 2 << 30 <= timed[2].memory <= 4 << 30


def test_a_full_disk_costs_weights_and_no_record(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote, "write_whole", full)
    one = {"seeds": 1, "kinds": ("accuracy",)}
    run = start("usual")
    measure(run, FakeCluster("one"), "fake", **one)  # type: ignore[arg-type]
    (made,) = run.store.read()
    saved = {"saved_weights": {"file": "w.safetensors", "weights_sha256": "0" * 64}}
    value = dataclasses.replace(made, metrics=made.metrics | saved).to_json()
    files = {"w.safetensors": b"weights"}
    cluster, run = FakeCluster("one"), start("full")
    cluster.planted["one"] = [Answer([value], made.environment["node"]["kind"], files=files)]
    measure(run, cluster, "fake", **one)  # type: ignore[arg-type]
    (record,) = run.store.read()
    assert record.ok, record.error
    problem = "weights not saved: No space left on device"
    assert record.metrics["saved_weights"] == {"problem": problem}


def test_a_node_that_dies_costs_an_attempt_and_no_record(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.planted["one"] = ["dies"]
    listener = measure(run, cluster, "fake")
    assert set(counted(run).values()) == {1}
    assert all(record.ok for record in run.store.read())
    lines = [line for line in listener.notes if "attempt" in line]
    assert lines == ["tiny closed in fake: its node or process was lost; attempt 2 of 3"]
    assert f"{label_of('one')} has disappeared; 1 nodes remain" in listener.notes


def test_a_group_is_lost_three_times_and_given_up(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one")
    cluster.planted["one"] = [Lost("planted", "oom")] * ATTEMPTS
    alone = {"seeds": 1, "kinds": ("accuracy",)}
    listener = measure(run, cluster, "fake", **alone)
    (lost,) = run.store.read()
    assert lost.status == "oom"
    assert lost.error == "given up after 3 attempts: planted"
    assert sum("attempt" in line for line in listener.notes) == ATTEMPTS - 1
    # A later run tries it again.
    run.release()
    again = start(resume=True)
    measure(again, FakeCluster("one"), "fake", **alone)
    (found,) = again.store.read()
    assert found.ok


def test_what_a_function_raises_is_not_tried_again(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one")
    cluster.planted["one"] = [Lost("ValueError: planted", again=False)]
    listener = measure(run, cluster, "fake", seeds=1)
    assert [r.error for r in run.store.read() if not r.ok] == ["ValueError: planted"]
    assert not any("attempt" in line for line in listener.notes)


def test_a_node_without_room_for_the_data_takes_no_further_group(
    start: Callable[..., Run],
) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.planted["one"] = [Answer(refused="the data cannot be written (No space left)")]
    listener = measure(run, cluster, "fake")
    assert all(record.ok for record in run.store.read())
    assert set(counted(run).values()) == {1}
    label = label_of("one")
    assert f"{label} takes no further group: the data cannot be written (No space left)" in (
        listener.notes
    )
    assert sum(label in line and "no further" in line for line in listener.notes) == 1


def test_a_node_with_other_code_that_the_engine_has_chosen_measures_nothing(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slurm(FakeCluster):
        def _outcome(self, function: Any, request: Any, nodes: list[str], needs: Needs) -> Any:
            with monkeypatch.context() as there:
                if function is on_node.measure_group:
                    there.setattr(on_node, "code", lambda: "of another version")
                _, answer = super()._outcome(function, request, nodes, needs)
            return "a node of the partition", answer

    run = start()
    listener = measure(run, Slurm("partition"), "fake", seeds=1, kinds=("accuracy",))
    (record,) = run.store.read()
    why = "its alexbench is another one than the command's; install the same version there"
    assert (record.status, record.error) == ("failed", f"given up after 3 attempts: {why}")
    assert [line for line in listener.notes if why in line and "attempt 2 of 3" in line]


def test_the_last_node_is_gone_and_the_rest_is_skipped_with_a_reason(
    start: Callable[..., Run],
) -> None:
    run, cluster = start(), FakeCluster("one")
    cluster.planted["one"] = ["dies"]
    measure(run, cluster, "fake")
    records = run.store.read()
    assert {record.status for record in records} == {"skipped"}
    assert {record.error for record in records} == {"no node of the cluster is left"}
    assert set(counted(run).values()) == {1}


def test_a_node_without_a_framework_measures_the_others(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.facts["one"] = {"unusable": {"fake-two": "no_such_module not installed"}}
    listener = measure(run, cluster, "fake", "fake-two")
    assert all(record.ok for record in run.store.read())
    assert f"{label_of('one')}: no fake-two there: no_such_module not installed" in listener.notes
    of_two = {r.environment["node"]["label"] for r in run.store.read() if "two" in r.case.framework}
    assert of_two == {label_of("two")}


def test_each_node_has_another_framework_alone(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.facts["one"] = {"unusable": {"fake-two": "absent"}}
    cluster.facts["two"] = {"unusable": {"fake": "absent"}}
    measure(run, cluster, "fake", "fake-two", seeds=1)
    assert all(record.ok for record in run.store.read())
    assert len(run.store.read()) == 4


def test_another_version_is_left_out(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two", "three")
    cluster.facts["three"] = {"versions": {"fake": {"numpy": "1.0"}}}
    listener = measure(run, cluster, "fake")
    (line,) = [line for line in listener.notes if "numpy 1.0" in line]
    assert line.startswith(f"{label_of('three')}: no fake there: numpy 1.0 there, numpy ")
    assert "three" not in {node for node, _, _ in cluster.groups}
    assert all(record.ok for record in run.store.read())


def test_other_code_takes_no_part(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.facts["one"] = {"code": "other"}
    listener = measure(run, cluster, "fake", seeds=1)
    (line,) = [line for line in listener.notes if "takes no part" in line]
    assert "its alexbench is another one" in line
    assert {node for node, _, _ in cluster.groups} == {"two"}


def test_nobody_can_measure(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one")
    cluster.facts["one"] = {"unusable": {"fake": "numpy not installed"}}
    with pytest.raises(UserError, match=r"no node can measure .*: node-.*numpy not installed"):
        measure(run, cluster, "fake", seeds=1)
    assert not run.store.path.exists()


def test_what_is_compared_is_on_one_kind_of_node(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two", "three")
    cluster.facts["three"] = {"kind": "larger"}
    measure(run, cluster, "fake", "fake-two")
    kinds = {record.environment["node"]["kind"] for record in run.store.read()}
    assert len(kinds) == 1


def test_a_dead_kind_is_replaced_by_another(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.facts["two"] = {"kind": "zz"}
    cluster.facts["one"] = {"kind": "aa"}
    cluster.planted["one"] = [Answer(refused="its disk is full")] * 2
    measure(run, cluster, "fake")
    assert set(counted(run).values()) == {1}
    assert all(record.ok for record in run.store.read())
    assert {record.environment["node"]["kind"] for record in run.store.read()} == {"zz"}


def test_a_node_that_comes_later_takes_part(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one")
    cluster.planted["one"] = [Lost("planted")]
    cluster.nodes = {"one": Place(cpus=1)}
    listener = Listener()
    executor = RemoteExecutor(run, cluster)
    todo = jobs(Selection(frameworks=("fake",), tracks=("closed",), kinds=("accuracy",), seeds=4),
                run.profile)  # fmt: skip
    executor.prepare(todo, listener, parity=False)  # type: ignore[arg-type]
    for job in todo:
        executor.submit([job])
    cluster.nodes["late"] = Place(cpus=1)
    for _ in executor.records(listener):  # type: ignore[arg-type]
        pass
    assert any(line.startswith(label_of("late")) for line in listener.notes)
    assert {"one", "late"} == {node for node, _, _ in cluster.groups}


def test_certificates_are_made_once_for_a_kind_of_node(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    listener = measure(run, cluster, "fake-certified", parity=True)
    assert cluster.asked["certify"] == 1
    assert [certificate["status"] for certificate in listener.certificates] == ["pass"]
    assert {record.parity["status"] for record in run.store.read()} == {"pass"}
    # Another run finds it in this machine's cache and asks no node.
    again, other = start("again"), FakeCluster("three")
    assert len(measure(again, other, "fake-certified", parity=True).certificates) == 1
    assert other.asked["certify"] == 0
    assert {record.parity["status"] for record in again.store.read()} == {"pass"}


def test_certificates_of_several_accelerators_have_as_many(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    several = dataclasses.replace(FRAMEWORKS["fake-certified"], several=("cpu",))
    monkeypatch.setitem(FRAMEWORKS, "fake-certified", several)
    # Of the CPU of this machine, as if it were one.
    monkeypatch.setattr(nodes, "accelerated", lambda device: True)
    run, cluster = start(), FakeCluster("one")
    cluster.nodes["one"] = Place(cpus=4, gpus=2)
    kinds = ("train_throughput",)
    wanted = Selection(frameworks=("fake-certified",), kinds=kinds, tracks=("closed",))
    found = jobs(dataclasses.replace(wanted, devices=(2,)), run.profile)
    asked = nodes.Nodes(cluster, Setting("run"), None, 10)
    asked.look(found, Listener())  # type: ignore[arg-type]
    asked.certify([job.case for job in found], Listener())  # type: ignore[arg-type]
    assert [needs.gpus for needs in cluster.certificates] == [2]


def test_a_stopped_run_cancels_what_runs_and_goes_on(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cluster = start(), FakeCluster("one")
    calls = iter(range(100))

    def check() -> None:
        if next(calls) == 3:
            raise signals.Stopped(2)

    monkeypatch.setattr("bench.executors.remote.signals.check", check)
    with pytest.raises(signals.Stopped):
        measure(run, cluster, "fake")
    assert cluster.closed
    assert cluster.cancelled >= 1
    before = run.store.count()
    assert 0 < before < 4
    monkeypatch.setattr("bench.executors.remote.signals.check", lambda: None)
    run.release()
    again = start(resume=True)
    measure(again, FakeCluster("one"), "fake")
    assert set(counted(again).values()) == {1}
    assert len(counted(again)) == 4


def test_what_has_ended_when_a_run_is_stopped_is_written(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node has removed what it would go on from."""
    run, cluster = start(), FakeCluster("one")
    cluster.quick = True

    def stops(self: RemoteExecutor, listener: Any) -> None:
        raise signals.Stopped(2)

    monkeypatch.setattr(RemoteExecutor, "_show", stops)  # after the first groups were handed over
    executor = RemoteExecutor(run, cluster)
    chosen = Selection(frameworks=("fake",), tracks=("closed",), kinds=("accuracy",), seeds=3)
    with pytest.raises(signals.Stopped):
        run_all(run, jobs(chosen, run.profile), Listener(), parity=False, executor=executor)  # type: ignore[arg-type]
    (group,) = [cases for _, cases, _ in cluster.groups]
    assert [record.case.id for record in run.store.read()] == list(group)
    assert cluster.cancelled == 1


def test_nothing_left_asks_no_node(start: Callable[..., Run]) -> None:
    run = start()
    measure(run, FakeCluster("one"), "fake")
    run.release()
    again, cluster = start(resume=True), FakeCluster("one")
    measure(again, cluster, "fake")
    assert not cluster.asked


def test_an_accelerator_is_asked_for_and_no_node_has_one(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one")
    cluster.nodes["one"] = Place(cpus=1, gpus=0)
    wanted = dataclasses.replace(
        Selection(frameworks=("fake",), tracks=("idiomatic",), kinds=("accuracy",)), device="cuda"
    )
    listener = Listener()
    with pytest.raises(UserError, match="no accelerator there for --device cuda"):
        run_all(run, jobs(wanted, run.profile), listener, executor=RemoteExecutor(run, cluster))  # type: ignore[arg-type]
    assert not run.store.path.exists()


@pytest.mark.parametrize(
    ("device", "place", "why"),
    [
        ("cpu", Place(cpus=1), "1 CPU there, --devices 2"),
        ("cuda", Place(cpus=4, gpus=1), "1 accelerator there, --devices 2"),
    ],
)
def test_a_node_with_fewer_devices_than_train_together_takes_no_part(
    start: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    place: Place,
    why: str,
) -> None:
    """Its tasks would wait for ever."""
    several = dataclasses.replace(FRAMEWORKS["fake"], several=("cpu", "cuda"))
    monkeypatch.setitem(FRAMEWORKS, "fake", several)
    run, cluster = start(), FakeCluster("one")
    cluster.nodes["one"] = place
    wanted = Selection(
        frameworks=("fake",), tracks=("idiomatic",), kinds=("train_throughput",), devices=(1, 2)
    )
    found = jobs(dataclasses.replace(wanted, device=device), run.profile)
    with pytest.raises(UserError, match=why):
        run_all(run, found, Listener(), executor=RemoteExecutor(run, cluster))  # type: ignore[arg-type]
    assert not run.store.path.exists()


def test_an_engine_that_takes_no_more_for_now_loses_nothing(start: Callable[..., Run]) -> None:
    """A limit of jobs per user: what runs is not cancelled, and the rest comes later."""

    class Full(FakeCluster):
        refused = 0
        waits = 5

        def submit(self, function: Any, request: Any, needs: Needs, nodes: Any) -> int:
            if function is on_node.measure_group and len(self._requests) == 1:
                self.refused += 1
                raise UserError("sbatch does not take the job: limit")
            return super().submit(function, request, needs, nodes)

        def done(self, tickets: Any, seconds: float) -> list[tuple[Any, Any]]:
            self.waits -= self.refused > 0
            return [] if self.refused and self.waits > 0 else super().done(tickets, seconds)

    run, cluster = start(), Full("one")
    listener = measure(run, cluster, "fake", seeds=3, kinds=("accuracy",))
    assert [record.ok for record in run.store.read()] == [True] * 3
    assert cluster.cancelled == 0
    assert cluster.refused == 2  # once for each group that runs, however long it runs
    said = "sbatch does not take the job: limit; tried again when a group has ended"
    assert listener.notes.count(said) == 1


def test_a_run_goes_on_where_its_cases_were_measured(start: Callable[..., Run]) -> None:
    run, cluster = start(), FakeCluster("one", "two")
    cluster.facts["one"], cluster.facts["two"] = {"kind": "aa"}, {"kind": "zz"}
    cluster.nodes = {"two": Place(cpus=1)}
    measure(run, cluster, "fake", seeds=1, kinds=("accuracy",))
    run.release()
    again = start(resume=True)
    cluster.nodes = {"one": Place(cpus=1), "two": Place(cpus=1)}
    measure(again, cluster, "fake", seeds=3, kinds=("accuracy",))
    kinds = [record.environment["node"]["kind"] for record in again.store.read()]
    assert kinds == ["zz"] * 3


def test_a_run_keeps_variables_with_their_values_and_has_a_name_of_its_own(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    monkeypatch.setenv(KEPT, "OMP_PROC_BIND")
    run = start()
    settings = RunSettings.now(Begun("alexbench run", {}), run.profile, {})
    settings.write(run.folder)
    first = RemoteExecutor(run, FakeCluster("one"))._setting
    assert first.kept == {"OMP_PROC_BIND": "close"}
    dataclasses.replace(settings, started_at="2020-01-01T00:00:00+00:00").write(run.folder)
    assert RemoteExecutor(run, FakeCluster("one"))._setting.run != first.run


def test_devices_are_those_of_the_whole_run(start: Callable[..., Run]) -> None:
    run = start()
    begun = Begun("alexbench run", {"devices": [1, 2]})
    RunSettings.now(begun, run.profile, {}).write(run.folder)
    cluster = FakeCluster("one")
    cluster.facts["one"] = {"cpus": 4}
    limits: list[int] = []
    submit = cluster.submit

    def kept(function: Any, request: Any, needs: Needs, nodes: Any) -> int:
        if function is on_node.measure_group:
            limits.append(request.profile.limits.device_cpus)
            cluster.planted["one"] = [Answer(refused="enough is known")]
        return submit(function, request, needs, nodes)

    cluster.submit = kept  # type: ignore[method-assign]
    measure(run, cluster, "fake", seeds=1, kinds=("accuracy",))
    assert limits == [2]
