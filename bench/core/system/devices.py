"""The devices that a case can be measured on: their names, and what hides the others from a worker.

A case calls its device ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``. A worker sees that one
device alone and as its first: inside it, ``cuda:1`` is ``cuda``.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from bench.core.errors import UserError
from bench.core.text import many

AUTO = "auto"
"""The accelerator that every framework of a call can use, else the CPU."""


@dataclass(frozen=True)
class DeviceKind:
    """One kind of device.

    Attributes:
        name: As cases and the command line have it.
        title: In messages.
        read_back: What frameworks call it when its name is read back from them.
        visible: Variable that lists the devices a process may see; None where there is none.
        jax_platforms: ``JAX_PLATFORMS`` of a worker; the first one is used.
        torch: PyTorch's name of it, for Keras on PyTorch.
        here: Whether the machine seems to have one, by its driver alone.
        absent: What is missing where it does not.
        tf32: Whether such a device may round float32 products to TensorFloat-32 here.
        float64: Whether it computes in float64, in which parity is checked.
    """

    name: str
    title: str
    read_back: tuple[str, ...]
    visible: str | None
    jax_platforms: str
    torch: str
    here: Callable[[], bool]
    absent: str
    tf32: bool = False
    float64: bool = True

    @property
    def jax_platform(self) -> str:
        """JAX's name of it."""
        return self.jax_platforms.partition(",")[0]

    @property
    def accelerator(self) -> bool:
        """Whether it is not the CPU."""
        return self.name != "cpu"


def _any_path(*paths: str) -> Callable[[], bool]:
    return lambda: any(Path(path).exists() for path in paths)


def _apple_silicon() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


DEVICE_KINDS: dict[str, DeviceKind] = {
    row.name: row
    for row in (
        DeviceKind("cpu", "CPU", ("cpu",), None, "cpu", "cpu", lambda: True, ""),
        DeviceKind(
            "cuda",
            "CUDA device",
            ("cuda", "gpu", "rocm"),
            "CUDA_VISIBLE_DEVICES",
            # JAX moves data through its CPU platform, too.
            "cuda,cpu",
            "cuda",
            # NVIDIA's driver, the same under WSL 2, and AMD's, which PyTorch calls cuda.
            _any_path("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd"),
            "no driver of one is loaded (there is no /dev/nvidiactl)",
            tf32=True,
        ),
        DeviceKind(
            "mps",
            "Metal device",
            ("mps", "metal", "gpu"),
            None,
            "METAL,cpu",
            "mps",
            _apple_silicon,
            "it is no Mac with Apple silicon",
            float64=False,
        ),
        DeviceKind(
            "xpu",
            "Intel GPU",
            ("xpu", "gpu", "oneapi"),
            "ZE_AFFINITY_MASK",
            "oneapi,cpu",
            "xpu",
            _any_path("/dev/dri/renderD128"),
            "no driver of one is loaded (there is no /dev/dri/renderD128)",
        ),
    )
}

NAMES = (AUTO, *DEVICE_KINDS)
_FORMS = ", ".join((*NAMES, *(f"{row.name}:N" for row in DEVICE_KINDS.values() if row.visible)))
"""The names that a user may give, whatever this machine has."""
_NO_DEVICE = ("", "-1", "NoDevFiles")
"""Entries that name none; the last one is Slurm's, in a job that was given no GPU."""
_ALIASES = {"gpu": "cuda"}
"""JAX's and TensorFlow's word."""
_NAME = re.compile(r"([a-z]+)(?::(\d{1,3}))?")


@dataclass(frozen=True)
class Device:
    """One device of this machine.

    Attributes:
        kind: Its kind.
        index: Its number among those that this process may see.
    """

    kind: DeviceKind
    index: int = 0

    def __str__(self) -> str:
        """``cpu``, ``cuda``, ``cuda:1``: the canonical name, with a number from the second on."""
        return f"{self.kind.name}:{self.index}" if self.index else self.kind.name

    @property
    def accelerator(self) -> bool:
        """Whether it is not the CPU."""
        return self.kind.accelerator

    @property
    def in_worker(self) -> str:
        """Its name inside a worker, which sees no other device of the kind."""
        return self.kind.name

    @property
    def entry(self) -> str:
        """What names it in the visibility variable and to NVML: a number, or the user's own entry
        (a UUID, a MIG slice) where that variable is set already."""
        listed = self._listed()
        return str(self.index) if listed is None else listed[self.index]

    def _listed(self) -> list[str] | None:
        """The entries of the user's own visibility variable; None where it is not set.

        As CUDA reads it: an entry that names no device hides those after it, too.
        https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables
        """
        value = os.environ.get(self.kind.visible or "")
        if value is None:
            return None
        entries = (part.strip() for part in value.split(","))
        return list(takewhile(lambda entry: entry not in _NO_DEVICE, entries))

    def check(self, count: int | None = None) -> None:
        """Raise UserError where this machine cannot have the device.

        Args:
            count: How many there are, where something can count them.
        """
        listed = self._listed() if self.accelerator else None
        option = f"--device {self}"
        if listed is not None and self.index >= len(listed):
            value = os.environ[self.kind.visible or ""]
            raise UserError(
                f"{option}: {self.kind.visible}={value} leaves {_counted(self, listed)}"
            )
        if not self.kind.here() and not count:
            raise UserError(
                f"{option}: this machine has no {self.kind.title}: {self.kind.absent}; "
                "--device cpu runs everywhere"
            )
        if count is not None and listed is None and self.index >= count:
            raise UserError(f"{option}: this machine has {_counted(self, range(count))}")


def _counted(device: Device, there: range | list[str]) -> str:
    number, kind = len(there), device.kind
    if not number:
        return f"no {kind.title}; --device cpu runs everywhere"
    names = ", ".join(str(Device(kind, index)) for index in range(number))
    return f"{many(number, kind.title)}: {names}"


CPU = Device(DEVICE_KINDS["cpu"])


def parse(name: str) -> Device:
    """The device of a canonical or a user's name: ``cuda:0`` is ``cuda``, ``gpu`` too.

    Raises:
        UserError: It is the name of no device.
    """
    found = _NAME.fullmatch(name.strip().lower())
    base = found and _ALIASES.get(found[1], found[1])
    if not found or base not in DEVICE_KINDS:
        raise UserError(f"unknown device {name[:40]!r}; known: {_FORMS}")
    kind, index = DEVICE_KINDS[base], int(found[2] or 0)
    if index and kind.visible is None:
        raise UserError(f"device {name}: a machine has one {kind.title}: {kind.name}")
    return Device(kind, index)


def accelerated(name: str) -> bool:
    """Whether a case's device is not the CPU."""
    return parse(name).accelerator


_WORDS = "cpu|cuda|gpu|rocm|mps|metal|xpu|oneapi"
_READ_BACK = re.compile(
    rf"({_WORDS})(?::(\d+))?(?:\)|$)|^({_WORDS})\b",
    re.IGNORECASE,
)


def kind_read_back(name: object) -> str | None:
    """The word for a device in a framework's own name of it: ``cuda`` of ``cuda:0``, ``gpu`` of
    ``/job:localhost/replica:0/task:0/device:GPU:0``; None where there is none."""
    found = _READ_BACK.search(str(name).strip())
    return (found[1] or found[3]).lower() if found else None


def mismatch(asked: str, found: object) -> str | None:
    """Why a device that was read back is not the one that was asked for; None where it is.

    Frameworks that report none are believed on the CPU only.
    """
    device = parse(asked)
    if found is None and not device.accelerator:
        return None
    if kind_read_back(found) in device.kind.read_back:
        return None
    where = "reports no device" if found is None else f"has its weights on {str(found)[:60]}"
    return f"device {asked} was asked for, and the framework {where}"


def worker_environment(name: str, devices: int = 1) -> Mapping[str, str]:
    """Variables that show a worker its device, or as many from it on, and no other."""
    device = parse(name)
    found = {
        "JAX_PLATFORMS": device.kind.jax_platforms,
        "KERAS_TORCH_DEVICE": device.kind.torch,
        # NVML and nvidia-smi count in this order; CUDA's own puts the fastest card first.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "",
    }
    if not device.accelerator:
        return found
    if device.kind.visible:
        every = (Device(device.kind, device.index + place) for place in range(devices))
        found[device.kind.visible] = ",".join(one.entry for one in every)
    # Processes that are compared share one device: none may take all of its memory at its start.
    return found | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
