"""What the operating system says of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.system import process

_GROUP = Path("/proc/self/autogroup")
_NICE = """
import os
from bench.core.system.process import keep_niceness
os.nice(7)
keep_niceness()
print(open("/proc/self/autogroup").read())
"""


@pytest.mark.skipif(not _GROUP.exists(), reason="this kernel does not schedule by sessions")
def test_niceness_counts_in_a_session_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _NICE],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[1:] == ["nice", str(os.nice(0) + 7)]


def test_a_process_of_another_machine_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first namespace of processes has the same number on every machine."""
    process._namespace.cache_clear()
    here = process.identity()
    assert process.lives(here)
    name, started, place = here.split("-")
    gone = f"{name}-{int(started) + 1}-{place}"
    assert not process.lives(gone)
    node = type("Node", (), {"nodename": "another"})()
    monkeypatch.setattr(process.os, "uname", lambda: node)
    process._namespace.cache_clear()
    assert process.lives(gone)
    monkeypatch.undo()
    process._namespace.cache_clear()
