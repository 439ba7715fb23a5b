"""CPUs that are a group's own, parcels that come once, and the placement of cases on kinds."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.system import resources
from bench.data.sources import prepared, prepared_name
from bench.executors import node as on_node
from bench.executors import parcels
from bench.executors.cores import own_cores
from bench.executors.parcels import Parcel, data_folder, weights_file
from bench.executors.placement import Node, Placement, with_common_versions
from bench.executors.ray_cluster import check_ray
from bench.executors.requests import NodeFacts, NodeRequest, Setting
from tests.support import fakes


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parcels._cache.cache_clear()
    parcels._WHOLE.clear()


def test_a_group_has_its_cores_alone_and_gives_them_back() -> None:
    before = os.sched_getaffinity(0)
    every = len(before)
    with own_cores(1) as cpus:
        assert os.sched_getaffinity(0) == set(cpus)
        assert len(cpus) == 1
    assert os.sched_getaffinity(0) == before
    with own_cores(every) as cpus:
        taken = set(cpus)
        assert taken == before
    assert os.sched_getaffinity(0) == before


def test_cores_of_another_group_are_not_taken() -> None:
    every = sorted(os.sched_getaffinity(0))
    with (
        own_cores(len(every)),
        pytest.raises(UserError, match="1 CPUs did not become free"),
        own_cores(1, wait_seconds=0.1),
    ):
        raise AssertionError("two groups on one CPU")
    with own_cores(1):
        pass


def test_more_cores_than_there_are() -> None:
    with (
        pytest.raises(UserError, match="999 CPUs were asked for, and"),
        own_cores(999),
    ):
        raise AssertionError


def test_the_data_comes_once() -> None:
    data, fetched = fakes.images(), []
    parcel = Parcel(prepared_name(data), None, lambda: fetched.append(1) or data)
    folder, received = data_folder(parcel)
    assert received
    assert (folder / "meta.json").is_file()
    assert data_folder(parcel) == (folder, False)
    parcels._WHOLE.clear()  # as in another process of the node
    assert data_folder(parcel) == (folder, False)
    assert fetched == [1]


def test_a_file_system_without_locks_has_the_data_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(parcels.fcntl, "flock", none)
    with parcels._locked(Path("data")):
        pass


def test_data_that_is_shared_is_not_sent(tmp_path: Path) -> None:
    data = fakes.images()
    folder = prepared(data, tmp_path / "shared")
    assert data_folder(Parcel(prepared_name(data), folder)) == (folder, False)


def test_data_that_is_not_there_says_what_to_share(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the data abc is not on this node: .*ALEXBENCH_CACHE"):
        data_folder(Parcel("abc", tmp_path / "abc"))


def test_a_store_that_fails_is_one_line() -> None:
    def fetch() -> None:
        raise RuntimeError("planted\nin two lines")

    with pytest.raises(UserError, match="abc did not come through: planted in two lines"):
        data_folder(Parcel("abc", None, fetch))


def test_weights_come_once_and_again_when_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched = []
    name = f"{hashlib.sha256(b'content').hexdigest()[:32]}.safetensors"
    parcel = Parcel(name, None, lambda: fetched.append(1) or b"content")
    assert weights_file(parcel).read_bytes() == b"content"
    assert weights_file(parcel).read_bytes() == b"content"
    assert fetched == [1]
    weights_file(parcel).write_bytes(b"damaged")
    assert weights_file(parcel).read_bytes() == b"content"
    assert fetched == [1, 1]
    assert capsys.readouterr().err.count("not what was cached there") == 1
    with pytest.raises(UserError, match="cannot be read on this node"):
        weights_file(Parcel("digest", tmp_path / "absent"))


def node(name: str, kind: str = "k", *, without: tuple[str, ...] = (), **versions: str) -> Node:
    found = {n: {n: versions.get(n, "2")} for n in ("a", "b")}
    reasons = dict.fromkeys(without, "absent")
    facts = NodeFacts(kind, kind, 1, 1 << 30, "code", found, reasons, {})
    return Node(name, facts, unusable=dict(reasons))


def test_a_kind_that_has_all_frameworks_is_preferred() -> None:
    nodes = [node("1", "x", without=("b",)), node("2", "y"), node("3", "x", without=("b",))]
    placement = Placement()
    assert placement.kind_of(Case("cifar-bn", "a"), ("a", "b"), nodes) == "y"
    assert placement.kind_of(Case("cifar-bn", "b", seed=3), ("a", "b"), nodes) == "y"


def test_a_framework_that_the_kind_lacks_is_measured_on_another() -> None:
    nodes = [node("1", "x", without=("b",)), node("2", "y", without=("a",))]
    placement = Placement()
    kinds = [placement.kind_of(Case("cifar-bn", name), ("a", "b"), nodes) for name in ("a", "b")]
    assert sorted(filter(None, kinds)) == ["x", "y"]
    assert placement.kind_of(Case("cifar-bn", "c"), ("a", "b"), []) is None


def test_networks_are_spread_over_kinds_and_those_compared_are_together() -> None:
    nodes = [node("1", "x"), node("2", "y")]
    placement = Placement()

    def kind(variant: str) -> str | None:
        return placement.kind_of(Case(variant, "a"), ("a", "b"), nodes)

    assert {kind("cifar-bn"), kind("torchvision")} == {"x", "y"}
    assert kind("cifar-lrn") == kind("cifar-bn") == kind("cifar-plain")
    two = Case("torchvision", "a", devices=2)
    assert placement.kind_of(two, ("a", "b"), nodes) == kind("torchvision") == "y"


@pytest.mark.parametrize("job", ["", "7"])
def test_a_limit_of_memory_is_no_other_kind_and_in_slurm_no_limit_of_the_others(
    monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    """The job that describes a node asks for little; those that measure ask for what they need."""
    monkeypatch.setattr(on_node, "_enter", lambda setting: None)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    request = NodeRequest(Setting("run"), (), "cpu", 1)
    free = on_node.describe(request)
    monkeypatch.setattr(resources, "memory_limit", lambda: 1 << 30)
    if job:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    limited = on_node.describe(request)
    assert limited.kind == free.kind
    assert limited.memory == (resources.physical_memory() if job else 1 << 30)


def test_versions_of_most_nodes_count_and_ties_go_to_the_command() -> None:
    nodes = [node("1"), node("2"), node("3", a="1")]
    (line,) = with_common_versions(nodes, {})
    assert line.endswith("no a there: a 1 there, a 2 on the other nodes")
    assert [sorted(each.unusable) for each in nodes] == [[], [], ["a"]]
    pair = [node("1"), node("2", a="1")]
    with_common_versions(pair, {"a": {"a": "1"}})
    assert [sorted(each.unusable) for each in pair] == [["a"], []]


def test_what_a_run_left_on_a_node_goes_after_a_week(tmp_path: Path) -> None:
    week = 7 * 24 * 3600
    for name, age in (("left", week + 60), ("new", week - 60)):
        checkpoint = tmp_path / "cache" / "runs" / name / "checkpoints" / "step-1"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_bytes(b"weights")
        for path in (checkpoint, *checkpoint.parents[:3]):
            os.utime(path, (0, time.time() - age))
    on_node._sweep.cache_clear()
    on_node._sweep()
    assert [path.name for path in (tmp_path / "cache" / "runs").iterdir()] == ["new"]


@pytest.mark.skipif(
    not find_spec("ray"), reason="ray is not installed: pip install 'alexbench[ray]'"
)
def test_what_listens_and_is_no_ray_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UserError, match=rf"^--address {address}: no Ray cluster answers.*$"):
            check_ray(address, seconds=0.5)
    assert time.monotonic() - began < 10
    assert capfd.readouterr() == ("", "")


def test_the_reason_that_ray_gives_is_the_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n>&2 echo Traceback\n>&2 echo 'ConnectionError: None here.'\nexit 1\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(UserError, match=r"^--executor ray: None here; start the cluster with"):
        check_ray(None)


def test_a_kind_that_is_gone_leaves_its_comparisons_spread_over_the_others() -> None:
    def node(name: str, kind: str) -> Node:
        return Node(name, NodeFacts(kind, "", 1, 1, "", {"fake": {}}, {}, {}))

    placement = Placement()
    networks = [Case(name, "fake") for name in ("imagenet-lrn", "torchvision", "tiny", "cifar-bn")]
    for case in networks:
        placement.keep(case, "gone")
    there = [node("one", "aa"), node("two", "bb")]
    kinds = [placement.kind_of(case, ["fake"], there) for case in networks]
    assert sorted(map(str, kinds)) == ["aa", "aa", "bb", "bb"]
