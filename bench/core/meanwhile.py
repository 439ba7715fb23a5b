"""Work that a forked process does while this one does something else, and without collections."""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

from bench.core.errors import UserError
from bench.core.system.process import die_with_parent
from bench.core.system.resources import usable_cpus

T = TypeVar("T")


@contextmanager
def uncollected() -> Iterator[None]:
    """A block without garbage collection: of millions of new values none is garbage, and each
    collection would walk them all."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def worthwhile() -> bool:
    """Whether there is a processor for a second process."""
    return hasattr(os, "fork") and len(usable_cpus()) > 1


class Meanwhile(Generic[T]):
    """A value that another process computes. A context manager: the process never outlives it.

    The process begins with all that this one has, and sends its value as a pickle.

    Args:
        work: What it calls.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        reading, writing = os.pipe()
        parent = os.getpid()
        self._process = os.fork()
        if self._process == 0:
            _send(work, writing, parent)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        os.kill(self._process, signal.SIGKILL)  # it has sent all that it has, or is not wanted
        os.waitpid(self._process, 0)

    def value(self) -> T:
        """The value, when it is there; to be called once. Computed here where the process died.

        Raises:
            UserError: As the work raised it.
        """
        try:
            with uncollected():
                found: T | UserError = pickle.load(self._pipe)
        except (EOFError, pickle.UnpicklingError):
            return self._work()
        if isinstance(found, UserError):
            raise found
        return found


def _send(work: Callable[[], T], descriptor: int, parent: int) -> None:
    """Be the process: send the value, or the error, and end."""
    try:
        die_with_parent(parent)
        try:
            found: T | UserError = work()
        except UserError as error:
            found = error
        gc.disable()
        with os.fdopen(descriptor, "wb") as pipe:
            pickle.dump(found, pipe, pickle.HIGHEST_PROTOCOL)
    finally:
        os._exit(0)  # without a walk over all objects
