"""SIGINT, SIGTERM and SIGHUP: the first one ends the work in hand, a second one the process.

`install` comes before the imports of a command, which take a second; until `raising`, a signal ends
the process with one line. Within `raising` the first signal becomes an exception in the main
thread, so that workers are stopped and a report is written; a second one ends the process at once.
A signal that is ignored when the command starts (nohup, a job in the background) stays ignored.

This module imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a cluster's time limit, a closed terminal."""

_SAME_SECONDS = 0.1
"""The same signal within this time is not a second one: ``timeout`` sends it to the process and
then to its group."""


class Stopped(BaseException):
    """A signal has asked this process to stop.

    Not an `Exception`: code that handles failures of a measurement must not handle this.

    Attributes:
        number: The signal.
        advice: How to go on, for the last line.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.advice = number, "what was finished is written"

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}; {self.advice}"

    @property
    def exit_code(self) -> int:
        """As a shell has it: 130, 143 or 129."""
        return 128 + self.number


@dataclass
class _State:
    """What the handler has to know."""

    pid: int = 0
    """Of the process that has installed it, which its forked children are not."""
    error: Callable[[int], BaseException] | None = None
    """Makes the exception from the signal; None: a signal ends the process at once."""
    received: int | None = None
    at: float = 0.0
    held: int = 0
    acknowledged: bool = False
    last_words: str = ""
    previous: dict[int, Any] = field(default_factory=dict)


_state = _State()


def install() -> bool:
    """Handle the signals of `STOPPING`; whether this call is the one that has done so."""
    if _state.pid == os.getpid() or threading.current_thread() is not threading.main_thread():
        return False
    _state.pid = os.getpid()
    _state.previous = {}
    for number in STOPPING:
        before = signal.getsignal(number)
        if before is not signal.SIG_IGN:
            _state.previous[number] = before
            signal.signal(number, _handle)
    return True


def uninstall() -> None:
    """Give the signals back to the handlers of before."""
    for number, before in _state.previous.items():
        signal.signal(number, before if before is not None else signal.SIG_DFL)
    _state.pid, _state.previous = 0, {}


def ignore() -> None:
    """Ignore them from now on: Python itself ends, which must not change the exit code."""
    for number in _state.previous:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def raising(error: Callable[[int], BaseException] = Stopped) -> Iterator[None]:
    """A block in which the first signal raises ``error(number)`` in the main thread."""
    here = install()
    _state.received, _state.acknowledged, _state.last_words = None, False, ""
    _state.error = error
    try:
        yield
    finally:
        _state.error = None
        if here:
            uninstall()


@contextmanager
def held(last_words: str = "") -> Iterator[None]:
    """A block that a first signal does not interrupt: the exception is raised at its end.

    Args:
        last_words: What a second signal prints before it ends the process.
    """
    _state.held += 1
    _state.last_words = last_words or _state.last_words
    try:
        yield
    finally:
        _state.held -= 1
    check()


def check() -> None:
    """Raise for a signal whose exception has been lost (in ``__del__``, say) or held."""
    if _state.received is None or _state.acknowledged or _state.held or _state.error is None:
        return
    raise _state.error(_state.received)


def received() -> int | None:
    """The first signal within `raising`; None without one."""
    return _state.received


def acknowledge() -> None:
    """The exception has been caught, and what remains to do is begun."""
    _state.acknowledged = True
    _leave_lost_terminal()


def _handle(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _state.pid:  # a forked child, which draws plots
        os._exit(128 + number)
    name = signal.Signals(number).name
    if _state.error is None:
        _say(f"stopped by {name}")
        os._exit(128 + number)
    if _state.received is None:
        _state.received, _state.at = number, monotonic()
        _say(f"{name}: stopping; a second signal ends at once")
        if not _state.held:
            raise _state.error(number)
        return
    if number == _state.received and monotonic() - _state.at < _SAME_SECONDS:
        return
    more = f"; {_state.last_words}" if _state.last_words else ""
    _say(f"{name} again: ended at once{more}")
    os._exit(128 + _state.received)


def _say(text: str) -> None:
    # Not print: the handler may run in the middle of one. A bar on the terminal hides the cursor.
    start = "\r\x1b[?25h\x1b[K" if os.isatty(2) else ""
    with suppress(OSError):
        os.write(2, f"{start}alexbench: {text}\n".encode())
    _leave_lost_terminal()


def _leave_lost_terminal() -> None:
    """Print nowhere when the terminal is gone: every write to it would be an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            character_device = stat.S_ISCHR(os.fstat(descriptor).st_mode)
            if character_device and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
