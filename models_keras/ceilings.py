"""Keras's matrix products and convolutions, compiled as its backend does, for
`bench.harness.ceilings`.

What only a backend can tell is one small file each: ``ceiling_tensorflow.py``,
``ceiling_jax.py``, ``ceiling_torch.py``, with a function ``compiled``.
"""

from __future__ import annotations

import importlib
from typing import Any

import keras
import numpy as np
from keras import ops

from bench.training.interfaces import MatMul, Operation, Run


def create(threads: int) -> KerasMaker:
    """What ``bench.training.frameworks`` names; the backend is the one of this process."""
    backend = keras.backend.backend()
    step = importlib.import_module(f"models_keras.step_{backend}")
    step.configure(threads, deterministic=False)
    return KerasMaker(importlib.import_module(f"models_keras.ceiling_{backend}"))


class KerasMaker:
    """``keras.ops`` inside whatever the backend compiles with."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __call__(self, operation: Operation, precision: str) -> Run:
        """Operands are made once, so that only the operation is timed."""
        if isinstance(operation, MatMul):
            shapes: list[tuple[int, ...]] = [(operation.m, operation.k), (operation.k, operation.n)]
            function = ops.matmul
        else:
            side, kernel = operation.side, operation.kernel
            picture = (operation.batch, side, side, operation.inputs)
            shapes = [picture, (kernel, kernel, operation.inputs, operation.outputs)]
            function = _convolved
        rng = np.random.default_rng(0)
        arrays = (rng.standard_normal(shape, np.float32) for shape in shapes)
        operands = [ops.cast(ops.convert_to_tensor(array), precision) for array in arrays]
        run: Run = self._backend.compiled(function, operands)
        return run


def _convolved(x: Any, kernel: Any) -> Any:
    return ops.conv(x, kernel, strides=1, padding="same", data_format="channels_last")
