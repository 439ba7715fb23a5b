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
    """The counters of all cards at one moment, added up."""

    millijoules: int | None
    seconds: float


class CardMeter:
    """The energy counters of whole cards: chip, memory and fans. Reading them never fails."""

    def __init__(self, *cards: Card, clock: Callable[[], float] = perf_counter) -> None:
        self._cards, self._clock = cards, clock

    def read(self) -> CardReading:
        """Read the counters: their sum, None where one of them is unknown."""
        found = [card.millijoules() for card in self._cards]
        known = [one for one in found if one is not None]
        return CardReading(sum(known) if len(known) == len(found) else None, self._clock())

    def between(self, before: CardReading, after: CardReading) -> Energy:
        """Joules from one reading to a later one."""
        if before.millijoules is None or after.millijoules is None:
            reasons = [card.reason for card in self._cards if card.reason]
            return _energy(None, next(iter(reasons), "this card shows no energy counter"))
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
    """The state of a case's accelerators; of the CPU there is none here.

    Attributes:
        cards: Empty on the CPU.
        exclusive: Whether another program on a card is an error.
    """

    cards: tuple[Card, ...]
    exclusive: bool = False

    @classmethod
    def of(cls, device: str, number: int = 1, *, exclusive: bool = False) -> DeviceWatch:
        """Of the devices of a case, as its worker sees them."""
        return cls(nvml.cards(device, number) if accelerated(device) else (), exclusive)

    def state(self) -> dict[str, Any] | None:
        """How the cards are doing; None on the CPU and where NVML is missing."""
        states = [card.state() for card in self.cards if card.handle is not None]
        return _together(states) if states else None

    def foreign(self) -> int:
        """How many processes compute on the cards that belong to no worker of this run.

        Raises:
            UserError: There is one, and the run is exclusive.
        """
        family = os.getppid()
        found = sorted({pid for card in self.cards for pid in card.foreign(family)})
        if found and self.exclusive:
            listed = ", ".join(map(str, found))
            raise UserError(f"--exclusive: another program computes on the device (pid {listed})")
        return len(found)

    def whole(self, before: dict[str, Any] | None) -> dict[str, Any]:
        """Metrics of a whole measurement: the state before and after it, and this process's memory.

        Empty on the CPU.
        """
        after = self.state()
        if after is None:
            return {}
        memory = self._own_memory()
        state = {"before": before, "after": after, "foreign_processes": self.foreign()}
        return {
            "device_state": state,
            **({} if memory is None else {"device_process_bytes": memory}),
        }

    def _own_memory(self) -> int | None:
        """What this process holds on all cards; None where NVML does not list it."""
        held = [(card.processes() or {}).get(os.getpid()) for card in self.cards]
        known = [one for one in held if one is not None]
        return sum(known) if known else None


_OF_SEVERAL: dict[str, Callable[[list[Any]], Any]] = {
    "sm_clock_mhz": min,
    "memory_clock_mhz": min,
    "temperature_c": max,
    "power_watts": sum,
    "throttle": lambda lists: list(dict.fromkeys(word for words in lists for word in words)),
    "busy_percent": min,
    "memory_used_bytes": sum,
}
"""One figure for several cards: a step takes as long as the slowest of them."""


def _together(states: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of all cards; a value that one of them does not know is None."""
    if len(states) == 1:
        return states[0]
    found: dict[str, Any] = {}
    for name, of in _OF_SEVERAL.items():
        values = [state[name] for state in states]
        found[name] = None if None in values else of(values)
    return found


class BlockWatch:
    """Energy and state of every counted block of a measurement.

    >>> watch = BlockWatch("cuda")
    >>> watch.under_load()  # while uncounted steps run
    >>> watch.begin()
    >>> work()
    >>> watch.end()
    """

    def __init__(self, device: str, number: int = 1, *, exclusive: bool = False) -> None:
        self._watch = DeviceWatch.of(device, number, exclusive=exclusive)
        cards = self._watch.cards
        self._meter: EnergyMeter = CardMeter(*cards) if cards else Meter()
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
