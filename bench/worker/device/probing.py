"""Which frameworks can use a device: each is asked in a process of its own.

The parent imports no framework. A probe is a worker in the environment of the device that computes
something small and reports where (`bench.training.interfaces.DeviceProbe`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.limits import Limits
from bench.core.system import nvml
from bench.core.system.devices import AUTO, CPU, DEVICE_KINDS, Device, parse
from bench.core.text import headline, many, without_folders
from bench.training.frameworks import framework
from bench.worker.client import Worker, WorkerError

_LIMITS = Limits(timeout_seconds=180)
"""A cold import from a slow disk takes a minute."""


@dataclass(frozen=True)
class Probe:
    """What came of asking a framework.

    Attributes:
        device: As the framework reports it; empty where it could not compute there.
        name: The framework's name of the device; None on the CPU.
        reason: Why it cannot use the device, with the command that mends it; None where it can.
    """

    device: str = ""
    name: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class DeviceChoice:
    """The device of a call, and the frameworks that cannot use it.

    Attributes:
        device: Canonical name, as cases have it.
        unusable: Reasons by framework.
        words: One line for the user; empty where there is nothing to say.
    """

    device: str
    unusable: dict[str, str]
    words: str = ""

    def usable(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that can use it, in their order."""
        return [name for name in names if name not in self.unusable]


def probe(name: str, device: str) -> Probe:
    """Whether a framework can use a device; the CPU needs no asking."""
    return _probe(name, device) if parse(device).accelerator else Probe("cpu")


@cache
def _probe(name: str, device: str) -> Probe:
    row = framework(name)
    if missing := row.missing():
        return Probe(reason=missing)
    if row.device_probe is None:
        return Probe(reason="computes on the CPU alone")
    try:
        with Worker(Case("", name, device=device), Path(), _LIMITS) as worker:
            found = worker.probe()
    except (WorkerError, OSError) as error:
        return Probe(reason=_with_mend(name, device, without_folders(headline(str(error)))))
    if found["reason"]:
        return Probe(found["device"], reason=_with_mend(name, device, found["reason"]))
    return Probe(found["device"], found["name"])


def _with_mend(name: str, device: str, reason: str) -> str:
    command = framework(name).device_installs.get(parse(device).kind.name)
    versions = ", ".join(f"{key} {value}" for key, value in framework(name).versions().items())
    why = f"cannot use {device} with {versions}: {' '.join(reason.split())}"
    return f"{why}; {command}" if command else why


def probes(names: Sequence[str], device: str) -> dict[str, Probe]:
    """All of them at once: an import takes seconds and one core."""
    if not names:
        return {}
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(lambda name: probe(name, device), names), strict=True))


def choose(option: str, names: Sequence[str]) -> DeviceChoice:
    """The device that ``--device`` means for these frameworks.

    Args:
        option: A device, or ``auto``: the first accelerator that every framework can use, else the
            CPU.
        names: Frameworks that are installed.

    Raises:
        UserError: There is no such device, or no framework can use it.
    """
    if option.strip().lower() == AUTO:
        return _automatic(names)
    device = parse(option)
    _check(device)
    found = probes(names, str(device))
    unusable = {name: one.reason for name, one in found.items() if one.reason}
    if found and len(unusable) == len(found):
        reasons = "; ".join(f"{name} {reason}" for name, reason in unusable.items())
        raise UserError(f"--device {device}: no framework can use it: {reasons}")
    return DeviceChoice(str(device), unusable, _described(device, found))


def _check(device: Device) -> None:
    if device.kind is not DEVICE_KINDS["cuda"]:
        device.check()
        return
    device.check(nvml.count())
    facts = nvml.card(str(device)).facts() or {}
    if facts.get("mig") and not device.entry.startswith("MIG"):
        raise UserError(
            f"--device {device}: the card is divided into MIG slices; name one, as nvidia-smi -L "
            "lists them: CUDA_VISIBLE_DEVICES=MIG-<uuid>"
        )


def _automatic(names: Sequence[str]) -> DeviceChoice:
    reasons = []
    for kind in DEVICE_KINDS.values():
        device = Device(kind)
        if not kind.accelerator or not kind.here():
            continue
        try:
            _check(device)
        except UserError as error:
            reasons.append(str(error))
            continue
        found = probes(names, str(device))
        lacking = [f"{name} {one.reason}" for name, one in found.items() if one.reason]
        if found and not lacking:
            return DeviceChoice(str(device), {}, _described(device, found))
        reasons.append(f"not {device}: {'; '.join(lacking)}")
    words = "device: cpu" + (f" ({'; '.join(reasons)})" if reasons else "")
    return DeviceChoice(str(CPU), {}, words)


def _described(device: Device, found: dict[str, Probe]) -> str:
    """``device: cuda (NVIDIA H100 80GB HBM3)``; empty for the CPU."""
    if not device.accelerator:
        return ""
    facts = nvml.card(str(device)).facts()
    names = dict.fromkeys(one.name for one in found.values() if one.name)
    words = nvml.in_words(facts) if facts else ", ".join(map(str, names))
    return f"device: {device}" + (f" ({words})" if words else "")


def others_on(device: str, number: int = 1) -> str | None:
    """One line where other programs compute on accelerators before anything of ours runs.

    Args:
        device: The first accelerator.
        number: How many are measured, from it on.
    """
    if not parse(device).accelerator:
        return None
    listed = {pid for card in nvml.cards(device, number) for pid in card.processes() or ()}
    if not listed:
        return None
    pids = ", ".join(str(pid) for pid in sorted(listed))
    others = many(len(listed), "other program computes", "other programs compute")
    return f"{others} on {device} (pid {pids})"
