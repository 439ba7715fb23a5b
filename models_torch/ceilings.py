"""The fastest matrix products and convolutions of PyTorch, for `bench.harness.ceilings`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training.interfaces import MatMul, Operation, Run
from models_torch.devices import device_of, synchronise


def create(threads: int, device: str = "cpu") -> TorchMaker:
    """What ``bench.training.frameworks`` names."""
    torch.set_num_threads(threads)
    return TorchMaker(device_of(device.partition(":")[0]))


class TorchMaker:
    """Eager calls in inference mode: on the CPU they return when the result is complete."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, operation: Operation, precision: str) -> Run:
        """Operands are made once, so that only the operation is timed."""
        tf32 = precision == "tf32"
        if tf32 and self._device.type != "cuda":
            raise NotImplementedError(f"no TF32 on {self._device.type}")
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        dtype = torch.float32 if tf32 else getattr(torch, precision)
        if isinstance(operation, MatMul):
            a = self._random(operation.m, operation.k).to(dtype)
            b = self._random(operation.k, operation.n).to(dtype)
            return self._repeated(torch.matmul, a, b)
        side, kernel = operation.side, operation.kernel
        x = self._random(operation.batch, operation.inputs, side, side)
        w = self._random(operation.outputs, operation.inputs, kernel, kernel)
        last = torch.channels_last  # the layout of oneDNN and of tensor cores: they convert others
        x, w = (tensor.to(dtype).to(memory_format=last) for tensor in (x, w))
        return self._repeated(lambda x, w: F.conv2d(x, w, padding=kernel // 2), x, w)

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(shape, device=self._device)

    def _repeated(self, function: Callable[..., Tensor], *operands: Tensor) -> Run:
        def run(times: int) -> None:
            with torch.inference_mode():
                for _ in range(times):
                    function(*operands)
            synchronise(self._device)

        return run
