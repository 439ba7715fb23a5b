"""Whether PyTorch can use a device: a small product on it."""

from __future__ import annotations

import torch

from bench.training.interfaces import DeviceReport
from models_torch.settings import of_device


def probe(kind: str) -> DeviceReport:
    """What ``bench.training.frameworks`` names; raises whatever PyTorch says where it cannot."""
    ones = torch.ones(8, 8, device=kind)
    float((ones @ ones).sum())  # waits: a kernel that this build lacks fails here
    found = of_device(ones)
    return DeviceReport(found["device"], found["device_name"])
