"""The fastest matrix products and convolutions of Keras, for `bench.harness.ceilings`: compiled as
its backend does."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from bench.core.system.devices import DEVICE_KINDS
from bench.training.interfaces import MatMul, Operation, Run
from models_keras.backend import Backend, current


def create(threads: int, device: str = "cpu") -> KerasMaker:
    """What ``bench.training.frameworks`` names; the backend is the one of this process."""
    return KerasMaker(current(), threads, device.partition(":")[0])


class KerasMaker:
    """``keras.ops``, compiled by the backend."""

    def __init__(self, backend: Backend, threads: int, device: str) -> None:
        self._backend, self._threads, self._device = backend, threads, device
        backend.configure(threads, False, device, False)

    def __call__(self, operation: Operation, precision: str) -> Run:
        """Operands are made once, so that only the operation is timed."""
        tf32 = precision == "tf32"
        if tf32 and not DEVICE_KINDS[self._device].tf32:
            raise NotImplementedError(f"no TF32 on {self._device}")
        self._backend.configure(self._threads, False, self._device, tf32)
        if isinstance(operation, MatMul):
            shapes: list[tuple[int, ...]] = [(operation.m, operation.k), (operation.k, operation.n)]
            function = ops.matmul
        else:
            side, kernel = operation.side, operation.kernel
            images = (operation.batch, side, side, operation.inputs)
            shapes = [images, (kernel, kernel, operation.inputs, operation.outputs)]
            function = _convolved
        rng = np.random.default_rng(0)
        arrays = (rng.standard_normal(shape, np.float32) for shape in shapes)
        dtype = "float32" if tf32 else precision
        operands = [ops.cast(ops.convert_to_tensor(array), dtype) for array in arrays]
        return self._backend.compiled(function, operands)


def _convolved(x: Any, kernel: Any) -> Any:
    return ops.conv(x, kernel, strides=1, padding="same", data_format="channels_last")
