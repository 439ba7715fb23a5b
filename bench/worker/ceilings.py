"""The ceiling of a machine: the best measured speed of single operations, in FLOP/s.

The worker's part of :mod:`bench.harness.ceilings`. It knows no framework: a framework provides a
:data:`bench.training.interfaces.Maker`, the parent chooses the operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from bench.core.devices import accelerated
from bench.training.interfaces import Conv, Maker, MatMul, Operation, Run

PRECISIONS = ("float32", "bfloat16")
ACCELERATOR_PRECISIONS = ("float32", "tf32", "bfloat16")
"""TensorFloat-32 is a precision of its own there: float32 is measured without it."""
OPERATION_NAMES = {"matmul": "matrix product", "conv": "convolution"}
"""Labels of the operations, for tables."""

BLOCK_SECONDS = 0.1
"""Long compared with reading the clock, short compared with disturbances by other processes."""
BLOCKS = 5
"""The best counts: other processes can only slow an operation down."""
OPERATION_SECONDS = 0.8
"""No block begins later than this: six operations take a framework 5 s per precision."""


OPERATIONS: tuple[Operation, ...] = (
    MatMul(1024, 1024, 1024),
    MatMul(2048, 2048, 2048),
    MatMul(256, 9216, 4096),  # AlexNet's first dense layer
    Conv(64, 13, 256, 384, 3),  # AlexNet's third
    Conv(32, 32, 128, 128, 3),
    Conv(32, 27, 64, 192, 5),  # torchvision's second
)


ACCELERATOR_OPERATIONS: tuple[Operation, ...] = (
    MatMul(4096, 4096, 4096),
    MatMul(8192, 8192, 8192),
)
"""Large enough to fill a graphics card.

No convolutions: cuDNN may take an algorithm (FFT, Winograd) that executes fewer operations than are
counted. On an H100 a 5x5 convolution in float32 without TF32 counted 174 TFLOP/s, 2.6 times the
card's peak.
"""


def precisions_of(device: str) -> tuple[str, ...]:
    """The precisions whose peak is measured on a device."""
    return ACCELERATOR_PRECISIONS if accelerated(device) else PRECISIONS


def operations_of(device: str) -> tuple[Operation, ...]:
    """The operations that are measured on a device."""
    return ACCELERATOR_OPERATIONS if accelerated(device) else OPERATIONS


OperationResult = dict[str, Any]
"""``operation``, ``shape``, ``precision``, ``flops_per_second``; ``reason`` where that is None."""


def to_json(operation: Operation) -> dict[str, Any]:
    """An operation as a JSON object, for a command or a cache."""
    return {"operation": operation.operation, **dataclasses.asdict(operation)}


def from_json(value: Mapping[str, Any]) -> Operation:
    """The operation that `to_json` wrote."""
    sizes = {name: size for name, size in value.items() if name != "operation"}
    return MatMul(**sizes) if value["operation"] == MatMul.operation else Conv(**sizes)


def measure_all(
    make: Maker, operations: Sequence[Operation], precisions: Sequence[str] = PRECISIONS
) -> list[OperationResult]:
    """Measure every operation in every precision.

    An operation that the framework lacks, or that would take too long, has no speed but a reason.
    """
    found: list[OperationResult] = []
    for precision in precisions:
        best: dict[str, float] = {}  # FLOP/s by kind of operation, so far
        for operation in operations:
            result = _measure(make, operation, precision, best.get(operation.operation))
            speed = result["flops_per_second"]
            if speed is not None:
                best[operation.operation] = max(speed, best.get(operation.operation, 0.0))
            found.append(result)
    return found


def _measure(
    make: Maker, operation: Operation, precision: str, speed: float | None
) -> OperationResult:
    result: OperationResult = {
        "operation": operation.operation,
        "shape": operation.text,
        "precision": precision,
        "flops_per_second": None,
    }
    # An emulated operation would take minutes, and cannot be the ceiling of a machine.
    if speed is not None and operation.flops / speed > 2 * OPERATION_SECONDS:
        seconds = operation.flops / speed
        return result | {"reason": f"skipped: about {seconds:.1f} s per call, from smaller ones"}
    try:
        run = make(operation, precision)
        seconds = best_seconds(run)
    except Exception as error:  # each framework has exception classes of its own
        lines = str(error).strip().splitlines() or [""]
        return result | {"reason": f"{type(error).__name__}: {lines[0][:200]}"}
    return result | {"flops_per_second": operation.flops / seconds}


def best_seconds(run: Run, clock: Callable[[], float] = perf_counter) -> float:
    """Seconds of one call in the fastest of a few blocks, after a warm-up."""
    run(1)  # warm-up: trace, compile, allocate
    started = clock()
    run(1)
    single = best = clock() - started
    calls = max(1, round(BLOCK_SECONDS / max(single, 1e-9)))
    for _ in range(BLOCKS):
        if clock() - started > OPERATION_SECONDS:
            break
        before = clock()
        run(calls)
        best = min(best, (clock() - before) / calls)
    return best
