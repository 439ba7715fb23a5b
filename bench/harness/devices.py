"""The device of a run: which frameworks are measured there, and whether it is free."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.core.errors import UserError
from bench.core.system import nvml
from bench.core.system.devices import AUTO, DEVICE_KINDS, Device, accelerated, parse
from bench.core.system.resources import usable_cpus
from bench.harness.profiles import Profile
from bench.harness.selection import Selection, SelectionElsewhere
from bench.training import frameworks
from bench.worker.device.probing import DeviceChoice, choose, others_on, probe
from bench.worker.environment import kept_environment


class SharedDeviceWarning(UserWarning):
    """Another program computes on the device that is measured."""


def conditions_of(device: str, framework: str) -> dict[str, Any]:
    """What a result that is kept belongs to, besides the processor, which keys name themselves: the
    variables of ``--keep-env``, and the card, which the framework names where NVML does not."""
    found: dict[str, Any] = {"kept": kept} if (kept := kept_environment()) else {}
    if not accelerated(device):
        return found
    card = nvml.card(device).facts() or probe(framework, device).name
    return found | {"device": device, "gpu": card}


def on_device(
    selection: Selection, profile: Profile, option: str
) -> tuple[Selection, DeviceChoice]:
    """The selection on the device that ``--device`` means, and who cannot use it.

    Raises:
        UserError: The selection is wrong, or no framework can use the device.
    """
    selection.check()
    names = selection.frameworks or tuple(frameworks.installed(profile.frameworks))
    choice = choose(option, names)
    return replace(selection, device=choice.device), choice


def on_other_machines(
    selection: Selection, profile: Profile, option: str
) -> tuple[Selection, DeviceChoice]:
    """The selection on a device that the nodes of a cluster are to have; they are asked later.

    Raises:
        UserError: The selection is wrong, or the device is ``auto``.
    """
    if option.strip().lower() == AUTO:
        raise UserError(f"--device {AUTO} is for this machine; name the device of the nodes")
    device = str(parse(option))
    names = selection.frameworks or profile.frameworks
    fields = {**vars(selection), "frameworks": tuple(names), "device": device}
    wanted = SelectionElsewhere(**fields)
    wanted.check()
    return wanted, DeviceChoice(device, {})


def enough(numbers: Sequence[int], device: str) -> None:
    """Raise UserError where this machine has fewer accelerators than are to train together, or they
    are MIG slices.

    https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ (CUDA Device Enumeration)
    """
    first, number = parse(device), max(numbers, default=1)
    if not first.accelerator:
        return
    count = nvml.count() if first.kind is DEVICE_KINDS["cuda"] else None
    for place in range(number):
        one = Device(first.kind, first.index + place)
        one.check(count)
        if number > 1 and one.entry.startswith("MIG"):
            raise UserError(
                f"--devices {number}: CUDA shows a process one MIG slice alone; give --devices 1"
            )


def scaled(profile: Profile, numbers: Sequence[int], cpus: int | None = None) -> Profile:
    """The profile of a run that trains on several devices: on the CPU each has as many of its CPUs,
    also where one trains alone.

    Args:
        profile: Any.
        numbers: Numbers of devices.
        cpus: Of the machine that measures; by default of this one.

    Raises:
        UserError: There are not so many CPUs.
    """
    most = max(numbers, default=1)
    cpus = len(usable_cpus()) if cpus is None else cpus
    if most == 1:
        return profile
    if most > cpus:
        raise UserError(f"--devices {most}: {cpus} CPUs can be used here; give 1 to {cpus}")
    return replace(profile, limits=replace(profile.limits, device_cpus=cpus // most))


def claimed(profile: Profile, device: str, number: int = 1, *, exclusive: bool) -> Profile:
    """The profile, its measurements exclusive where that is asked for.

    Warns where other programs compute on the device already.

    Args:
        profile: Any.
        device: The device that is measured, or the first of several.
        number: How many are.
        exclusive: Whether other programs are an error.

    Raises:
        UserError: They do, and the run is to be exclusive.
    """
    if found := others_on(device, number):
        if exclusive:
            raise UserError(f"--exclusive: {found}; end them, or leave --exclusive out")
        warnings.warn(f"{found}: its figures are those of a shared device", SharedDeviceWarning, 2)
    if not exclusive:
        return profile
    return replace(profile, limits=replace(profile.limits, exclusive=True))
