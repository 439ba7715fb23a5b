"""Bars are for terminals: a log in colour has lines alone."""

import re

import pytest

from bench.cli.progress import Display
from bench.core import terminal


def test_forced_colours_draw_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.console().is_terminal
    with Display(total=3) as display:
        display.progress(0.5, "half")
        display.note("a line")
        display.console.print("[green]ok[/] another")
    shown = capsys.readouterr().err
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert plain == "a line\nok another\n"
    assert plain != shown, "colours, since they were asked for"


def test_a_resumed_run_begins_where_it_was() -> None:
    display = Display(total=54, there=31)
    (everything, _) = display._progress.tasks
    assert (everything.completed, everything.total) == (31, 54)


def test_without_it_there_are_neither(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with Display(total=3) as display:
        display.console.print("[green]ok[/]")
        display.certifying(0.1, "a network")
        display.certifying(0.2, "a network")
    assert capsys.readouterr().err.splitlines() == [
        "ok",
        "checking parity first: up to a minute for each network in each framework",
    ]


def test_without_a_bar_other_machines_are_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    now = [0]
    with Display(total=8, clock=lambda: now[0]) as display:
        for now[0] in range(0, 200, 20):
            display.waiting(0.1, f"{now[0]} s")
    assert capsys.readouterr().err.splitlines() == ["60 s", "120 s", "180 s"]
