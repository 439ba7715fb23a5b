"""Work in a child process with limits: what it returns, and how it fails."""

import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core import confined as confinement
from bench.core.confined import confined
from bench.core.errors import UserError
from tests.support import fakes


def test_values_and_files_come_back(tmp_path: Path) -> None:
    def work(folder: Path) -> Any:
        np.save(folder / "a.npy", np.arange(3))
        return {"pid": os.getpid(), "text": "é"}

    with confined(work) as (folder, value):
        assert np.load(folder / "a.npy").tolist() == [0, 1, 2]
        assert value["text"] == "é"
        assert value["pid"] != os.getpid()
    assert not folder.exists()


def test_a_warning_of_threads_at_a_fork_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX warns at every fork; the child here never calls it."""
    fork = os.fork

    def warned() -> int:
        warnings.warn("os.fork() was called", RuntimeWarning, stacklevel=2)
        return fork()

    monkeypatch.setattr(os, "fork", warned)
    with confined(lambda _: 1) as (_, value):
        assert value == 1


def _user_error(folder: Path) -> None:
    raise UserError("not for us")


def _any_error(folder: Path) -> None:
    raise KeyError("a\nb")


def _crash(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _deep(folder: Path) -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    raise RecursionError(len(value))


def _hang(folder: Path) -> None:
    time.sleep(600)


def _compute(folder: Path) -> None:
    while True:
        pass


def _allocate(folder: Path) -> int:
    return len(bytearray(1 << 33))


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        (_user_error, UserError, "^not for us$"),
        (_any_error, ValueError, r"^'a\\nb'$"),
        (_crash, ValueError, "^the process that read it ended with SIGSEGV$"),
        (_deep, ValueError, "^1$"),
        (_hang, ValueError, "^reading it takes more than 0.3 s$"),
        (_allocate, ValueError, "^MemoryError$"),
    ],
)
def test_every_failure_is_one_line(
    work: Callable[[Path], Any],
    error: type[Exception],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "MEMORY", 1 << 30)
    with pytest.raises(error, match=words), confined(work, 0.3 if work is _hang else 60.0):
        pass


def test_cpu_time_is_limited_apart() -> None:
    words = r"^reading it takes more than 0\.5 s of CPU time$"
    before = os.times().children_user
    with pytest.raises(ValueError, match=words), confined(_compute, 60.0, 0.5):
        pass
    assert os.times().children_user - before < 2  # the system counts whole seconds


def test_no_child_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than"), confined(_noted(tmp_path), 0.3):
        pass
    assert fakes.gone(int((tmp_path / "pid").read_text()))


def _noted(folder: Path) -> Callable[[Path], None]:
    def work(_: Path) -> None:
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(600)

    return work
