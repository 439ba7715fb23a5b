"""Inputs of training steps that are made ahead, while an accelerator computes.

Drawing the dropout masks of a large batch may take the host longer than an accelerator takes for
the step, and the transfer to it is waited for where it is not made ahead. An input is a function of
its step: one that is made and not taken changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

DEPTH = 3
"""Inputs that are made ahead."""


@contextmanager
def made_ahead(make: Callable[[int], T], first: int, end: int) -> Iterator[Iterator[T]]:
    """``make(step)`` of every step from ``first`` to ``end``, in order, a few steps ahead.

    The one thread that makes them lives within the block: nothing is made between two calls of a
    trainer, while other processes are measured.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: dict[int, Future[T]] = {}

        def inputs() -> Iterator[T]:
            for step in range(first, end):
                for later in range(step, min(step + DEPTH, end)):
                    if later not in waiting:
                        waiting[later] = pool.submit(make, later)
                yield waiting.pop(step).result()

        try:
            yield inputs()
        finally:
            for future in waiting.values():
                future.cancel()
