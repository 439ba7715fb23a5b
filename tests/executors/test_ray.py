"""A Ray cluster of several nodes on this machine: nodes die, lack something, or never answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.records import Record, RecordStore
from bench.executors.requests import label_of
from tests.support import fakes
from tests.support.plugins import fake_versions

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Not importorskip: tests/test_isolation.py imports this module without pytest.
    pytest.mark.skipif(
        not find_spec("ray"), reason="ray is not installed: pip install 'alexbench[ray]'"
    ),
]

_STORE_BYTES = 80 << 20
"""Object store of a node; Ray takes no less than 75 MiB."""
_QUICK_DEATH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
}
_NO_ROOM = {
    "automatic_object_spilling_enabled": False,
    "local_fs_capacity_threshold": 0.0,
    "object_store_full_delay_ms": 50,
}
"""Ray's settings of a full object store whose disk is full as well."""
_MARK = "ALEXBENCH_TEST_CLUSTER"
_FAULTY = "tests.support.plugins.fake_versioned_framework,tests.support.node_faults"


@dataclass
class Place:
    """A cluster, and the folders of its nodes and of the command."""

    root: Path
    cluster: Any
    data: Path
    environment: dict[str, str]
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, name: str, *, version: str | None = None, **variables: str) -> Any:
        """A worker node with one CPU and a cache of its own."""
        paths = [str(Path(fakes.__file__).parents[2])]
        if version:
            paths.insert(0, str(fake_versions.install(self.root / f"site-{version}", version)))
        env = {
            **fakes.environment(self.root / f"cache-{name}"),
            "PYTHONPATH": os.pathsep.join(paths),
            "ALEXBENCH_EXTENSIONS": "tests.support.plugins.fake_versioned_framework",
            _MARK: self.environment[_MARK],
            **variables,
        }
        node = self.cluster.add_node(
            num_cpus=1, object_store_memory=_STORE_BYTES, memory=8 << 30, env_vars=env
        )
        self.nodes[name] = node
        return node

    def remove(self, name: str, *, kill: bool = False) -> None:
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=not kill)

    def label(self, name: str) -> str:
        return label_of(self.nodes[name].node_id)

    def start(self, *arguments: str, name: str = "run") -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "bench", "run", "--executor", "ray", "--address", self.address,
            "--profile", "tiny", "--data", str(self.data), "--results", str(self.root / "results"),
            "--run", name, "--tracks", "closed", "--no-parity", *arguments,
        ]  # fmt: skip
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.root,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def run(self, *arguments: str, name: str = "run") -> tuple[int, str]:
        """Exit code and stderr."""
        process = self.start(*arguments, name=name)
        try:
            _, err = process.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            process.kill()
            _, err = process.communicate()
            raise AssertionError(f"hangs: {err}") from None
        return process.returncode, err

    def interrupted(self, *options: str, name: str) -> str:
        """What a run prints that is interrupted after its first record."""
        process = self.start(*options, name=name)
        self.await_records(1, name, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        return err

    def resume(self, name: str, address: str) -> subprocess.CompletedProcess[str]:
        """Go on with a run on the cluster at an address."""
        return subprocess.run(
            [
                sys.executable, "-m", "bench", "run", "--results", str(self.root / "results"),
                "--resume", name, "--address", address,
            ],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )  # fmt: skip

    def records(self, name: str = "run") -> list[Record]:
        store = RecordStore(self.root / "results" / name)
        return store.read() if store.path.exists() else []

    def await_records(self, number: int, name: str, process: subprocess.Popen[str]) -> None:
        ends = time.monotonic() + 120
        while len(self.records(name)) < number and time.monotonic() < ends:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.1)


def _cluster(mark: str, **settings: Any) -> Any:
    """A head that measures nothing, with settings of Ray's own."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    return Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
            "_system_config": settings,
            "env_vars": {_MARK: mark},
        },
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("cluster")
    mark = f"{os.getpid()}-{time.time_ns()}"
    environment = {
        **os.environ,
        **fakes.environment(root / "cache-command"),
        "ALEXBENCH_EXTENSIONS": f"tests.support.plugins.fake_versioned_framework,{fakes.UNDRAWN}",
        "RAY_USAGE_STATS_ENABLED": "0",
        _MARK: mark,
    }
    environment.pop("ALEXBENCH_DATA", None)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = _cluster(mark, **_QUICK_DEATH)
    data = fakes.write_batches(root / "small", fakes.images())
    found = Place(root, cluster, data, environment)
    try:
        found.add("one")
        found.add("two")
        yield found
    finally:
        cluster.shutdown()
        _kill_left(mark)


def _kill_left(mark: str) -> None:
    """By id: whatever of this cluster is still there."""
    for pid in _processes(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _processes(mark: str, part: str = "") -> list[int]:
    found = []
    wanted = f"{_MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and wanted in (entry / "environ").read_bytes()
            if ours and part.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def once(records: list[Record]) -> bool:
    return set(Counter(record.key for record in records).values()) == {1}


def lines(err: str, text: str) -> list[str]:
    return [line for line in err.splitlines() if text in line]


def test_groups_are_measured_on_nodes_and_the_data_comes_once_to_each(place: Place) -> None:
    options = ("--frameworks", "fake,fake-two", "--kinds", "train_throughput,accuracy")
    code, err = place.run(*options, "--seeds", "3", name="whole")
    assert code == 0, err
    records = place.records("whole")
    assert len(records) == 2 + 2 * 3
    assert once(records)
    assert all(record.ok for record in records)
    labels = {record.environment["node"]["label"] for record in records}
    assert labels <= {place.label("one"), place.label("two")}
    assert len(lines(err, "has received the data")) == len(labels)
    for name in ("one", "two"):
        copies = list((place.root / f"cache-{name}" / "prepared").glob("*/meta.json"))
        assert len(copies) <= 1
    timed = [record for record in records if record.kind == "train_throughput"]
    assert len({record.metrics["interleaving"]["group"] for record in timed}) == 1
    assert len({record.environment["node"]["label"] for record in timed}) == 1
    assert {len(record.settings["cpu_affinity"]) for record in records} == {1}


def test_certificates_come_first_and_once_for_the_kind(place: Place) -> None:
    arguments = ("--frameworks", "fake-certified", "--kinds", "accuracy", "--seeds", "2")
    process = place.start(*arguments, name="certified")
    process.kill()
    process.communicate()
    command = [arg for arg in process.args if arg != "--no-parity"]  # type: ignore[union-attr]
    command[command.index("certified")] = "certified-whole"
    done = subprocess.run(
        command, env=place.environment, cwd=place.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(lines(done.stderr, "parity of tiny in fake-certified")) == 1
    records = place.records("certified-whole")
    assert [record.parity["status"] for record in records] == ["pass", "pass"]


def test_a_node_is_killed_in_the_middle(place: Place) -> None:
    place.add("victim")
    options = ("--frameworks", "fake-sleep", "--kinds", "accuracy", "--seeds", "6")
    process = place.start(*options, name="killed")
    place.await_records(1, "killed", process)
    label = place.label("victim")
    place.remove("victim", kill=True)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    records = place.records("killed")
    assert len(records) == 6
    assert once(records)
    assert all(record.ok for record in records)
    assert len(lines(err, f"{label} has disappeared")) == 1
    assert len(lines(err, "attempt 2 of 3")) <= 2


def test_a_node_without_the_framework_and_one_with_another_version(place: Place) -> None:
    place.add("new", version="2.6")
    place.add("newer", version="2.6")
    place.add("old", version="2.1")
    labels = {name: place.label(name) for name in place.nodes}
    try:
        options = ("--frameworks", "fake,fake-versioned", "--kinds", "accuracy", "--seeds", "2")
        code, err = place.run(*options, name="skewed")
    finally:
        for name in ("new", "newer", "old"):
            place.remove(name)
    assert code == 0, err
    records = place.records("skewed")
    assert len(records) == 4
    assert once(records)
    assert all(record.ok for record in records)
    skew = "no fake-versioned there: fake_package 2.1 there, fake_package 2.6 on the other nodes"
    assert lines(err, skew) == [f"{labels['old']}: {skew}"]
    (absent,) = lines(err, f"{labels['one']}: no fake-versioned there")
    assert "fake_package not installed" in absent
    measured = {
        r.environment["node"]["label"] for r in records if r.case.framework == "fake-versioned"
    }
    assert measured <= {labels["new"], labels["newer"]}
    assert {r.environment["versions"].get("fake_package") for r in records} <= {None, "2.6"}


def test_a_node_that_has_no_room_for_the_data(place: Place) -> None:
    place.add("full", ALEXBENCH_FAULT="no room", ALEXBENCH_EXTENSIONS=_FAULTY)
    label = place.label("full")
    try:
        options = ("--frameworks", "fake-slow", "--kinds", "accuracy", "--seeds", "6")
        code, err = place.run(*options, name="no-room")
    finally:
        place.remove("full")
    assert code == 0, err
    records = place.records("no-room")
    assert len(records) == 6
    assert once(records)
    assert all(record.ok for record in records)
    found = lines(err, f"{label} takes no further group")
    assert len(found) == 1
    assert "No space left on device" in found[0]


def test_a_node_with_other_code_takes_no_part(place: Place) -> None:
    place.add("other", ALEXBENCH_FAULT="other code", ALEXBENCH_EXTENSIONS=_FAULTY)
    label = place.label("other")
    try:
        options = ("--frameworks", "fake", "--kinds", "accuracy", "--seeds", "2")
        code, err = place.run(*options, name="other-code")
    finally:
        place.remove("other")
    assert code == 0, err
    assert len(lines(err, f"{label} takes no part: its alexbench is another one")) == 1
    assert label not in {r.environment["node"]["label"] for r in place.records("other-code")}


def test_an_interrupt_ends_what_runs_and_the_run_goes_on(place: Place) -> None:
    options = ("--frameworks", "fake-sleep", "--kinds", "accuracy", "--seeds", "4")
    err = place.interrupted(*options, name="stopped")
    there = len(place.records("stopped"))
    assert 1 <= there < 4
    assert err.splitlines()[-1].startswith(
        f"alexbench: stopped by SIGINT; {there} of 4 measurements are there"
    ), err
    ends = time.monotonic() + 20
    mark = place.environment[_MARK]
    while _processes(mark, "bench.worker") and time.monotonic() < ends:
        time.sleep(0.2)
    assert not _processes(mark, "bench.worker")
    done = place.resume("stopped", place.address)
    assert done.returncode == 0, done.stderr
    records = place.records("stopped")
    assert len(records) == 4
    assert once(records)


def test_no_node_has_the_accelerator(place: Place) -> None:
    code, err = place.run(
        "--frameworks", "fake", "--kinds", "accuracy", "--device", "cuda", name="no-gpu"
    )
    assert code == 2
    last = err.splitlines()[-1]
    assert last.startswith("alexbench: no node can measure anything: ")
    assert "no accelerator there for --device cuda" in last
    assert place.records("no-gpu") == []


def test_nothing_answers_at_the_address(place: Place) -> None:
    place_args = ("--frameworks", "fake", "--kinds", "accuracy", "--address", "127.0.0.1:1")
    began = time.monotonic()
    code, err = place.run(*place_args, name="nowhere")
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("alexbench: --address 127.0.0.1:1: nothing answers there")
    assert time.monotonic() - began < 60
    assert not (place.root / "results" / "nowhere").exists()


def fill(address: str) -> list[Any]:
    """Objects that take all of an object store, as long as this process is connected."""
    import ray  # noqa: PLC0415

    ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    held, size = [], 32 << 20
    while size >= 16 << 10:
        try:
            held.append(ray.put(np.zeros(size, np.uint8)))
        except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
            size //= 2
    return held


def test_a_full_object_store_is_one_line_and_loses_nothing(place: Place) -> None:
    import ray  # noqa: PLC0415

    options = ("--frameworks", "fake-sleep", "--kinds", "accuracy", "--seeds", "3")
    place.interrupted(*options, name="large")
    there = place.records("large")
    assert 1 <= len(there) < 3
    full = _cluster(place.environment[_MARK], **_NO_ROOM)
    try:
        Place(place.root, full, place.data, place.environment).add("cramped")
        held = fill(str(full.address))
        done = place.resume("large", str(full.address))
        assert held
    finally:
        ray.shutdown()
        full.shutdown()
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("alexbench: Ray's object store has no room for ")
    assert "(160 MiB in the whole cluster); start its nodes with a larger --object-store" in last
    assert "Traceback" not in done.stderr
    assert place.records("large") == there
    done = place.resume("large", place.address)
    assert done.returncode == 0, done.stderr
    records = place.records("large")
    assert len(records) == 3
    assert once(records)
