"""CPUs and memory by affinity and control group, read from planted files."""

import os
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.core.system import resources
from bench.core.system.environment import capture, governor
from bench.core.system.resources import (
    cpu_quota,
    memory_limit,
    throttle_files,
    throttled_seconds,
    usable_cpus,
    usable_memory,
    use_threads,
)
from tests.support import planted_machine

GIB = 1 << 30
CONTAINER = "0::/\n"
HOST_V2 = "0::/user.slice/job\n"
HOST_V1 = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n"


def files(cgroup: str, **written: str) -> dict[str, str]:
    """Planted files; ``__`` stands for ``/`` and ``_DOT_`` for a dot in a name."""
    return {"proc/self/cgroup": cgroup} | {
        "sys/fs/cgroup/" + name.replace("__", "/").replace("_DOT_", "."): text
        for name, text in written.items()
    }


V2 = files(CONTAINER, cpu_DOT_max="150000 100000\n", memory_DOT_max=f"{3 * GIB}\n")
V2_NONE = files(CONTAINER, cpu_DOT_max="max 100000\n", memory_DOT_max="max\n")
V2_NESTED = files(
    HOST_V2,
    **{
        "user.slice__job__cpu_DOT_max": "max 100000\n",
        "user.slice__cpu_DOT_max": "50000 100000\n",
        "user.slice__job__memory_DOT_max": f"{2 * GIB}\n",
        "user.slice__memory_DOT_max": f"{4 * GIB}\n",
    },
)
V1 = files(
    HOST_V1,
    cpu__cpu_DOT_cfs_quota_us="200000\n",
    cpu__cpu_DOT_cfs_period_us="100000\n",
    memory__memory_DOT_limit_in_bytes=f"{GIB}\n",
)
V1_NONE = files(
    HOST_V1,
    cpu__cpu_DOT_cfs_quota_us="-1\n",
    cpu__cpu_DOT_cfs_period_us="100000\n",
    memory__memory_DOT_limit_in_bytes="9223372036854771712\n",
)


@pytest.mark.parametrize(
    ("planted", "quota", "memory"),
    [
        (V2, 1.5, 3 * GIB),
        (V2_NONE, None, None),
        (V2_NESTED, 0.5, 2 * GIB),  # the limits of the groups above hold as well
        (V1, 2.0, GIB),  # the path on the host is not there, the container's own mount is
        (V1_NONE, None, None),
        ({}, None, None),
    ],
)
def test_quota_and_limit_are_those_of_the_control_group(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    planted: dict[str, str],
    quota: float | None,
    memory: int | None,
) -> None:
    planted_machine.root(monkeypatch, tmp_path, planted)
    assert cpu_quota() == quota
    assert memory_limit() == memory


@pytest.mark.parametrize(("quota", "expected"), [("max", 8), ("350000", 3), ("50000", 1)])
def test_threads_are_what_the_quota_pays_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    planted = files(CONTAINER, cpu_DOT_max=f"{quota} 100000\n")
    planted_machine.root(monkeypatch, tmp_path, planted)
    assert usable_cpus() == list(range(expected))


def test_memory_is_the_smaller_of_limit_and_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, expected in ((1 << 20, 1 << 20), (1 << 55, physical)):
        planted = files(CONTAINER, memory_DOT_max=f"{limit}\n")
        planted_machine.root(monkeypatch, tmp_path, planted)
        assert usable_memory() == expected


def test_throttling_is_counted_in_seconds_by_both_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two = files(CONTAINER, cpu_DOT_stat="usage_usec 9\nnr_throttled 4\nthrottled_usec 2500000\n")
    planted_machine.root(monkeypatch, tmp_path / "2", two)
    assert throttled_seconds(throttle_files()) == 2.5
    one = files(HOST_V1, cpu__cpu_DOT_stat="nr_periods 7\nthrottled_time 1500000000\n")
    planted_machine.root(monkeypatch, tmp_path / "1", one)
    assert throttled_seconds(throttle_files()) == 1.5
    planted_machine.root(monkeypatch, tmp_path / "0", {})
    assert throttled_seconds(throttle_files()) is None


def test_the_environment_of_a_record_names_quota_limit_and_governor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    path = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    planted_machine.root(monkeypatch, tmp_path / "limited", V2 | {path: "powersave\n"})
    found = capture({})
    assert (found["cores"], found["cpu_quota"]) == (8, 1.5)
    assert (found["memory_limit_bytes"], found["governor"]) == (3 * GIB, "powersave")
    planted_machine.root(monkeypatch, tmp_path / "free", V2_NONE)
    found = capture({})
    assert (found["cpu_quota"], found["memory_limit_bytes"], governor()) == (8, 0, None)


def test_threads_bind_the_process_and_too_many_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bound: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 5})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: bound.append(list(cpus)))
    planted_machine.root(monkeypatch, tmp_path / "free", {})
    use_threads(2)
    assert bound == [[2, 3]]
    with pytest.raises(UserError, match="4 threads: this process may use 3 CPUs"):
        use_threads(4)
    planted_machine.root(monkeypatch, tmp_path / "quota", V2)
    with pytest.raises(UserError, match="its CPU quota"):
        use_threads(2)


def test_the_real_machine_can_be_read() -> None:
    assert Path("/") == resources.ROOT
    assert set(usable_cpus()) <= os.sched_getaffinity(0)
    assert usable_memory() > 1 << 28
