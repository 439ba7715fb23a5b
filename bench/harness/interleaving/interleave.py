"""The interleaved run: all frameworks of one network are timed block by block, A B B A.

A *group* is one network in every framework that is compared, or several networks that differ in
their normalisation (`bench.harness.interleaving.grouping`). One process of each runs at a time;
blocks alternate between them, so that a machine that slows down slows down all of them. Idle
processes are paused with SIGSTOP and use no core. The next round takes fresh processes.

A turn (one block of each framework) in which other processes used the CPUs is disturbed: it is
measured again as a whole, after the others, so that its blocks stay pairs. Start-ups are not
repeated, since only a fresh process could: they are marked.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from bench.core.system.devices import accelerated
from bench.core.system.machine import BlockState
from bench.core.system.resources import usable_cpus
from bench.harness.interleaving.grouping import in_round
from bench.harness.matrix import Job, Task
from bench.harness.results import TimedBlock, checked, checked_block, checked_states
from bench.worker.client import OnProgress, Worker, WorkerError, bare_start, unheard


@dataclass
class TaskResults:
    """Samples and results of one task, of all processes so far."""

    task: Task
    blocks: list[Block] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)
    states: list[BlockState | None] = field(default_factory=list)
    """The machine during each block."""
    repeated: int = 0
    """Blocks that were measured again because they were disturbed."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """Results of the processes that completed."""
    error: WorkerError | None = None
    """The first one; the task is not measured further."""
    started_at: str = ""
    seconds: float = 0.0

    def add(self, process: int, turn: int, block: TimedBlock) -> None:
        """The samples of one turn, and the machine's state meanwhile."""
        self.blocks.append(Block(process, turn, len(block.samples)))
        self.samples.extend(block.samples)
        self.states.append(block.state)

    @property
    def steps(self) -> int | None:
        """Steps of a block, as the first process found them."""
        return self.answers[0]["metrics"].get("steps_per_sample") if self.answers else None

    @property
    def begun(self) -> bool:
        """Whether at least one process has completed."""
        return bool(self.answers)


def group_limit(all_results: Sequence[TaskResults], limits: Limits) -> float:
    """The time limit of a group: that of one network for each of its networks; 0 without one."""
    networks = {task_results.task.case.variant for task_results in all_results}
    return limits.group_seconds * len(networks)


class Slot:
    """One job's worker in a round of processes, started when it is first needed."""

    def __init__(self, job: Job, data: Path, limits: Limits, alone: bool) -> None:
        self.job = job
        self._made = (job.case, data, limits)
        self._alone = alone
        self._worker: Worker | None = None
        self._opened = False

    @property
    def started(self) -> bool:
        """Whether its worker's process exists."""
        return self._worker is not None

    def use(self, on_progress: OnProgress) -> Worker:
        """The worker, awake and open; raises WorkerError."""
        if self._worker is None:
            self.start()
        worker = self._worker
        assert worker is not None
        if not self._opened:
            worker.open(on_progress)
            self._opened = True
        worker.resume()
        return worker

    def start(self) -> None:
        """Start the worker's process. In the main thread: the kernel kills a worker when the thread
        that started it ends (`bench.core.system.process.die_with_parent`)."""
        self._worker = Worker(*self._made, weights=self.job.weights)

    def open_quietly(self) -> None:
        """Open a started worker ahead of its use and pause it; an error is left to that use."""
        try:
            self.use(unheard)
        except WorkerError:
            self.leave()
            return
        self.rest()

    def rest(self) -> None:
        """Stop it until it is used again."""
        if self._worker and not self._alone:
            self._worker.pause()

    def leave(self) -> None:
        """End its process: after a failure it may hold memory or half a state."""
        if self._worker:
            self._worker.close()
        self._worker, self._opened = None, False


_REPEATS = 3
"""How often a disturbed turn is measured again. A process that stays busy for longer than these
blocks take disturbs the whole run, and repeating its blocks would only take time."""

Turn = dict[int, TimedBlock]
"""The blocks of one turn, by the place of their slot."""


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
        self._deadline = math.inf
        self.all_results = [TaskResults(task) for job in jobs for task in job.tasks]

    def run_process(self, process: int, spent: float = 0.0) -> None:
        """One fresh process of every job that takes part (`in_round`), through all kinds.

        Args:
            process: Number of the round, from 0; odd ones start with the last job.
            spent: Seconds of the rounds before, those before a run was resumed among them.
        """
        limit = group_limit(self.all_results, self._limits)
        self._deadline = perf_counter() + ((limit - spent) if limit else math.inf)
        there = in_round((job.case for job in self._jobs), self._limits, process)
        jobs = [job for job in self._jobs if job.case in there]
        alone = len(jobs) == 1
        slots = [Slot(job, self._data, self._limits, alone) for job in jobs]
        with ExitStack() as stack:
            for slot in slots:
                stack.callback(slot.leave)
            order = slots if process % 2 == 0 else slots[::-1]
            startups = [row.name for row in KINDS.values() if row.startup]
            if self._limits.measures_startup(process):
                for kind in startups:
                    for slot in order:
                        self._at_once(slot, kind, process)
            self._open_together([slot for slot in order if self._is_to_start(slot)])
            for row in KINDS.values():
                if row.interleaved:
                    self._interleaved(row.name, order, process)
                elif not row.startup:
                    for slot in order:
                        self._at_once(slot, row.name, process)

    def _is_to_start(self, slot: Slot) -> bool:
        """Whether a worker that is not there has something to measure besides its start-up."""
        rest = (row.name for row in KINDS.values() if not row.startup)
        return not slot.started and any(list(self._open_tasks(slot, kind)) for kind in rest)

    def _open_together(self, slots: Sequence[Slot]) -> None:
        """Import and build in all workers at once whose start-up is not measured.

        On accelerators, whose machines have cores to spare and whose minutes are dear, and where
        the limits measure start-up in some processes only: an import uses one core.
        A worker that fails here fails again, with its reason, when it is first used.
        """
        some_only = self._limits.startup_processes is not None
        if not slots or not (some_only or accelerated(slots[0].job.case.device)):
            return
        for slot in slots:
            slot.start()
        with ThreadPoolExecutor(len(slots)) as pool:
            list(pool.map(lambda slot: slot.open_quietly(), slots))

    def _at_once(self, slot: Slot, kind: str, process: int) -> None:
        for task_results in self._open_tasks(slot, kind):

            def measure(task_results: TaskResults = task_results) -> None:
                began = perf_counter()
                found = slot.use(self._on_progress).measure(kind, self._on_progress)
                answer = checked(found, kind)
                if row_of(kind).startup and self._limits.bare_start:
                    answer["metrics"] |= _bare_start_seconds(
                        slot, perf_counter() - began, self._limits
                    )
                states = checked_states(answer)
                block = TimedBlock(answer["samples"], states[0] if len(states) == 1 else None)
                task_results.add(process, 0, block)
                task_results.answers.append(answer)

            self._attempt(slot, task_results, measure)
        slot.rest()

    def _interleaved(self, kind: str, order: Sequence[Slot], process: int) -> None:
        extras = process == 0
        pairs = [
            (slot, task_results) for slot in order for task_results in self._open_tasks(slot, kind)
        ]
        ready = [pair for pair in pairs if self._begin(*pair, kind, extras=extras)]
        self._take_turns(ready, kind, process, self._limits.turns(kind, extras=extras))
        for slot, task_results in ready:
            if task_results.error is None:
                self._end(slot, task_results)

    def _take_turns(self, pairs: Sequence[Pair], kind: str, process: int, turns: int) -> None:
        """All turns of a process; disturbed ones again, after the others."""
        kept: dict[int, Turn] = {}
        again = deque[int]()
        for turn in range(turns):
            kept[turn] = self._turn(pairs, turn)
            self._on_progress((turn + 1) / turns, f"{kind}, process {process + 1}")
            again += [turn] * _disturbed(kept[turn])
        tries = dict.fromkeys(again, 0)
        # As many blocks again at the most, however the disturbed ones are distributed.
        for _ in range(turns):
            if not again or perf_counter() > self._deadline:
                break
            turn = again.popleft()
            tries[turn] += 1
            self._on_progress(1.0, f"{kind}, process {process + 1}: a disturbed turn again")
            found = self._turn(pairs, turn)
            if found.keys() != kept[turn].keys():
                break  # a framework has failed: what was measured before that counts
            for place in found:
                pairs[place][1].repeated += 1
            # Chosen by the machine's state alone, never by the seconds.
            kept[turn] = min(kept[turn], found, key=_excess)
            again += [turn] * (_disturbed(kept[turn]) and tries[turn] < _REPEATS)
        for turn, blocks in kept.items():
            for place, block in blocks.items():
                pairs[place][1].add(process, turn, block)

    def _turn(self, pairs: Sequence[Pair], turn: int) -> Turn:
        """A block of every framework that has not failed, in the order of the turn."""
        places = range(len(pairs))
        blocks = {}
        for place in places if turn % 2 == 0 else reversed(places):
            slot, task_results = pairs[place]
            if task_results.error is None and (block := self._block(slot, task_results)):
                blocks[place] = block
        return blocks

    def _begin(self, slot: Slot, task_results: TaskResults, kind: str, *, extras: bool) -> bool:
        def begin() -> None:
            worker = slot.use(self._on_progress)
            worker.begin(kind, task_results.steps, extras=extras, on_progress=self._on_progress)

        return self._attempt(slot, task_results, begin)

    def _block(self, slot: Slot, task_results: TaskResults) -> TimedBlock | None:
        """The next block of a framework; None where it fails."""
        found: list[TimedBlock] = []

        def block() -> None:
            found.append(checked_block(slot.use(self._on_progress).block()))

        self._attempt(slot, task_results, block)
        return found[0] if found else None

    def _end(self, slot: Slot, task_results: TaskResults) -> None:
        def end() -> None:
            answer = checked(slot.use(self._on_progress).end(self._on_progress))
            if row_of(task_results.task.kind).throughput and not answer["images_per_sample"]:
                raise WorkerError("failed", "the worker's result is refused: no images_per_sample")
            task_results.answers.append(answer)

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


Pair = tuple[Slot, TaskResults]
"""A framework's worker, and the task that it measures."""


def _excess(turn: Turn) -> float:
    """The excess of a turn: that of its most disturbed block."""
    return max((block.state.excess for block in turn.values() if block.state), default=0.0)


def _disturbed(turn: Turn) -> bool:
    return any(block.state.disturbed for block in turn.values() if block.state)


def _bare_start_seconds(slot: Slot, worker_seconds: float, limits: Limits) -> dict[str, float]:
    """Start-up as the parent sees it, from the start of the process to the end of the first step,
    next to that of the shortest process that takes a step, on the same CPUs."""
    slot.rest()
    case = slot.job.case
    bare = bare_start(case, limits.cpus_of(case.devices, usable_cpus()))
    return {} if bare is None else {"worker_seconds": worker_seconds, "bare_seconds": bare}
