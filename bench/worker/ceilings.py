"""The ceiling of a machine: the best measured speed of single operations, in FLOP/s.

The worker's part of :mod:`bench.harness.ceilings`. It knows no framework: a framework provides a
:data:`bench.training.interfaces.Maker`, the parent chooses the operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from bench.core.system.devices import accelerated
from bench.training.interfaces import Conv, Maker, MatMul, Operation, Run

PRECISIONS = ("float32", "bfloat16")
ACCELERATOR_PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
"""TensorFloat-32 is a precision of its own there: float32 is measured without it."""
OPERATION_NAMES = {"matmul": "matrix product", "conv": "convolution"}
"""Labels of the operations, for tables."""

BLOCK_SECONDS = 0.1
"""Long compared with reading the clock, short compared with disturbances by other processes."""
BLOCKS = 3
"""The best counts: other processes can only slow an operation down."""
ROUNDS = 2
"""How often all operations are measured, one after the other: what disturbs the blocks of one
operation is over when its turn comes again, seconds later."""
OPERATION_SECONDS = 0.4
"""No block begins later than this: twice six operations take a framework 5 s per precision."""
LONGEST_CALL = 1.6
"""Seconds of a call above which an operation is left out: emulated, it would take minutes."""


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
counted, and come out above what the card can do.
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
    return [found for each in precisions for found in _of_precision(make, operations, each)]


def _of_precision(
    make: Maker, operations: Sequence[Operation], precision: str
) -> list[OperationResult]:
    """The best of all rounds; operations are built in the first and reused in the others."""
    built: dict[int, Run] = {}
    results: list[OperationResult] = []
    speeds: dict[str, float] = {}  # the best FLOP/s by kind of operation, so far
    for place, operation in enumerate(operations):
        result, run = _measure(make, operation, precision, speeds.get(operation.operation))
        if run is not None:
            built[place] = run
            speed = result["flops_per_second"]
            speeds[operation.operation] = max(speed, speeds.get(operation.operation, 0.0))
        results.append(result)
    for _ in range(ROUNDS - 1):
        for place, run in built.items():
            again = operations[place].flops / best_seconds(run)
            results[place]["flops_per_second"] = max(again, results[place]["flops_per_second"])
    return results


def _measure(
    make: Maker, operation: Operation, precision: str, speed: float | None
) -> tuple[OperationResult, Run | None]:
    """The result of one operation, and what runs it again; None where it has no speed."""
    result: OperationResult = {
        "operation": operation.operation,
        "shape": operation.text,
        "precision": precision,
        "flops_per_second": None,
    }
    # An emulated operation would take minutes, and cannot be the ceiling of a machine.
    if speed is not None and operation.flops / speed > LONGEST_CALL:
        seconds = operation.flops / speed
        reason = f"skipped: about {seconds:.1f} s per call, from smaller ones"
        return result | {"reason": reason}, None
    try:
        run = make(operation, precision)
        seconds = best_seconds(run)
    except Exception as error:  # each framework has exception classes of its own
        lines = str(error).strip().splitlines() or [""]
        return result | {"reason": f"{type(error).__name__}: {lines[0][:200]}"}, None
    return result | {"flops_per_second": operation.flops / seconds}, run


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
