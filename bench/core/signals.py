"""SIGINT, SIGTERM and SIGHUP: the first one ends the work in hand, a second one the process.

`install` comes before the imports of a command, which take a second; until `raising`, a signal ends
the process with one line. Within `raising` the first signal becomes an exception in the main
thread, so that workers are stopped and a report is written; a second one ends the process at once.
A signal that is ignored when the command starts (nohup, a job in the background) stays ignored.

This module imports nothing that takes time.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from contextlib import contextmanager, suppress
from time import monotonic

TYPE_CHECKING = False  # `typing` and `dataclasses` take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


class _State:
    """What the handler has to know.

    Attributes:
        pid: Of the process that has installed it, which its forked children are not.
        error: Makes the exception from the signal; None: a signal ends the process at once.
        received: The first signal.
        at: When it came.
        held: Blocks of `held` that are open.
        acknowledged: Whether its exception has been caught.
        last_words: What a second signal prints.
        previous: The handlers of before.
        raised: The exception of the first signal.
        unraisable: The hook of before.
        output: Descriptor of the stderr of before, where something else takes its place for a time.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.error: Callable[[int], BaseException] | None = None
        self.received: int | None = None
        self.at = 0.0
        self.held = 0
        self.acknowledged = False
        self.last_words = ""
        self.previous: dict[int, Any] = {}
        self.unraisable = sys.unraisablehook
        self.output = 2
        self.raised: BaseException | None = None


_state = _State()


def install(*, own_output: bool = False) -> bool:
    """Handle the signals of `STOPPING`; whether this call is the one that has done so.

    Args:
        own_output: Whether lines go to the stderr of now also when another takes its place, as
            pytest has it.
    """
    if _state.pid == os.getpid():
        return False
    previous: dict[int, Any] = {
        number: before
        for number in STOPPING
        if (before := signal.getsignal(number)) is not signal.SIG_IGN
    }
    _state.pid, owner = os.getpid(), _state.pid
    try:
        for number in previous:
            signal.signal(number, _handle)
    except ValueError:  # not in the main thread
        _state.pid = owner
        return False
    _state.previous = previous
    if own_output:
        with suppress(OSError):
            _state.output = os.dup(2)
    _state.unraisable, sys.unraisablehook = sys.unraisablehook, _without_stopped
    return True


def _without_stopped(raised: sys.UnraisableHookArgs) -> None:
    """Say nothing of a signal whose exception came in a callback: `check` raises it again."""
    if _state.received is None or not _is_of_signal(raised.exc_value):
        _state.unraisable(raised)


def _is_of_signal(error: BaseException | None) -> bool:
    return isinstance(error, Stopped) or error is _state.raised


def uninstall() -> None:
    """Give the signals back to the handlers of before."""
    for number, before in _state.previous.items():
        signal.signal(number, before if before is not None else signal.SIG_DFL)
    if _state.pid:
        sys.unraisablehook = _state.unraisable
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


def is_pending() -> bool:
    """Whether a signal has come whose exception has not been caught yet."""
    return _state.received is not None and _state.error is not None and not _state.acknowledged


def acknowledge() -> None:
    """The exception has been caught, and what remains to do is begun."""
    _state.acknowledged = True
    _leave_lost_output()


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
            _state.raised = _state.error(number)
            raise _state.raised
        return
    if number == _state.received and monotonic() - _state.at < _SAME_SECONDS:
        return
    more = f"; {_state.last_words}" if _state.last_words else ""
    _say(f"{name} again: ended at once{more}")
    os._exit(128 + _state.received)


def _say(text: str) -> None:
    # Not print: the handler may run in the middle of one. A bar on the terminal hides the cursor.
    start = "\r\x1b[?25h\x1b[K" if os.isatty(_state.output) else ""
    with suppress(OSError):
        os.write(_state.output, f"{start}alexbench: {text}\n".encode())
    _leave_lost_output()


def _leave_lost_output() -> None:
    """Print nowhere where the terminal, or the reader of a pipe, is gone: every write to it would
    be an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if _is_lost(descriptor):
                to_nowhere(descriptor)


def _is_lost(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISCHR(mode):
        return not os.isatty(descriptor)
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(state & (select.POLLERR | select.POLLNVAL) for _, state in poll.poll(0))


def to_nowhere(descriptor: int) -> None:
    """Put ``/dev/null`` in the place of a descriptor. Raises OSError where there is none left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere == descriptor:  # it was closed, and its number free
        os.set_inheritable(nowhere, True)
        return
    try:
        os.dup2(nowhere, descriptor)
    finally:
        os.close(nowhere)
