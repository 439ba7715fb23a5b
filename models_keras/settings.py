"""What Keras and its backend say is in force.

What only a backend can tell is one small file each: ``settings_tensorflow.py``,
``settings_jax.py``, ``settings_torch.py``, with a function ``in_backend``.
"""

from __future__ import annotations

import importlib
from typing import Any

import keras
from keras import ops

from bench.training.settings import Settings

_AXES = {"channels_last": "NHWC", "channels_first": "NCHW"}


def in_force(model: keras.Model, execution: dict[str, Any]) -> Settings:
    """Read back around one run of the model's first convolution, under the layer's own policy.

    ``execution`` is what the trainer knows of its compiled step: ``execution``, ``jit_compile``.
    """
    conv = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    activation = conv(_pictures(conv))
    backend = importlib.import_module(f"models_keras.settings_{keras.backend.backend()}")
    return Settings(
        weight_dtype=conv.kernel.dtype,
        compute_dtype=conv.compute_dtype,
        activation_dtype=keras.backend.standardize_dtype(activation.dtype),
        accumulation_dtype=None,
        **execution,
        **backend.in_backend(conv.kernel.value, activation, _AXES[conv.data_format]),
    )


def _pictures(conv: keras.layers.Conv2D) -> Any:
    """Two pictures of zeros, large enough for 2×2 places: no axis of the output has size 1."""
    sides = [k + s for k, s in zip(conv.kernel_size, conv.strides, strict=True)]
    channels = conv.kernel.shape[2] * conv.groups
    last = conv.data_format == "channels_last"
    return ops.zeros((2, *sides, channels) if last else (2, channels, *sides))
