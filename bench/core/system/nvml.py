"""NVIDIA's management library (NVML): a card's facts, its state, and other programs on it.

The interface is small: any call that a card, its driver or a virtual machine does not support
gives None, never an exception, and a machine without NVML gives a reason. ``nvidia-ml-py`` (the
extra ``gpu``) is imported when it is first needed.

https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.system.devices import Device, parse

MODULE = "pynvml"
INSTALL = "pip install 'alexbench[gpu]'"
_SM, _MEMORY = 1, 2  # NVML_CLOCK_SM, NVML_CLOCK_MEM
_DIE = 0  # NVML_TEMPERATURE_GPU

THROTTLE_REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons that lower the clocks of a busy card. The others
(idle, clocks set by the user, synchronised boost, display) are no disturbance."""
POWER_CAP = THROTTLE_REASONS[0x4]
"""The card's own limit under a full load: a fact of the card, and no disturbance either."""


@dataclass(frozen=True)
class Card:
    """One card, through NVML.

    Attributes:
        library: The module ``pynvml``, or what replays a recording of it.
        handle: NVML's handle of the card; None where there is none.
        reason: Why there is none.
    """

    library: Any
    handle: Any
    reason: str | None = None

    def _ask(self, name: str, *arguments: Any) -> Any:
        """What a function of NVML says of this card; None where it says nothing."""
        function = getattr(self.library, name, None)
        if function is None or self.handle is None:
            return None
        try:
            return function(self.handle, *arguments)
        except Exception:  # NVMLError and whatever ctypes raises: not supported, no permission
            return None

    def facts(self) -> dict[str, Any] | None:
        """What the card is, as ``environment["gpu"]`` of a record; None without NVML.

        No serial number and no UUID: records are published.
        """
        if self.handle is None:
            return None
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        mig = self._ask("nvmlDeviceGetMigMode")
        return {
            "name": _text(self._ask("nvmlDeviceGetName")),
            "driver": _text(_call(self.library, "nvmlSystemGetDriverVersion")),
            "cuda": _cuda_version(_call(self.library, "nvmlSystemGetCudaDriverVersion_v2")),
            "memory_bytes": _whole(getattr(memory, "total", None)),
            "power_limit_watts": _scaled(self._ask("nvmlDeviceGetEnforcedPowerLimit"), 1000),
            "max_sm_clock_mhz": _whole(self._ask("nvmlDeviceGetMaxClockInfo", _SM)),
            "max_memory_clock_mhz": _whole(self._ask("nvmlDeviceGetMaxClockInfo", _MEMORY)),
            "compute_capability": ".".join(map(str, capability)) if capability else None,
            "mig": bool(mig[0]) if mig else None,
        }

    def state(self) -> dict[str, Any]:
        """How the card is doing now; every value is None where it cannot be read."""
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        utilisation = self._ask("nvmlDeviceGetUtilizationRates")
        return {
            "sm_clock_mhz": _whole(self._ask("nvmlDeviceGetClockInfo", _SM)),
            "memory_clock_mhz": _whole(self._ask("nvmlDeviceGetClockInfo", _MEMORY)),
            "temperature_c": _whole(self._ask("nvmlDeviceGetTemperature", _DIE)),
            "power_watts": _scaled(self._ask("nvmlDeviceGetPowerUsage"), 1000),
            "throttle": self._throttle(),
            "busy_percent": _whole(getattr(utilisation, "gpu", None)),
            "memory_used_bytes": _whole(getattr(memory, "used", None)),
        }

    def _throttle(self) -> list[str] | None:
        """Why the clocks are lower than they could be."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # its name before 2023
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        if _whole(bits) is None:
            return None
        return [words for bit, words in THROTTLE_REASONS.items() if int(bits) & bit]

    def millijoules(self) -> int | None:
        """The energy that the whole card has taken since its driver was loaded."""
        return _whole(self._ask("nvmlDeviceGetTotalEnergyConsumption"))

    def processes(self) -> dict[int, int | None] | None:
        """Memory in bytes of every process that computes on the card, by its id."""
        listed = self._ask("nvmlDeviceGetComputeRunningProcesses")
        if listed is None:
            return None
        return {int(one.pid): _whole(getattr(one, "usedGpuMemory", None)) for one in listed}

    def foreign(self, family: int) -> list[int]:
        """Ids of processes on the card that are neither `family` nor among its descendants.

        An id that this system does not know is left out: in a container NVML may give ids of the
        host, and those of our own workers are among them.
        """
        listed = self.processes() or {}
        return sorted(pid for pid in listed if _exists(pid) and not _descends(pid, family))


def card(device: str) -> Card:
    """The card of a case's device, with a reason where there is none. Never raises."""
    return _card_of(parse(device))


def cards(device: str, number: int = 1) -> tuple[Card, ...]:
    """The cards of a case that trains on ``number`` devices, from this one on."""
    first = parse(device)
    return tuple(_card_of(Device(first.kind, first.index + place)) for place in range(number))


def _card_of(device: Device) -> Card:
    if device.kind.visible != "CUDA_VISIBLE_DEVICES":
        return Card(None, None, f"NVML knows CUDA devices only, no {device.kind.title}")
    found, reason = library()
    if found is None:
        return Card(None, None, reason)
    try:
        entry = device.entry
        by_index = entry.isdecimal()
        name = "nvmlDeviceGetHandleByIndex" if by_index else "nvmlDeviceGetHandleByUUID"
        handle = getattr(found, name)(int(entry) if by_index else entry)
    except Exception as error:
        return Card(None, None, f"NVML does not know {device}: {error}")
    return Card(found, handle)


def own_card() -> Card:
    """Inside a worker: the card that its ``CUDA_VISIBLE_DEVICES`` shows."""
    return card("cuda") if os.environ.get("CUDA_VISIBLE_DEVICES") else Card(None, None, "no card")


def count() -> int | None:
    """How many cards there are; None where NVML is missing."""
    found, _ = library()
    return None if found is None else _whole(_call(found, "nvmlDeviceGetCount"))


@functools.cache
def library() -> tuple[Any, str | None]:
    """The initialised library, or None and why it cannot be used."""
    try:
        found = importlib.import_module(MODULE)
    except ImportError:
        return None, f"nvidia-ml-py is not installed; {INSTALL}"
    try:
        found.nvmlInit()
    except Exception as error:
        return None, f"NVML cannot be used: {error}"
    return found, None


def harmful(states: Iterable[Mapping[str, Any]]) -> list[str]:
    """Throttle reasons in any of these states that make a measurement slower than the card is."""
    found = (reason for state in states for reason in state.get("throttle") or ())
    return [reason for reason in dict.fromkeys(found) if reason != POWER_CAP]


def in_words(facts: Mapping[str, Any]) -> str:
    """``environment["gpu"]`` in one line; records of other programs may have a text there."""
    memory, limit = facts.get("memory_bytes"), facts.get("power_limit_watts")
    parts = [
        str(facts.get("name") or "unknown GPU"),
        f"{memory / 2**30:.0f} GiB" if memory else "",
        f"{limit:g} W" if limit else "",
        f"driver {facts['driver']}" if facts.get("driver") else "",
    ]
    return ", ".join(part for part in parts if part)


def _call(library: Any, name: str) -> Any:
    try:
        return getattr(library, name)()
    except Exception:
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    """A whole number; None for what NVML has in the place of an unknown one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < 1 << 63 else None


def _scaled(value: Any, by: int) -> float | None:
    number = _whole(value)
    return None if number is None else number / by


def _cuda_version(value: Any) -> str | None:
    """``13.0`` of 13000: the newest CUDA that the driver supports."""
    number = _whole(value)
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _descends(pid: int, family: int) -> bool:
    """Whether a process is `family` or a descendant of it."""
    seen = 0
    while pid > 1 and pid != family and seen < 64:
        pid, seen = _parent(pid), seen + 1
    return pid == family


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
