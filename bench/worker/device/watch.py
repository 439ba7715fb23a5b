"""The accelerator during a measurement: its energy, its clocks and temperature, and who else is on
it.

On the CPU the watch reads the processor's energy counters (:mod:`bench.worker.device.energy`) and
nothing else. A card's row never has joules of the processor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from bench.core.errors import UserError
from bench.core.system import nvml
from bench.core.system.devices import accelerated
from bench.core.system.nvml import Card
from bench.worker.device.energy import STANDS_STILL, Energy, Meter, added

SHORTEST = 1.0
"""Seconds of a block whose energy is taken from the card's counter, which moves about every tenth
of a second."""

SOURCE = "nvml: total energy of the card"


class EnergyMeter(Protocol):
    """A counter of energy: `bench.worker.device.energy.Meter` or `CardMeter`."""

    def read(self) -> Any:
        """The counter at this moment."""

    def between(self, before: Any, after: Any) -> Energy:
        """Joules from one reading to a later one, or why they are unknown."""


@dataclass(frozen=True)
class CardReading:
    """The counter of a card at one moment."""

    millijoules: int | None
    seconds: float


class CardMeter:
    """The energy counter of a whole card: chip, memory and fans. Reading it never fails."""

    def __init__(self, card: Card, clock: Callable[[], float] = perf_counter) -> None:
        self._card, self._clock = card, clock

    def read(self) -> CardReading:
        """Read the counter."""
        return CardReading(self._card.millijoules(), self._clock())

    def between(self, before: CardReading, after: CardReading) -> Energy:
        """Joules from one reading to a later one."""
        if before.millijoules is None or after.millijoules is None:
            return _energy(None, self._card.reason or "this card shows no energy counter")
        if after.seconds - before.seconds < SHORTEST:
            return _energy(
                None, f"blocks shorter than {SHORTEST:g} s: the card's counter is coarse"
            )
        spent = after.millijoules - before.millijoules
        return _energy(spent / 1e3) if spent > 0 else _energy(None, STANDS_STILL)


def _energy(joules: float | None, reason: str | None = None) -> Energy:
    return {"joules": joules, "reason": reason, "source": SOURCE}


@dataclass(frozen=True)
class DeviceWatch:
    """The state of a case's accelerator; of the CPU there is none here.

    Attributes:
        card: None on the CPU.
        exclusive: Whether another program on the card is an error.
    """

    card: Card | None
    exclusive: bool = False

    @classmethod
    def of(cls, device: str, *, exclusive: bool = False) -> DeviceWatch:
        """Of the device of a case, as its worker sees it."""
        return cls(nvml.card(device) if accelerated(device) else None, exclusive)

    def state(self) -> dict[str, Any] | None:
        """How the card is doing; None on the CPU and where NVML is missing."""
        return self.card.state() if self.card and self.card.handle is not None else None

    def foreign(self) -> int:
        """How many processes compute on the card that belong to no worker of this run.

        Raises:
            UserError: There is one, and the run is exclusive.
        """
        if self.card is None:
            return 0
        found = self.card.foreign(family=os.getppid())
        if found and self.exclusive:
            listed = ", ".join(map(str, found))
            raise UserError(f"--exclusive: another program computes on the device (pid {listed})")
        return len(found)

    def whole(self, before: dict[str, Any] | None) -> dict[str, Any]:
        """Metrics of a whole measurement: the state before and after it, and this process's memory.

        Empty on the CPU.
        """
        after = self.state()
        if self.card is None or after is None:
            return {}
        memory = (self.card.processes() or {}).get(os.getpid())
        state = {"before": before, "after": after, "foreign_processes": self.foreign()}
        return {
            "device_state": state,
            **({} if memory is None else {"device_process_bytes": memory}),
        }


class BlockWatch:
    """Energy and state of every counted block of a measurement.

    >>> watch = BlockWatch("cuda")
    >>> watch.under_load()  # while uncounted steps run
    >>> watch.begin()
    >>> work()
    >>> watch.end()
    """

    def __init__(self, device: str, *, exclusive: bool = False) -> None:
        self._watch = DeviceWatch.of(device, exclusive=exclusive)
        card = self._watch.card
        self._meter: EnergyMeter = Meter() if card is None else CardMeter(card)
        self._before: dict[str, Any] | None = None
        self._energy = self._meter.read()
        self._joules: list[Energy] = []
        self._states: list[dict[str, Any]] = []

    def under_load(self) -> None:
        """Read the state before a block; best while work is queued, since an idle card's clocks say
        nothing."""
        self._before = self._watch.state()

    def begin(self) -> None:
        """The last call before the clock is read."""
        self._energy = self._meter.read()

    def end(self) -> None:
        """The first call after the clock was read.

        Raises:
            UserError: Another program is on the card, and the run is exclusive.
        """
        self._joules.append(self._meter.between(self._energy, self._meter.read()))
        after = self._watch.state()
        if after is not None:
            states = {"before": self._before, "after": after}
            self._states.append({**states, "foreign_processes": self._watch.foreign()})

    def metrics(self, images: int) -> dict[str, Any]:
        """``energy`` of ``images`` images in all blocks; ``device_blocks`` on an accelerator."""
        energy = {"energy": added(self._joules) | {"images": images}}
        return energy | ({"device_blocks": self._states} if self._states else {})
