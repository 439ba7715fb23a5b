"""The interface of what runs groups of jobs, and the executor of this machine.

Executors of clusters are in `bench.executors`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from bench.core import signals
from bench.core.case import Case
from bench.core.records import Record
from bench.harness.listener import Listener
from bench.harness.matrix import Job
from bench.harness.measure import NOTHING, Keys

if TYPE_CHECKING:
    from bench.harness.run import Run


class Executor(Protocol):
    """Runs groups of jobs; the jobs of a group belong together and are measured on one machine."""

    @property
    def memory(self) -> int | None:
        """Bytes that one group may take where it is measured; None: those of this machine."""

    def prepare(self, jobs: Sequence[Job], listener: Listener, *, parity: bool) -> None:
        """Make ready for these jobs, their certificates first.

        Raises:
            UserError: Nothing of it can be measured.
        """

    def submit(self, group: Sequence[Job], done: Keys = NOTHING) -> None:
        """Add a group to what is to be measured.

        Args:
            group: The whole group.
            done: What has a record already.
        """

    def records(self, listener: Listener) -> Iterator[Record]:
        """Measure all that was submitted; yield each record when it is on the disk."""

    def cancel(self) -> None:
        """Stop what runs and forget what waits; records on the disk stay."""


class LocalExecutor:
    """This machine, one group after the other in the order of their submission."""

    memory: int | None = None

    def __init__(self, run: Run) -> None:
        self._run = run
        self._groups: deque[tuple[tuple[Job, ...], Keys]] = deque()
        self._certified: list[Case] = []

    def prepare(self, jobs: Sequence[Job], listener: Listener, *, parity: bool) -> None:
        """Note whose certificates are made, once the groups are known and the time is planned."""
        self._certified = [job.case for job in jobs] if parity else []

    def submit(self, group: Sequence[Job], done: Keys = NOTHING) -> None:
        """Add a group."""
        self._groups.append((tuple(group), done))

    def records(self, listener: Listener) -> Iterator[Record]:
        """Make the certificates, then measure the groups."""
        self._run.make_plan([group for group, _ in self._groups], self._certified, listener)
        self._run.certify(self._certified, listener)
        while self._groups:
            signals.check()
            group, done = self._groups.popleft()
            yield from self._run.execute(group, listener, done)

    def cancel(self) -> None:
        """Forget the groups; the one in hand has ended with the exception that led here."""
        self._groups.clear()
