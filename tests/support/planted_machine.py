"""Files of ``/proc`` and ``/sys`` in a folder of a test, and processes that keep CPUs busy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.core.system import resources

TICKS = os.sysconf("SC_CLK_TCK")


def plant(root: Path, files: dict[str, str]) -> None:
    """Write files below ``root``, by path."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


def root(monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, str]) -> Path:
    """Plant files, and have them read in the place of the system's."""
    plant(folder, files)
    monkeypatch.setattr(resources, "ROOT", folder)
    return folder


def proc_stat(*busy_and_steal: tuple[float, float]) -> str:
    """``/proc/stat`` of CPUs that were busy and robbed for so many seconds."""
    rows = ["cpu  1 2 3 4 5 6 7 8 0 0"]
    for cpu, (busy, steal) in enumerate(busy_and_steal):
        user, stolen = round(busy * TICKS), round(steal * TICKS)
        rows.append(f"cpu{cpu} {user} 0 0 999 50 0 0 {stolen} 0 0")
    return "\n".join([*rows, "intr 12345 0 0", ""])


_SPIN = """
import os, sys, time
os.sched_setaffinity(0, {int(part) for part in sys.argv[2].split(",")})
ends = time.monotonic() + float(sys.argv[1])
print("spinning", flush=True)
while time.monotonic() < ends and os.getppid() == int(sys.argv[3]):
    for _ in range(10_000):
        pass
"""


@contextmanager
def spinning(cpus: Sequence[int], processes: int = 1, seconds: float = 30) -> Iterator[list[int]]:
    """Processes that use all they get of some CPUs: for the block, and for ``seconds`` at most."""
    command = [sys.executable, "-S", "-c", _SPIN, str(seconds), ",".join(map(str, cpus))]
    started = [
        subprocess.Popen([*command, str(os.getpid())], stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # it spins from here on
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
