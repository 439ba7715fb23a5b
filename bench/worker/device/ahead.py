"""Inputs of training steps that are made ahead, while an accelerator computes.

Drawing the dropout masks of a large batch may take the host longer than an accelerator takes for
the step, and the transfer to it is waited for where it is not made ahead. An input is a function of
its step: one that is made and not taken changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

DEPTH = 3
"""Inputs that are made ahead."""


class Ahead(Iterator[T]):
    """``make(step)`` of every step from ``first`` to ``end``, in order, a few steps ahead."""

    def __init__(self, make: Callable[[int], T], first: int, end: int, pool: Executor) -> None:
        self._make, self._step, self._end, self._pool = make, first, end, pool
        self._waiting: dict[int, Future[T]] = {}

    def __next__(self) -> T:
        if self._step >= self._end:
            raise StopIteration
        step, self._step = self._step, self._step + 1
        for later in range(step, min(step + DEPTH, self._end)):
            if later not in self._waiting:
                self._waiting[later] = self._pool.submit(self._make, later)
        return self._waiting.pop(step).result()

    def settle(self) -> None:
        """Wait until nothing is being made: it would delay whatever is timed meanwhile."""
        wait(self._waiting.values())

    def cancel(self) -> None:
        """Make no further one."""
        for future in self._waiting.values():
            future.cancel()


@contextmanager
def made_ahead(make: Callable[[int], T], first: int, end: int) -> Iterator[Ahead[T]]:
    """The inputs of these steps.

    The one thread that makes them lives within the block: nothing is made between two calls of a
    trainer, while other processes are measured.
    """
    with ThreadPoolExecutor(1) as pool:
        inputs = Ahead(make, first, end, pool)
        try:
            yield inputs
        finally:
            inputs.cancel()
