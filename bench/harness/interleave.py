"""The interleaved run: all frameworks of one network are timed block by block, A B B A.

A *group* is one network in every framework that is compared, or several networks that differ in
their normalisation (`bench.harness.grouping`). One process of each runs at a time; blocks alternate
between them, so that a machine that slows down slows down all of them. Idle
processes are paused with SIGSTOP and use no core. The next round takes fresh processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.core.kinds import KINDS
from bench.core.kinds import kind as row_of
from bench.core.limits import Limits
from bench.core.samples import Block
from bench.harness.matrix import Job, Task
from bench.harness.results import checked, checked_samples
from bench.worker.client import OnProgress, Worker, WorkerError, bare_start


@dataclass
class TaskResults:
    """Samples and results of one task, of all processes so far."""

    task: Task
    blocks: list[Block] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """Results of the processes that completed."""
    error: WorkerError | None = None
    """The first one; the task is not measured further."""
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
        """Whether at least one process has completed."""
        return bool(self.answers)


class Slot:
    """One job's worker in a round of processes, started when it is first needed."""

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


class InterleavedRun:
    """The jobs of one group, measured in rounds of fresh processes."""

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
        self.all_results = [TaskResults(task) for job in jobs for task in job.tasks]

    def run_process(self, process: int) -> None:
        """One fresh process of every job, through all kinds.

        Args:
            process: Number of the round, from 0; odd ones start with the last job.
        """
        alone = len(self._jobs) == 1
        slots = [Slot(job, self._data, self._limits, alone) for job in self._jobs]
        with ExitStack() as stack:
            for slot in slots:
                stack.callback(slot.leave)
            order = slots if process % 2 == 0 else slots[::-1]
            for row in KINDS.values():
                if row.interleaved:
                    self._interleaved(row.name, order, process)
                    continue
                for slot in order:
                    self._at_once(slot, row.name, process)

    def _at_once(self, slot: Slot, kind: str, process: int) -> None:
        for task_results in self._open_tasks(slot, kind):

            def measure(task_results: TaskResults = task_results) -> None:
                began = perf_counter()
                answer = checked(slot.use(self._on_progress).measure(kind, self._on_progress))
                if row_of(kind).startup and self._limits.bare_start:
                    answer["metrics"] |= _bare_start_seconds(slot, perf_counter() - began)
                task_results.add(process, 0, answer["samples"])
                task_results.answers.append(answer)

            self._attempt(slot, task_results, measure)
        slot.rest()

    def _interleaved(self, kind: str, order: Sequence[Slot], process: int) -> None:
        extras = process == 0
        pairs = [
            (slot, task_results) for slot in order for task_results in self._open_tasks(slot, kind)
        ]
        ready = [pair for pair in pairs if self._begin(*pair, kind, extras=extras)]
        turns = self._limits.turns(kind, extras=extras)
        for turn in range(turns):
            for slot, task_results in ready if turn % 2 == 0 else ready[::-1]:
                self._block(slot, task_results, process, turn)
            ready = [pair for pair in ready if pair[1].error is None]
            self._on_progress((turn + 1) / turns, f"{kind}, process {process + 1}")
        for slot, task_results in ready:
            self._end(slot, task_results)

    def _begin(self, slot: Slot, task_results: TaskResults, kind: str, *, extras: bool) -> bool:
        def begin() -> None:
            worker = slot.use(self._on_progress)
            worker.begin(kind, task_results.steps, extras=extras, on_progress=self._on_progress)

        return self._attempt(slot, task_results, begin)

    def _block(self, slot: Slot, task_results: TaskResults, process: int, turn: int) -> None:
        def block() -> None:
            samples = slot.use(self._on_progress).block(lambda done, note: None)
            task_results.add(process, turn, checked_samples(samples))

        self._attempt(slot, task_results, block)

    def _end(self, slot: Slot, task_results: TaskResults) -> None:
        def end() -> None:
            task_results.answers.append(checked(slot.use(self._on_progress).end(self._on_progress)))

        self._attempt(slot, task_results, end)

    def _attempt(self, slot: Slot, task_results: TaskResults, work: Callable[[], None]) -> bool:
        """Whether the work of a task succeeded; a failure is recorded, and the worker is closed."""
        began = perf_counter()
        if not task_results.started_at:
            task_results.started_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._started(task_results.task)
        try:
            work()
        except WorkerError as error:
            task_results.error = error
            slot.leave()
        finally:
            task_results.seconds += perf_counter() - began
        slot.rest()
        return task_results.error is None

    def _open_tasks(self, slot: Slot, kind: str) -> Iterator[TaskResults]:
        return (
            task_results
            for task_results in self.all_results
            if task_results.task in slot.job.tasks
            and task_results.task.kind == kind
            and task_results.error is None
        )


def _bare_start_seconds(slot: Slot, worker_seconds: float) -> dict[str, float]:
    """Start-up as the parent sees it, from the birth of the process to the end of the first step,
    next to that of the shortest process that takes a step."""
    slot.rest()
    bare = bare_start(slot.job.case)
    return {} if bare is None else {"worker_seconds": worker_seconds, "bare_seconds": bare}
