"""What JAX says is in force."""

from __future__ import annotations

from typing import Any

import jax


def in_backend(kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
    """The backend's part of :class:`bench.training.settings.Settings`.

    JAX tells neither its threads (the affinity binds them) nor what XLA generated code for, and
    it has no switch for oneDNN or for determinism on the CPU.
    """
    device = next(iter(kernel.devices()))
    precision = jax.config.jax_default_matmul_precision
    return {
        "intra_op_threads": None,
        "inter_op_threads": None,
        "device": device.platform,
        "device_name": None if device.platform == "cpu" else device.device_kind,
        "memory_layout": _layout(activation, axes),
        "weight_layout": _layout(kernel, "HWIO"),
        "blas": None,
        "onednn": None,
        "instruction_set": None,
        # Without a word of its own (None) the choice is the platform's.
        "tf32": precision and precision not in ("highest", "float32"),
        "float32_matmul_precision": precision,
        "deterministic": None,
    }


def _layout(array: Any, axes: str) -> str | None:
    """``axes`` from the slowest to the fastest; None in versions of JAX that do not tell."""
    layout = getattr(getattr(array, "format", None), "layout", None)
    order = getattr(layout, "major_to_minor", None)
    return None if order is None else "".join(axes[axis] for axis in order)
