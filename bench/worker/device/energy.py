"""Energy of the processor in joules, where the machine has a counter.

Linux shows the counters of Intel and AMD processors (RAPL) as files of ``powercap``:
https://www.kernel.org/doc/html/latest/power/powercap/powercap.html. They count a whole package,
with everything that runs on it, without graphics cards and without the rest of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/sys/class/powercap")

# Packages only: a package includes its parts (intel-rapl:0:0, the cores), psys counts all packages
# again, and intel-rapl-mmio is another view of the same counters.
_DOMAIN = re.compile(r"intel-rapl:\d+")

NO_COUNTER = "this machine shows no energy counter (Linux powercap, intel-rapl)"
NOT_ALLOWED = (
    "the energy counter may be read by root alone; "
    "allow it with: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
)
STANDS_STILL = "the energy counter stands still"

Energy = dict[str, Any]
"""``joules`` (None where unknown), ``reason`` (why) and ``source`` (which counters)."""


@dataclass(frozen=True)
class Domain:
    """A package and its counter."""

    name: str
    counter: Path
    wraps_at: int
    """Microjoules after which the counter starts at 0 again."""


@dataclass(frozen=True)
class Reading:
    """Values of all counters at one moment, in microjoules by package; or why they are unknown."""

    microjoules: tuple[int, ...] = ()
    reason: str | None = None


class Meter:
    """Reads all packages. Making one and reading it never fails.

    >>> meter = Meter()
    >>> before = meter.read()
    >>> work()
    >>> energy = meter.between(before, meter.read())
    """

    def __init__(self, root: Path = ROOT) -> None:
        """``root``: the folder of powercap."""
        self._domains: tuple[Domain, ...] = ()
        self._reason: str | None = None
        try:
            self._domains = tuple(_domains(root))
        except (OSError, ValueError) as error:
            self._reason = _in_words(error)
        if not self._domains and not self._reason:
            self._reason = NO_COUNTER

    @property
    def source(self) -> str | None:
        """The counters that are summed; None where there is none."""
        names = ", ".join(domain.name for domain in self._domains)
        return f"powercap: {names}" if names else None

    def read(self) -> Reading:
        """Read all counters, about 20 microseconds per package."""
        if self._reason:
            return Reading(reason=self._reason)
        try:
            return Reading(tuple(_number(domain.counter) for domain in self._domains))
        except (OSError, ValueError) as error:
            return Reading(reason=_in_words(error))

    def between(self, before: Reading, after: Reading) -> Energy:
        """Joules from one reading to a later one.

        One wrap of a counter is accounted for: it takes minutes at least.
        """
        reason = before.reason or after.reason
        if reason:
            return self._energy(None, reason)
        pairs = zip(before.microjoules, after.microjoules, self._domains, strict=True)
        spent = sum(b - a if b >= a else b - a + domain.wraps_at for a, b, domain in pairs)
        return self._energy(spent / 1e6) if spent else self._energy(None, STANDS_STILL)

    def _energy(self, joules: float | None, reason: str | None = None) -> Energy:
        return {"joules": joules, "reason": reason, "source": self.source}


def added(parts: Iterable[Energy]) -> Energy:
    """The sum of several measurements, or the first reason why one of them is unknown."""
    parts = list(parts)
    if not parts:
        return {"joules": None, "reason": "nothing was measured", "source": None}
    unknown = next((part for part in parts if part["joules"] is None), None)
    return dict(unknown or parts[0] | {"joules": sum(part["joules"] for part in parts)})


def _domains(root: Path) -> Iterable[Domain]:
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if not _DOMAIN.fullmatch(folder.name):
            continue
        name = (folder / "name").read_text(encoding="ascii").strip()
        if name.startswith("package"):
            counter = folder / "energy_uj"
            yield Domain(name, counter, _number(folder / "max_energy_range_uj"))


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _in_words(error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        return NOT_ALLOWED
    what = error.strerror if isinstance(error, OSError) else str(error)
    return f"the energy counter cannot be read: {what}"
