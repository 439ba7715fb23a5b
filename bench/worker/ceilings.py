"""The operations whose best pace is a machine's ceiling: shapes, operation counts, and the clock.

The worker's end of `ceilings`. Nothing here knows a framework: it gives a maker, the contract
below, and the parent gives the operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from bench.training.interfaces import Conv, Maker, MatMul, Operation, Run

PRECISIONS = ("float32", "bfloat16")
OPERATION_NAMES = {"matmul": "matrix product", "conv": "convolution"}
"""With their names for a reader."""

BLOCK_SECONDS = 0.1
"""Long enough that the clock's own cost is nothing, short enough to fall between disturbances."""
BLOCKS = 5
"""The best of them counts: whatever else the machine does can only slow an operation down."""
OPERATION_SECONDS = 0.8
"""Blocks begin within this time: six operations then take a framework 5 s per precision."""


OPERATIONS: tuple[Operation, ...] = (
    MatMul(1024, 1024, 1024),
    MatMul(2048, 2048, 2048),
    MatMul(256, 9216, 4096),  # AlexNet's first dense layer
    Conv(64, 13, 256, 384, 3),  # AlexNet's third
    Conv(32, 32, 128, 128, 3),
    Conv(32, 27, 64, 192, 5),  # torchvision's second
)


OperationResult = dict[str, Any]
"""``operation``, ``shape``, ``precision``, ``flops_per_second``; ``reason`` where that is None."""


def to_json(operation: Operation) -> dict[str, Any]:
    """For a command and for a cache."""
    return {"operation": operation.operation, **dataclasses.asdict(operation)}


def from_json(value: Mapping[str, Any]) -> Operation:
    """What `to_json` wrote."""
    sizes = {name: size for name, size in value.items() if name != "operation"}
    return MatMul(**sizes) if value["operation"] == MatMul.operation else Conv(**sizes)


def measure_all(
    make: Maker, operations: Sequence[Operation], precisions: Sequence[str] = PRECISIONS
) -> list[OperationResult]:
    """Every operation in every precision. One that the framework lacks says so in its answer."""
    found: list[OperationResult] = []
    for precision in precisions:
        paces: dict[str, float] = {}  # by kind of operation, the best so far
        for operation in operations:
            answer = _measure(make, operation, precision, paces.get(operation.operation))
            pace = answer["flops_per_second"]
            if pace is not None:
                paces[operation.operation] = max(pace, paces.get(operation.operation, 0.0))
            found.append(answer)
    return found


def _measure(
    make: Maker, operation: Operation, precision: str, pace: float | None
) -> OperationResult:
    answer: OperationResult = {
        "operation": operation.operation,
        "shape": operation.text,
        "precision": precision,
        "flops_per_second": None,
    }
    # What is emulated would take minutes, and cannot be the ceiling of a machine.
    if pace is not None and operation.flops / pace > 2 * OPERATION_SECONDS:
        seconds = operation.flops / pace
        return answer | {"reason": f"left out: about {seconds:.1f} s a call, by those before it"}
    try:
        run = make(operation, precision)
        seconds = best_seconds(run)
    except Exception as error:  # each framework has classes of its own for what it lacks
        lines = str(error).strip().splitlines() or [""]
        return answer | {"reason": f"{type(error).__name__}: {lines[0][:200]}"}
    return answer | {"flops_per_second": operation.flops / seconds}


def best_seconds(run: Run, clock: Callable[[], float] = perf_counter) -> float:
    """Seconds of one call in the quickest of a few blocks, behind a warm-up."""
    run(1)  # traces, compiles, touches the memory
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
