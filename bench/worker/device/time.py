"""Time by the accelerator's own clock, where the framework has a public interface to it."""

from __future__ import annotations

from typing import Any

from bench.core.system.devices import accelerated
from bench.training.interfaces import DeviceClock, Trainer


def device_clock_of(trainer: Trainer) -> DeviceClock | None:
    """The clock of a trainer's accelerator; None on a CPU, and where the framework has none."""
    asked = getattr(trainer, "device_clock", None)
    clock: DeviceClock | None = asked() if asked else None
    return clock


def finish(trainer: Trainer) -> None:
    """Wait for all queued work, and check by the device's own clock that none is left.

    Raises:
        RuntimeError: Work is still queued when ``sync`` has returned.
    """
    clock = device_clock_of(trainer)
    last = clock.mark() if clock else None
    trainer.sync()
    if clock and not clock.reached(last):
        raise RuntimeError(
            "work is still queued on the device after sync: a process that is paused now would "
            "compute during the blocks of others"
        )


def idle_checked(trainer: Trainer, device: str) -> dict[str, bool]:
    """Setting: whether `finish` checks that the accelerator is idle; none on a CPU."""
    return {"idle_checked": device_clock_of(trainer) is not None} if accelerated(device) else {}


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
