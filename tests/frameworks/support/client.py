"""Query a framework, in a process of its own.

Two frameworks in one process abort or hang, so the tests never import one.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from bench.training.frameworks import FRAMEWORKS, REFERENCE, Framework

ROOT = Path(__file__).resolve().parents[3]
PROBE_BYTES = 4 << 30
"""Resident memory of a probe above which the next question goes to a fresh one: compiled graphs
stay in a process, and a probe of all tests of a framework has had 8 GB."""


def _parameter(row: Framework) -> Any:
    why = row.missing()
    return pytest.param(row.name, marks=pytest.mark.skip(reason=why) if why else ())


# Session scope: pytest then runs all tests of one framework before those of the next.
each_framework = pytest.mark.parametrize(
    "framework", [_parameter(row) for row in FRAMEWORKS.values()], scope="session"
)
each_keras = pytest.mark.parametrize(
    "framework",
    [_parameter(row) for row in FRAMEWORKS.values() if "keras" in row.modules],
    scope="session",
)


each_repeatable = pytest.mark.parametrize(
    "framework", [_parameter(row) for row in FRAMEWORKS.values() if row.repeatable]
)


@dataclass(frozen=True)
class Answer:
    """What a probe found out."""

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def environment(row: Framework) -> dict[str, str]:
    """Of a process that may import this framework and find the probes."""
    return {
        **os.environ,
        **row.environment,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _compiled_once(folder: Path) -> dict[str, str]:
    """JAX compiles equal programs once: probes build the same network many times, and compiling it
    takes longer than its steps."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


class _Probe:
    def __init__(self, row: Framework, folder: Path) -> None:
        self._errors = (folder / f"{row.name}.stderr").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.frameworks.support.serve", row.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env={**environment(row), **_compiled_once(folder), "PROBES": str(folder)},
        )

    def ask(self, concern: str, out: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"concern": concern, "out": str(out)}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(self._errors.read().decode(errors="replace")[-2000:])
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["facts"]

    @property
    def spent(self) -> bool:
        """Whether a fresh process is better: it has ended, or holds much of what it was asked."""
        ended = self._process.poll() is not None
        return ended or psutil.Process(self._process.pid).memory_info().rss > PROBE_BYTES

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate()  # closes stdin, which ends it
        self._errors.close()


_folder = tempfile.TemporaryDirectory(prefix="alexbench-tests-")
_running: dict[str, _Probe] = {}


@atexit.register
def _close_all() -> None:
    while _running:
        _running.popitem()[1].close()
    _folder.cleanup()


def _probe(name: str) -> _Probe:
    """The running probe of a framework; at most the reference's and one other stay alive."""
    for other in [other for other in _running if other not in (name, REFERENCE)]:
        if name != REFERENCE:
            _running.pop(other).close()
    if name in _running and _running[name].spent:
        _running.pop(name).close()
    if name not in _running:
        _running[name] = _Probe(FRAMEWORKS[name], Path(_folder.name))
    return _running[name]


@cache
def _answer(name: str, concern: str) -> Answer | str:
    out = Path(_folder.name) / f"{name}-{concern}.npz"
    try:
        facts = _probe(name).ask(concern, out)
    except RuntimeError as error:
        return str(error)  # cached, so that a failing probe runs once
    with np.load(out) as stored:
        arrays = dict(stored)
    out.unlink()
    # Prepared weights, up to 244 MB each: made again where another probe needs them.
    shutil.rmtree(Path(_folder.name) / "cache", ignore_errors=True)
    return Answer(facts, arrays)


def ask(name: str, concern: str) -> Answer:
    """What the module ``probes.<concern>`` finds out about a framework; asked once."""
    found = _answer(name, concern)
    if isinstance(found, str):
        pytest.fail(f"the probe {concern} failed on {name}:\n{found}")
    return found


def ask_reference(concern: str) -> Answer:
    """The same about the reference; skips where that is not installed."""
    why = FRAMEWORKS[REFERENCE].missing()
    if why:
        pytest.skip(f"nothing to compare with: {why}")
    return ask(REFERENCE, concern)
