"""Recordings of NVML for tests: one card under load, and the same with one thing changed."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.system import nvml

if TYPE_CHECKING:
    import pytest

HOME = Path(__file__).parent / "replayed_nvml"

H100: dict[str, Any] = {
    "nvmlSystemGetDriverVersion": "580.159.04",
    "nvmlSystemGetCudaDriverVersion_v2": 13000,
    "nvmlDeviceGetCount": 1,
    "nvmlDeviceGetHandleByIndex": "handle",
    "nvmlDeviceGetHandleByUUID": "handle of a uuid",
    "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
    "nvmlDeviceGetMemoryInfo": {"total": 85520809984, "used": 2147483648},
    "nvmlDeviceGetEnforcedPowerLimit": 700000,
    "nvmlDeviceGetMaxClockInfo": 1980,
    "nvmlDeviceGetClockInfo": 1755,
    "nvmlDeviceGetTemperature": 41,
    "nvmlDeviceGetPowerUsage": 512345,
    "nvmlDeviceGetCudaComputeCapability": {"sequence": [[9, 0]]},
    "nvmlDeviceGetMigMode": {"sequence": [[0, 0]]},
    "nvmlDeviceGetUtilizationRates": {"gpu": 97, "memory": 40},
    "nvmlDeviceGetCurrentClocksEventReasons": 4,
    "nvmlDeviceGetTotalEnergyConsumption": {"per_second": 350000},
    "nvmlDeviceGetComputeRunningProcesses": [{"pid": "own", "usedGpuMemory": 1073741824}],
}
"""Shaped as `nvidia-ml-py` answers on such a card: milliwatts, millijoules, MHz, bytes."""

UNSUPPORTED = {name: {"error": "Not Supported"} for name in H100 if "Device" in name} | {
    "nvmlDeviceGetCount": 1,
    "nvmlDeviceGetHandleByIndex": "handle",
}
"""A card, or a slice of one, that answers nothing."""


def replay(monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: Any) -> None:
    """Have this process and its workers read NVML from the recording, with some answers changed."""
    path = folder / "nvml.json"
    path.write_text(json.dumps(H100 | changes), encoding="utf-8")
    monkeypatch.setenv("ALEXBENCH_TEST_NVML", str(path))
    paths = [str(Path(nvml.__file__).parents[2]), str(HOME)]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))
    monkeypatch.syspath_prepend(str(HOME))
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget an imported library, for this test alone."""
    monkeypatch.delitem(sys.modules, nvml.MODULE, raising=False)
    monkeypatch.setattr(nvml, "library", functools.cache(nvml.library.__wrapped__))


def none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without NVML, whatever this one has."""
    monkeypatch.setattr(nvml, "MODULE", "no_such_nvml")
    forget(monkeypatch)
