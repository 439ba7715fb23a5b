"""The accelerator's own clock, where the framework has a public interface to it, and its queue."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from bench.core.system.devices import accelerated
from bench.training.interfaces import DeviceClock, Trainer


def device_clock_of(trainer: Trainer) -> DeviceClock | None:
    """The clock of a trainer's accelerator; None on a CPU, and where the framework has none."""
    asked = getattr(trainer, "device_clock", None)
    clock: DeviceClock | None = asked() if asked else None
    return clock


PATIENCE = 0.02
"""Seconds after which a small operation was late. On an idle accelerator it takes a tenth of a
millisecond; what is queued when ``sync`` returns early takes most of a block."""
_SLOWER = 3
"""How many times as long as on the idle device: a busy host is late as well, and again."""
_ONE_IN = 4
"""From the second late operation on, it is a fault when one check in so many was late: a host
hesitates once in hundreds of checks, a ``sync`` that returns early is late at most of them."""


class DeviceQueue:
    """The work that a trainer has queued on its accelerator.

    >>> queue = DeviceQueue(trainer)
    >>> queue.finish()  # nothing is queued from here on
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._clock = device_clock_of(trainer)
        self._through: Callable[[], None] | None = getattr(trainer, "through_queue", None)
        self._used = False
        """Whether the small operation is compiled."""
        self._checks = 0
        self._late = 0
        """At how many of the checks it was late."""

    @property
    def checked(self) -> bool:
        """Whether `finish` checks that nothing is queued."""
        return self._clock is not None or self._through is not None

    def finish(self) -> None:
        """Wait for all queued work, and check that none is left: by the device's own clock, or by a
        small operation, which has to wait for all before it.

        Raises:
            RuntimeError: Work was still queued when ``sync`` had returned; without a clock, when
                at least two checks and a quarter of all were late.
        """
        if self._clock:
            last = self._clock.mark()
            self._trainer.sync()
            left = not self._clock.reached(last)
        else:
            self._trainer.sync()
            late = self._through is not None and self._was_late(self._through)
            self._checks, self._late = self._checks + 1, self._late + late
            left = late and self._late > 1 and self._late * _ONE_IN >= self._checks
        if left:
            raise RuntimeError(
                "work is still queued on the device after sync: a process that is paused now would "
                "compute during the blocks of others"
            )

    def _was_late(self, through: Callable[[], None]) -> bool:
        """Whether the small operation waited for others; then none is queued any more."""
        seconds = _timed(through)
        if not self._used:  # compiled within the first call
            self._used = True
            return False
        return seconds > PATIENCE and seconds > _SLOWER * max(_timed(through) for _ in range(3))


def _timed(work: Callable[[], None]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def idle_checked(queue: DeviceQueue, device: str) -> dict[str, bool]:
    """Setting: whether it is checked that the accelerator is idle; none on a CPU."""
    return {"idle_checked": queue.checked} if accelerated(device) else {}


class DeviceTimer:
    """Seconds on the accelerator of each counted block, between the two readings of the host's
    clock."""

    def __init__(self, trainer: Trainer) -> None:
        self._clock = device_clock_of(trainer)
        self._first: Any = None
        self._last: Any = None
        self._seconds: list[float] = []

    def begin(self) -> None:
        """Mark the beginning of a block; nothing is queued."""
        if self._clock:
            self._first = self._clock.mark()

    def end(self) -> None:
        """Mark its end after all work that is queued, before the host waits for it."""
        if self._clock:
            self._last = self._clock.mark()

    def record(self) -> None:
        """Take the seconds of the block, when the host has read its clock."""
        if self._clock:
            self._seconds.append(self._clock.seconds(self._first, self._last))

    def metrics(self) -> dict[str, Any]:
        """``device_seconds`` of all blocks; nothing where there is no such clock."""
        return {"device_seconds": self._seconds} if self._seconds else {}
