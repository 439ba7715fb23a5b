"""The machine during a block: planted counters, and a real process on the same CPUs."""

import dataclasses
import os
import time
from pathlib import Path

import pytest

from bench.core.system.machine import (
    OTHERS,
    STEAL,
    THROTTLED,
    TOLERATED,
    BlockState,
    Monitor,
    is_disturbed,
    machine_metrics,
)
from bench.core.system.resources import usable_cpus
from tests.support import planted_machine
from tests.support.planted_machine import TICKS, proc_stat

QUIET = BlockState(1.0, 1.9, 2, others=0.01, steal=0.0, throttled=0.0, load=2.0)


def worked(seconds: float) -> float:
    """Keep one CPU busy; the CPU seconds it took."""
    began = time.process_time()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass
    return time.process_time() - began


class Planted:
    """A machine of two CPUs whose counters a test advances."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = planted_machine.root(monkeypatch, folder, {"proc/self/cgroup": "0::/\n"})
        self.monitor: Monitor
        self.clock, self.own = 100.0, 5.0
        monkeypatch.setattr("bench.core.system.machine.perf_counter", lambda: self.clock)
        monkeypatch.setattr("bench.core.system.machine.process_time", lambda: self.own)
        monkeypatch.setattr("bench.core.system.machine.os.times", lambda: (0.0,) * 5)
        self.write(busy=(50.0, 50.0), steal=(1.0, 1.0), throttled=0)

    def write(
        self, busy: tuple[float, float], steal: tuple[float, float], throttled: float, harness=0.0
    ) -> None:
        ticks = round(harness * TICKS)
        planted_machine.plant(
            self.folder,
            {
                "proc/stat": proc_stat(*zip(busy, steal, strict=True)),
                "proc/77/stat": f"77 (a (b) c) S 1 77 77 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0\n",
                "sys/fs/cgroup/cpu.stat": f"throttled_usec {round(1e6 * throttled)}\n",
            },
        )


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Planted:
    return Planted(monkeypatch, tmp_path)


def test_shares_are_of_the_cpus_that_are_measured_on(planted: Planted) -> None:
    monitor = Monitor([0, 1], harness=77)
    monitor.begin()
    planted.clock, planted.own = 102.0, 7.5  # two seconds on two CPUs, of which 2.5 s are ours
    planted.write(busy=(51.8, 51.7), steal=(1.1, 1.1), throttled=0.4, harness=0.2)
    state = monitor.end()
    assert state.seconds == 2.0
    assert state.cpu_seconds == 2.5
    assert state.threads == 2
    assert state.others == pytest.approx((3.5 - 2.5 - 0.2) / 4)  # the harness is no other
    assert state.steal == pytest.approx(0.2 / 4)
    assert state.throttled == pytest.approx(0.4 / 4)


def test_other_cpus_do_not_count(planted: Planted) -> None:
    monitor = Monitor([1])
    monitor.begin()
    planted.clock, planted.own = 101.0, 6.0
    planted.write(busy=(51.0, 51.0), steal=(1.5, 1.0), throttled=0.0)
    state = monitor.end()
    assert (state.others, state.steal) == (0.0, 0.0)
    assert not state.disturbed


@pytest.mark.parametrize("missing", ["proc/stat", "sys/fs/cgroup/cpu.stat"])
def test_what_is_not_shown_is_unknown_and_disturbs_nothing(planted: Planted, missing: str) -> None:
    (planted.folder / missing).unlink()
    monitor = Monitor([0, 1])
    monitor.begin()
    planted.clock = 101.0
    state = monitor.end()
    unknown = {"proc/stat": ("others", "steal")}.get(missing, ("throttled",))
    assert all(getattr(state, name) is None for name in unknown)
    assert not state.disturbed


@pytest.mark.parametrize(
    ("mount", "known"),
    [
        ("36 28 0:31 / /proc/stat rw,nosuid - fuse.lxcfs lxcfs rw,user_id=0", False),
        ("36 28 0:31 / /proc/uptime rw,nosuid - fuse.lxcfs lxcfs rw,user_id=0", True),
        ("22 28 0:21 / /proc rw,nosuid - proc proc rw", True),
    ],
)
def test_a_container_that_shows_itself_alone_says_nothing_of_others(
    planted: Planted, mount: str, known: bool
) -> None:
    planted_machine.plant(planted.folder, {"proc/self/mountinfo": f"{mount}\n"})
    monitor = Monitor([0, 1])
    monitor.begin()
    planted.clock = 101.0
    state = monitor.end()
    assert (state.others is not None, state.steal is not None) == (known, known)


def test_a_cpu_that_the_kernel_does_not_list_makes_the_shares_unknown(planted: Planted) -> None:
    monitor = Monitor([0, 9])
    monitor.begin()
    assert monitor.end().others is None


@pytest.mark.parametrize(
    ("name", "limit"), [("others", OTHERS), ("steal", STEAL), ("throttled", THROTTLED)]
)
def test_a_block_is_disturbed_from_the_stated_share_on(name: str, limit: float) -> None:
    tick = 0.0 if name == "throttled" else 1 / TICKS
    assert not dataclasses.replace(QUIET, **{name: limit}).disturbed
    assert dataclasses.replace(QUIET, **{name: limit + tick + 0.001}).disturbed
    assert not QUIET.disturbed


def test_a_short_block_is_disturbed_only_where_the_clock_can_tell() -> None:
    short = dataclasses.replace(QUIET, seconds=2 / TICKS, others=0.5)
    assert not short.disturbed  # one tick of two: it may have been ours
    assert dataclasses.replace(short, others=0.65).disturbed
    assert dataclasses.replace(short, seconds=0.5).disturbed


def test_a_state_travels_as_json_and_anything_else_is_refused() -> None:
    assert BlockState.from_json(QUIET.to_json()) == QUIET
    unknown = dataclasses.replace(QUIET, others=None, load=None)
    assert BlockState.from_json(unknown.to_json()) == unknown
    for changes in (
        {"others": -0.1},
        {"seconds": 0},
        {"seconds": None},
        {"cpu_seconds": "1"},
        {"threads": True},
        {"others": float("nan")},
        {"more": 1},
    ):
        with pytest.raises(ValueError, match="state of the machine"):
            BlockState.from_json(QUIET.to_json() | changes)
    with pytest.raises(ValueError, match="state of the machine"):
        BlockState.from_json([])


def test_metrics_have_a_list_per_quantity_and_the_share_of_disturbed_blocks() -> None:
    busy = dataclasses.replace(QUIET, others=0.4)
    found = machine_metrics([QUIET, busy, None, QUIET], repeated=3)
    assert found["machine"]["others"] == [0.01, 0.4, None, 0.01]
    assert found["machine"]["cpu_seconds"] == [1.9, 1.9, None, 1.9]
    assert (found["machine"]["threads"], found["machine"]["repeated"]) == (2, 3)
    assert found["disturbed"] == pytest.approx(1 / 3)
    assert is_disturbed(found)
    assert not is_disturbed(machine_metrics([QUIET] * 4 + [busy]))
    assert TOLERATED == 1 / 5
    assert machine_metrics([None]) == {}
    assert not is_disturbed({})


def test_a_reading_is_cheap() -> None:
    monitor = Monitor(usable_cpus(), harness=os.getppid())
    costs = []
    for _ in range(50):
        began = time.perf_counter()
        monitor.begin()
        costs.append(time.perf_counter() - began)
    assert min(costs) < 1e-3  # some 0.05 ms; a machine of many cores writes longer files


def test_a_process_on_the_same_cpus_makes_a_block_disturbed() -> None:
    cpus = usable_cpus()
    with planted_machine.spinning(cpus, processes=len(cpus)):
        monitor = Monitor(cpus)
        monitor.begin()
        used = worked(0.5)
        state = monitor.end()
    assert state.disturbed
    assert state.others is not None
    assert state.others > 0.25
    assert state.cpu_seconds == pytest.approx(used, abs=0.05)


def test_a_block_that_has_begun_goes_on_when_ranks_are_counted(planted: Planted) -> None:
    """A start-up is observed from its import on, and not from its last step."""
    monitor = Monitor([0, 1])
    planted.clock = 102.0
    monitor.include(())
    assert monitor.end().seconds == 2.0
