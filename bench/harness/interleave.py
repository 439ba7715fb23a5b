"""Workers that are alive together and take turns: how frameworks are timed beside each other.

A *match* is one network in every framework that is compared. Each of its *relays* takes a fresh
process of everyone and lets them run a block in turns, A B B A, so that a machine that slows down
slows down all of them. Whoever does not run is stopped by the kernel, and burns no core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.core.limits import Limits
from bench.core.samples import Block
from bench.harness.matrix import Job, Task
from bench.worker.client import OnProgress, Worker, WorkerError, bare_start

TURNED = ("train_throughput", "inference", "latency")
"""Kinds that are measured in turns; a start-up is over when its process can take one, and a kind
that is not named here is measured at once, after these."""


@dataclass
class Tally:
    """What the processes of one task have given so far."""

    task: Task
    blocks: list[Block] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """Of each process that came to its end."""
    error: WorkerError | None = None
    """The first; nothing more is asked of this task then."""
    started_at: str = ""
    seconds: float = 0.0

    def add(self, process: int, turn: int, samples: Sequence[float]) -> None:
        """The samples of one turn."""
        self.blocks.append(Block(process, turn, len(samples)))
        self.samples.extend(samples)

    @property
    def steps(self) -> int | None:
        """Steps of a block, as the first process found them."""
        return self.answers[0]["metrics"].get("steps_per_sample") if self.answers else None

    @property
    def begun(self) -> bool:
        """Whether there is a result, be it of fewer processes than were wanted."""
        return bool(self.answers)


class Seat:
    """One job's place in a relay: its worker, opened when it is first needed."""

    def __init__(self, job: Job, data: Path, limits: Limits, alone: bool) -> None:
        self.job = job
        self._made = (job.case, data, limits)
        self._alone = alone
        self._worker: Worker | None = None

    def use(self, on_progress: OnProgress) -> Worker:
        """The worker, awake and open; raises WorkerError."""
        if self._worker is None:
            self._worker = Worker(*self._made, weights=self.job.weights)
            self._worker.open(on_progress)
        self._worker.resume()
        return self._worker

    def rest(self) -> None:
        """Stop it until it is used again."""
        if self._worker and not self._alone:
            self._worker.pause()

    def leave(self) -> None:
        """End its process: after a failure it may hold memory or half a state."""
        if self._worker:
            self._worker.close()
        self._worker = None


class Match:
    """The jobs of one network, in turns, for as many relays as are wanted."""

    def __init__(
        self,
        jobs: Sequence[Job],
        data: Path,
        limits: Limits,
        started: Callable[[Task], None],
        on_progress: OnProgress,
    ) -> None:
        self._jobs, self._data, self._limits = jobs, data, limits
        self._started, self._on_progress = started, on_progress
        self.tallies = [Tally(task) for job in jobs for task in job.tasks]

    def relay(self, process: int) -> None:
        """One fresh process of everyone, through all kinds."""
        alone = len(self._jobs) == 1
        seats = [Seat(job, self._data, self._limits, alone) for job in self._jobs]
        with ExitStack() as stack:
            for seat in seats:
                stack.callback(seat.leave)
            order = seats if process % 2 == 0 else seats[::-1]
            for seat in order:
                self._at_once(seat, "startup", process)
            for kind in TURNED:
                self._in_turns(kind, order, process)
            kinds = dict.fromkeys(tally.task.kind for tally in self.tallies)
            for kind in (kind for kind in kinds if kind not in ("startup", *TURNED)):
                for seat in order:
                    self._at_once(seat, kind, process)

    def _at_once(self, seat: Seat, kind: str, process: int) -> None:
        for tally in self._open_tallies(seat, kind):

            def measure(tally: Tally = tally) -> None:
                began = perf_counter()
                answer = seat.use(self._on_progress).measure(kind, self._on_progress)
                if kind == "startup" and self._limits.bare_start:
                    answer["metrics"] |= _beside_bare(seat, perf_counter() - began)
                tally.add(process, 0, answer["samples"])
                tally.answers.append(answer)

            self._attempt(seat, tally, measure)
        seat.rest()

    def _in_turns(self, kind: str, order: Sequence[Seat], process: int) -> None:
        extras = process == 0
        pairs = [(seat, tally) for seat in order for tally in self._open_tallies(seat, kind)]
        ready = [pair for pair in pairs if self._begin(*pair, kind, extras=extras)]
        turns = self._limits.turns(kind, extras=extras)
        for turn in range(turns):
            for seat, tally in ready if turn % 2 == 0 else ready[::-1]:
                self._block(seat, tally, process, turn)
            ready = [pair for pair in ready if pair[1].error is None]
            self._on_progress((turn + 1) / turns, f"{kind}, process {process + 1}")
        for seat, tally in ready:
            self._end(seat, tally)

    def _begin(self, seat: Seat, tally: Tally, kind: str, *, extras: bool) -> bool:
        def begin() -> None:
            worker = seat.use(self._on_progress)
            worker.begin(kind, tally.steps, extras=extras, on_progress=self._on_progress)

        return self._attempt(seat, tally, begin)

    def _block(self, seat: Seat, tally: Tally, process: int, turn: int) -> None:
        def block() -> None:
            samples = seat.use(self._on_progress).block(lambda done, note: None)
            tally.add(process, turn, samples)

        self._attempt(seat, tally, block)

    def _end(self, seat: Seat, tally: Tally) -> None:
        def end() -> None:
            tally.answers.append(seat.use(self._on_progress).end(self._on_progress))

        self._attempt(seat, tally, end)

    def _attempt(self, seat: Seat, tally: Tally, work: Callable[[], None]) -> bool:
        """Do it on the task's account; a failure is the task's own, and the seat is left."""
        began = perf_counter()
        if not tally.started_at:
            tally.started_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._started(tally.task)
        try:
            work()
        except WorkerError as error:
            tally.error = error
            seat.leave()
        finally:
            tally.seconds += perf_counter() - began
        seat.rest()
        return tally.error is None

    def _open_tallies(self, seat: Seat, kind: str) -> Iterator[Tally]:
        return (
            tally
            for tally in self.tallies
            if tally.task in seat.job.tasks and tally.task.kind == kind and tally.error is None
        )


def _beside_bare(seat: Seat, worker_seconds: float) -> dict[str, float]:
    """A start-up as the parent sees it, from the birth of the process to the end of the first step,
    and that of a process which takes the shortest way there."""
    seat.rest()
    bare = bare_start(seat.job.case)
    return {} if bare is None else {"worker_seconds": worker_seconds, "bare_seconds": bare}
