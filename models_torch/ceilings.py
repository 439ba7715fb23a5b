"""The fastest matrix products and convolutions of PyTorch, for `bench.harness.ceilings`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training.interfaces import MatMul, Operation, Run


def create(threads: int) -> TorchMaker:
    """What ``bench.training.frameworks`` names."""
    torch.set_num_threads(threads)
    return TorchMaker()


class TorchMaker:
    """Eager calls in inference mode: on the CPU they return when the result is complete."""

    def __call__(self, operation: Operation, precision: str) -> Run:
        """Operands are made once, so that only the operation is timed."""
        dtype = getattr(torch, precision)
        if isinstance(operation, MatMul):
            a = torch.randn(operation.m, operation.k).to(dtype)
            b = torch.randn(operation.k, operation.n).to(dtype)
            return _repeated(torch.matmul, a, b)
        side, kernel = operation.side, operation.kernel
        x = torch.randn(operation.batch, operation.inputs, side, side)
        w = torch.randn(operation.outputs, operation.inputs, kernel, kernel)
        last = torch.channels_last  # oneDNN's own layout: it converts any other
        x, w = (tensor.to(dtype).to(memory_format=last) for tensor in (x, w))
        return _repeated(lambda x, w: F.conv2d(x, w, padding=kernel // 2), x, w)


def _repeated(function: Callable[..., Tensor], *operands: Tensor) -> Run:
    def run(times: int) -> None:
        with torch.inference_mode():
            for _ in range(times):
                function(*operands)

    return run
