"""What a worker can measure, by kind; one clock for all, and the same for every framework.

A reading is sync, ``perf_counter`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.worker.measurements.accuracy import accuracy
from bench.worker.measurements.speed import inference, latency, startup, train_throughput
from bench.worker.session import Result, Session

MEASUREMENTS: dict[str, Callable[[Session], Result]] = {
    "startup": startup,
    "train_throughput": train_throughput,
    "inference": inference,
    "latency": latency,
    "accuracy": accuracy,
}
