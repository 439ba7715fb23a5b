"""Whose turn it is: a measurement takes its timed blocks one at a time, when it is told to.

A process that is measured beside others waits for its turn here; one that is alone just counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Schedule(Protocol):
    """What a measurement asks before every block."""

    steps: int | None
    """Steps of a block where they are fixed (an earlier process of the case has found them)."""
    extras: bool
    """Whether to measure beside the blocks what is wanted once per case, not once per process."""

    def next(self) -> bool:
        """Wait for the next turn; False when there is none any more."""

    def record_block(self, seconds: list[float]) -> None:
        """The samples of the turn that is over."""


class FixedSchedule:
    """So many turns, at once."""

    def __init__(self, turns: int) -> None:
        self.steps: int | None = None
        self.extras = True
        self._left = turns

    def next(self) -> bool:
        """True as often as was said."""
        self._left -= 1
        return self._left >= 0

    def record_block(self, seconds: list[float]) -> None:
        """Nobody is waiting for it."""


class RemoteSchedule:
    """Turns that somebody gives: told through ``waiting``, answered by the next command."""

    def __init__(
        self,
        waiting: Callable[[list[float]], None],
        command: Callable[[], dict[str, Any]],
        steps: int | None,
        *,
        extras: bool,
    ) -> None:
        """``waiting`` takes the samples of the turn before; ``command`` blocks for the next."""
        self.steps, self.extras = steps, extras
        self._waiting, self._command = waiting, command
        self._seconds: list[float] = []

    def next(self) -> bool:
        """Hand over the last samples and wait."""
        taken, self._seconds = self._seconds, []
        self._waiting(taken)
        return bool(self._command()["do"] == "block")

    def record_block(self, seconds: list[float]) -> None:
        """Kept until the next wait."""
        self._seconds = seconds
