"""The settings in force, read back from Keras and its backend, and the precision to compute in."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.src.backend.common import dtypes  # private, and the only place to set it

from bench.training.settings import Settings
from models_keras.backend import current

_AXES = {"channels_last": "NHWC", "channels_first": "NCHW"}
_OWN_FLOAT64 = dtypes.BIT64_TO_BIT32_DTYPE["float64"]
"""What Keras makes of float64 on this backend."""


def in_force(model: keras.Model, execution: dict[str, Any], step: Any = None) -> dict[str, Any]:
    """Read back around one run of the model's first convolution, under the layer's own policy.

    Args:
        model: The network.
        execution: The trainer's ``execution`` and ``jit_compile``.
        step: The function that trains, as far as it is compiled.

    Returns:
        :class:`bench.training.settings.Settings` as a dictionary; with ``compilation`` where the
        backend counts what it compiles.
    """
    conv = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    activation = conv(_images(conv))
    found = Settings(
        weight_dtype=conv.kernel.dtype,
        compute_dtype=conv.compute_dtype,
        activation_dtype=keras.backend.standardize_dtype(activation.dtype),
        accumulation_dtype=None,
        loss_scale=None,
        **execution,
        **current().in_backend(conv.kernel.value, activation, _AXES[conv.data_format]),
    ).to_json()
    counted = current().compilation(step, jit=bool(execution["jit_compile"]))
    return found if counted is None else found | {"compilation": counted}


def _images(conv: keras.layers.Conv2D) -> Any:
    """Two images of zeros, large enough for 2×2 positions: no axis of the output has size 1."""
    sides = [k + s for k, s in zip(conv.kernel_size, conv.strides, strict=True)]
    channels = conv.kernel.shape[2] * conv.groups
    last = conv.data_format == "channels_last"
    return ops.zeros((2, *sides, channels) if last else (2, channels, *sides))


def use_precision(dtype: str) -> None:
    """Make ``dtype`` the type of weights, layers and of Keras's own intermediate results.

    Independent of keras.json: float32 for everything that is measured, float64 for parity checks.
    On JAX and PyTorch, Keras casts the result of every mixed operation (BatchNorm's among them)
    from float64 to float32, by a table; for a parity check in float64 the table is changed.
    """
    keras.mixed_precision.set_dtype_policy(dtype)
    keras.config.set_floatx(dtype)
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64" if dtype == "float64" else _OWN_FLOAT64
