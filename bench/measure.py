"""What a worker can measure, by kind; one clock for all, and the same for every framework.

A reading is sync, ``perf_counter`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.measure_accuracy import accuracy
from bench.measure_speed import inference, latency, startup, train_throughput
from bench.measuring import Bench, Result

MEASUREMENTS: dict[str, Callable[[Bench], Result]] = {
    "startup": startup,
    "train_throughput": train_throughput,
    "inference": inference,
    "latency": latency,
    "accuracy": accuracy,
}
