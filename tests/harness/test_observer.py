"""The machine before a run: how busy it is, with whom, and what a record says of it."""

import os
import subprocess
import sys
from pathlib import Path
from time import sleep
from typing import Any

import psutil
import pytest

from bench.core.system.machine import BlockState
from bench.core.system.resources import usable_cpus
from bench.harness import observer
from bench.harness.observer import Observer, look
from bench.worker.process import WorkerProcess, orphan_seconds
from tests.support import planted_machine

PAGE = os.sysconf("SC_PAGE_SIZE")


def quiet(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    """Have the machine be idle, but for ``changes``."""
    state: dict[str, Any] = {"others": 0.01, "steal": 0.0, "throttled": 0.0, "load": 0.1}
    monkeypatch.setattr(Observer, "state", lambda self: state | {"swapped_bytes": 0} | changes)


def test_a_quiet_machine_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch)
    state, warning = look(0.0)
    assert warning is None
    assert state["others"] == 0.01


def test_a_busy_process_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Those that the test starts are its children, which are not named.
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [])
    cpus = usable_cpus()
    with planted_machine.spinning(cpus, processes=len(cpus)) as pids:
        state, warning = look(0.3)
        name = psutil.Process(pids[0]).name()
    assert warning is not None
    assert "\n" not in warning
    assert warning.startswith("the machine is busy: other processes use ")
    assert f"{name} " in warning
    assert " of a CPU" in warning
    assert state["others"] > 0.1


def test_our_own_children_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    me = psutil.Process()
    with planted_machine.spinning(usable_cpus()[:1]) as pids:
        found = observer._cpu_seconds()
    assert me not in found
    assert not {process.pid for process in found} & set(pids)


def test_a_hypervisor_that_takes_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch, steal=0.08)
    _, warning = look(0.0)
    assert warning is not None
    assert "a hypervisor takes 8 % of them away" in warning


def test_swapping_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "proc/vmstat": "pswpin 10\npswpout 5\nother 3\n"}
    planted_machine.root(monkeypatch, tmp_path, files)
    made = Observer()
    planted_machine.plant(tmp_path, {"proc/vmstat": "pswpin 12\npswpout 10\n"})
    assert made.state()["swapped_bytes"] == 7 * PAGE
    (tmp_path / "proc/vmstat").unlink()
    assert made.state()["swapped_bytes"] is None


def test_what_was_killed_with_our_workers_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks of a data-parallel training: nobody waits for them, and a count of ended children has
    them not."""
    cpus = usable_cpus()
    made = Observer()
    process = WorkerProcess.__new__(WorkerProcess)
    process._has_ranks = True
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    process._process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    sleep(1.5)
    before = orphan_seconds()
    process.stop()
    used = orphan_seconds() - before
    assert used > 0.3
    seconds = made._monitor.end().seconds
    monkeypatch.setattr(
        made._monitor, "end", lambda: planted(seconds, others=used / (seconds * len(cpus)))
    )
    assert made.state()["others"] == pytest.approx(0, abs=0.02)


def planted(seconds: float, others: float) -> BlockState:
    return BlockState(seconds, 0.0, 1, others, None, None, None)
