"""What ends a run in the middle, as `measure_and_report` hands it on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.cli import measuring
from bench.core import signals
from bench.core.errors import UserError
from bench.core.records import RecordStore


def _measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception) -> None:
    def run_all(*_: Any, **__: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except signals.Stopped:
            raise error from None

    monkeypatch.setattr(measuring, "run_all", run_all)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored (nohup)
    run: Any = SimpleNamespace(store=RecordStore(tmp_path), folder=tmp_path, plan=None)
    run.look_at_machine = lambda: None
    try:
        with signals.raising():
            measuring.measure_and_report(run, [], {}, parity=False, unusable={})
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_a_library_turned_into_another_error_is_still_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(signals.Stopped, match="0 of 0 measurements are there") as caught:
        _measure(monkeypatch, tmp_path, SystemError("returned a result with an exception set"))
    assert caught.value.exit_code == 130


def test_what_the_user_has_to_know_is_said_after_a_signal_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="disk full"):
        _measure(monkeypatch, tmp_path, UserError("disk full"))


@pytest.mark.parametrize(
    ("caveats", "option"), [((), ""), (({"on": "all", "why": "x"},), " --anyway")]
)
def test_the_way_to_go_on_is_a_command_that_is_taken(
    tmp_path: Path, caveats: tuple[Any, ...], option: str
) -> None:
    """A folder with a space, and a run that could only be resumed with --anyway."""
    folder = tmp_path / "my run"
    run: Any = SimpleNamespace(store=RecordStore(folder), folder=folder, caveats=caveats)
    said = measuring.how_to_go_on(run, {("cifar-bn", "training")})
    assert said.endswith(f" run --resume '{folder}'{option}")
