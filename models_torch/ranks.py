"""The other processes of data-parallel training, which say what ended them.

Where one ends, rank 0 gets an error of the connection, or with NCCL none at all. What is raised
instead is one line on the rank that ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from torch import distributed

from bench.core.errors import UserError
from bench.core.system.process import oom_kills

_END_SECONDS = 5.0
"""For a process to be gone after its connections are."""


@dataclass(frozen=True)
class _Failure:
    """What ended a rank.

    Attributes:
        words: In one line.
        followed: Whether it only followed from the end of another rank.
    """

    words: str
    followed: bool = False

    @classmethod
    def of(cls, error: Exception) -> _Failure:
        """What a rank raised; a MemoryError may have no message, by which it is known."""
        said = (str(error).strip() or "out of memory").splitlines()[0]
        followed = isinstance(error, distributed.DistError) or "gloo" in str(error)
        return cls(f"{type(error).__name__}: {said}", followed)


@contextmanager
def reporting(pipe: Connection) -> Iterator[None]:  # pragma: no cover  in a process of its own
    """In a rank: what is raised in the block goes to rank 0, and ends the process.

    At once: the interpreter's own end would wait for an exchange that nobody takes part in.
    """
    try:
        yield
    except Exception as error:
        with suppress(OSError):  # rank 0 has ended
            pipe.send(_Failure.of(error))
        os._exit(1)


class Ranks:
    """Ranks 1 and up, a process each, which end with this one.

    Args:
        serve: What a rank runs: it takes its connection and its arguments, in `reporting`.
        arguments: Of every rank.
    """

    def __init__(self, serve: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._oom_kills = oom_kills()
        self._pipes: list[Connection] = []
        self._failures: dict[Connection, _Failure] = {}
        self._processes = []
        for given in arguments:
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(there, *given), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)

    @property
    def ids(self) -> tuple[int, ...]:
        """Of the processes."""
        return tuple(process.pid for process in self._processes if process.pid)

    def send(self, what: str, arguments: Sequence[Any]) -> None:
        """Have every rank do something with its argument, without an answer."""
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            pipe.send((what, argument))

    def tell(self, what: str, argument: Any = None) -> list[Any]:
        """Have all ranks do something; their answers."""
        with self.watched():
            self.send(what, [argument] * len(self._pipes))
        return self.answers()

    def answers(self) -> list[Any]:
        """The next answer of every rank.

        Raises:
            UserError: One has ended.
        """
        with self.watched():
            return [self._answer(pipe) for pipe in self._pipes]

    def _answer(self, pipe: Connection) -> Any:
        ready = wait([pipe, *(process.sentinel for process in self._processes)])
        if pipe not in ready:
            raise EOFError("another rank has ended")
        found = pipe.recv()
        if isinstance(found, _Failure):
            self._failures[pipe] = found
            raise EOFError(found.words)
        return found

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What fails in the block because a rank has ended raises a UserError that says so."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if ended := self._ended():
                raise ended from error
            raise

    def close(self) -> None:
        """Have all of them end, and wait for it."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            with suppress(OSError):  # it has ended already
                pipe.send(("end", None))
            process.join(10)

    def _ended(self) -> UserError | None:
        """What ended a rank, the first where one brought down others; None where all live."""
        wait([process.sentinel for process in self._processes], _END_SECONDS)
        found = [(rank, self._end(rank)) for rank in range(1, len(self._pipes) + 1)]
        known = sorted(
            ((rank, end) for rank, end in found if end), key=lambda pair: pair[1].followed
        )
        return UserError(f"rank {known[0][0]}{known[0][1].words}") if known else None

    def _end(self, rank: int) -> _Failure | None:
        pipe, process = self._pipes[rank - 1], self._processes[rank - 1]
        with suppress(EOFError, OSError):
            while pipe not in self._failures and pipe.poll():
                if isinstance(found := pipe.recv(), _Failure):
                    self._failures[pipe] = found
        if said := self._failures.get(pipe):
            return replace(said, words=f": {said.words}")
        if not wait([process.sentinel], 0):
            return None
        process.join(_END_SECONDS)
        code = process.exitcode or 0
        if code >= 0:
            return _Failure(f" ended with exit code {code}")
        if -code == signal.SIGKILL and oom_kills() > self._oom_kills:
            return _Failure(" was killed by the kernel, out of memory")
        return _Failure(f" ended with signal {-code}")
