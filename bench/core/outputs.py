"""Standard streams that outlast their reader: a run goes on when its log pipe or log disk fails."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING, Literal

from bench.core.signals import to_nowhere

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Lasting(io.RawIOBase):
    """A descriptor for writing; ``/dev/null`` takes its place with the first write that fails."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: ReadableBuffer, /) -> int:
        while True:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:  # another program has made the terminal non-blocking
                select.select([], [self._descriptor], [])
            except OSError:
                to_nowhere(self._descriptor)


def keep(*names: Literal["stdout", "stderr"]) -> None:
    """Have standard streams of this process outlast their reader, their pipe and their disk.

    A stream that was closed is one from now on: else the next file that is opened had its number,
    and what a library prints would be written into that.
    """
    for name in names:
        descriptor = 1 if name == "stdout" else 2
        try:
            os.fstat(descriptor)
        except OSError:
            to_nowhere(descriptor)
        stream = getattr(sys, name)
        if stream is None:
            stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if not _is_standard(stream, descriptor):
            continue
        stream.flush()
        lasting = io.TextIOWrapper(
            io.BufferedWriter(_Lasting(descriptor)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, lasting)


def _is_standard(stream: object, descriptor: int) -> bool:
    """Whether a stream writes to the descriptor; tests and pytest put others in its place."""
    if not isinstance(stream, io.TextIOWrapper):
        return False
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):
        return False
