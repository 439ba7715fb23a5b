"""What PyTorch says is in force under Keras."""

from __future__ import annotations

from typing import Any

from models_torch.settings import layout, of_device, of_process


def in_backend(kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
    """The backend's part of :class:`bench.training.settings.Settings`."""
    return {
        **of_process(),
        **of_device(kernel),
        "memory_layout": layout(activation, axes),
        "weight_layout": layout(kernel, "HWIO"),
    }
