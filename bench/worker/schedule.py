"""When a measurement takes its timed blocks: at once, or one by one when the parent asks.

In an interleaved run the parent alternates between the workers of a group, a block of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from bench.core.system.machine import BlockState


class Schedule(Protocol):
    """The schedule of a measurement's blocks.

    Attributes:
        steps: Steps of a block where an earlier process of the case has fixed them; None where the
            measurement chooses.
        extras: Whether to run what is measured once per case and not in every process: other
            loops, layer pairs, the audit of the clock.
        states: The machine during each block that the parent has not been sent.
    """

    steps: int | None
    extras: bool
    states: list[BlockState]

    def next(self) -> bool:
        """Wait for the next block; False when the measurement is over."""

    def record_block(self, seconds: list[float], state: BlockState) -> None:
        """Take the samples of the block that has just been measured, and the machine's state."""


class FixedSchedule:
    """A given number of blocks, one after the other."""

    def __init__(self, blocks: int) -> None:
        self.steps: int | None = None
        self.extras = True
        self.states: list[BlockState] = []
        self._left = blocks

    def next(self) -> bool:
        """See :class:`Schedule`."""
        self._left -= 1
        return self._left >= 0

    def record_block(self, seconds: list[float], state: BlockState) -> None:
        """Keep the state: the parent gets all of them, as all samples, with the result."""
        self.states.append(state)


class RemoteSchedule:
    """Blocks that the parent requests, one command each."""

    def __init__(
        self,
        waiting: Callable[[list[float], BlockState | None], None],
        command: Callable[[], dict[str, Any]],
        steps: int | None,
        *,
        extras: bool,
        finish: Callable[[], None],
    ) -> None:
        """``waiting`` sends the samples and the state of the block before; ``command`` waits for
        the next.

        ``finish`` returns when all queued work is done (`bench.worker.session.Session.finish`):
        the parent pauses this process while it waits, and a paused process does not stop what it
        has queued on a device.
        """
        self.steps, self.extras = steps, extras
        self.states: list[BlockState] = []
        self._waiting, self._command, self._finish = waiting, command, finish
        self._seconds: list[float] = []

    def next(self) -> bool:
        """Finish what is queued, send the last samples and wait."""
        self._finish()
        samples, self._seconds = self._seconds, []
        self._waiting(samples, self.states.pop() if self.states else None)
        return bool(self._command()["do"] == "block")

    def record_block(self, seconds: list[float], state: BlockState) -> None:
        """Keep them until the next wait."""
        self._seconds = seconds
        self.states.append(state)
