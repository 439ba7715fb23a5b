"""What TensorFlow says is in force."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def in_backend(kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
    """The backend's part of :class:`bench.training.settings.Settings`.

    A tensor of TensorFlow is dense in the order of its axes; it has no strides.
    """
    threading = tf.config.threading
    return {
        # 0 is TensorFlow's word for "I choose", and how many it chose it does not tell.
        "intra_op_threads": threading.get_intra_op_parallelism_threads() or None,
        "inter_op_threads": threading.get_inter_op_parallelism_threads() or None,
        **_device(kernel),
        "memory_layout": axes,
        "weight_layout": "HWIO",
        "blas": None,
        "onednn": _onednn(),
        "instruction_set": None,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "float32_matmul_precision": None,
        "deterministic": _deterministic(),
    }


def _device(kernel: Any) -> dict[str, Any]:
    spec = tf.DeviceSpec.from_string(kernel.device)
    physical = tf.config.list_physical_devices(spec.device_type)[spec.device_index]
    details = tf.config.experimental.get_device_details(physical)
    return {"device": spec.device_type.lower(), "device_name": details.get("device_name")}


def _onednn() -> bool | None:
    """The switch that TensorFlow's kernels look at themselves: private, but no guess.

    ``TF_ENABLE_ONEDNN_OPTS`` would only say what was asked for, and is mostly unset.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port  # noqa: PLC0415

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return None


def _deterministic() -> bool | None:
    """There is a public way to switch it on, and only a private one to ask."""
    try:
        from tensorflow.python.framework import config  # noqa: PLC0415

        return bool(config.is_op_determinism_enabled())
    except (ImportError, AttributeError):
        return None


_UNTOLD = object()


def compiled(function: Any) -> bool | None:
    """Whether XLA compiles a ``tf.function``: its own choice, or the process's auto-clustering."""
    if tf.config.optimizer.get_jit():
        return True
    own = getattr(function, "_jit_compile", _UNTOLD)
    return None if own is _UNTOLD else bool(own)
