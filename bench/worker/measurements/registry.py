"""What a worker can measure, by kind; one clock for all, and the same for every framework.

A reading is sync, ``perf_counter`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.core.extensions import load_object
from bench.core.kinds import KINDS
from bench.worker.session import Result, Session

# Imported with the worker: none of it is imported between two measurements.
MEASUREMENTS: dict[str, Callable[[Session], Result]] = {
    row.name: load_object(row.measurement) for row in KINDS.values()
}
