"""The executor of a cluster: groups to nodes, records back, lost groups again."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.core import signals
from bench.core.case import Case
from bench.core.errors import OutputError, UserError, notice
from bench.core.files import write_whole
from bench.core.records import Record
from bench.core.run_paths import WEIGHTS
from bench.core.system.devices import accelerated
from bench.data.sources import prepared_name
from bench.executors import node as on_node
from bench.executors.cluster import Cluster, Lost, Needs, Ticket
from bench.executors.nodes import Nodes
from bench.executors.parcels import Parcel
from bench.executors.requests import Answer, GroupRequest, Setting
from bench.harness.certificates import CHECK_BYTES, Subject
from bench.harness.devices import scaled
from bench.harness.interleaving.grouping import bytes_of
from bench.harness.listener import Listener
from bench.harness.matrix import Job
from bench.harness.measure import NOTHING, Keys, without
from bench.harness.resumption.run_settings import RunSettings
from bench.harness.run import Run
from bench.training.tracks import track
from bench.worker.environment import kept

ATTEMPTS = 3
"""Of a group whose node is lost: the first one and two more."""
_POLL_SECONDS = 1.0
_PARENT_BYTES = 1 << 30
"""Of the process that starts workers and has the images, in a job of its own."""


@dataclass
class _Attempt:
    """A group on its way."""

    group: tuple[Job, ...]
    kind: str
    number: int = 1


class RemoteExecutor:
    """Groups on the nodes of a cluster, each exclusively on CPUs of its own.

    Args:
        run: Where records go.
        cluster: The engine.
        threads: CPUs of a group; None: all of a node.
    """

    def __init__(self, run: Run, cluster: Cluster, threads: int | None = None) -> None:
        self._run, self._cluster = run, cluster
        begun = RunSettings.read(run.folder)
        name = f"{run.folder.resolve()} {run.dataset.fingerprint}"
        name += f" {begun.started_at}" if begun else ""  # not one of its name that was removed
        self._setting = Setting(
            sha256(name.encode()).hexdigest()[:16],
            os.environ.get("ALEXBENCH_EXTENSIONS", ""),
            {name: os.environ[name] for name in kept() if name in os.environ},
            on_node.code(),
        )
        self._nodes = Nodes(cluster, self._setting, threads, len(run.dataset.classes))
        self._waiting: dict[str, deque[_Attempt]] = {}
        """By kind of node: one that is busy does not hold the others up."""
        self._running: dict[Ticket, _Attempt] = {}
        self._skipped: list[tuple[Job, str]] = []
        self._listener: Listener | None = None
        self._parity = True
        self._noted: set[str] = set()
        self._full = False
        """Whether the engine has refused a group, and none has ended since."""
        # Of the whole run, however little of it is left.
        self._devices = tuple((begun.options.get("devices") if begun else None) or ())
        self._submitted = self._ended = 0
        self._data: Parcel | None = None
        self._weights: dict[Path, Parcel] = {}

    @property
    def memory(self) -> int | None:
        """Of the smallest node."""
        return self._nodes.memory

    def prepare(self, jobs: Sequence[Job], listener: Listener, *, parity: bool) -> None:
        """Look at the nodes, send them nothing yet, and get the certificates of every kind.

        Raises:
            UserError: No node can measure any of the jobs, or the data has no room.
        """
        self._parity, self._listener = parity, listener
        if not jobs:
            return
        self._devices = tuple({*self._devices, *(job.case.devices for job in jobs)})
        if self._run.store.path.exists():
            self._nodes.remember(self._run.store)
        self._nodes.look(jobs, listener)
        data = self._run.dataset
        folder = self._run.data_folder
        self._data = self._cluster.parcel(prepared_name(data), folder, lambda: data)
        for path in dict.fromkeys(job.weights for job in jobs if job.weights):
            self._weights[path] = self._weights_parcel(path)
        if parity:
            self._nodes.certify([job.case for job in jobs], listener)

    def _weights_parcel(self, path: Path) -> Parcel:
        content = path.read_bytes()
        name = sha256(content).hexdigest()[:32] + path.suffix
        return self._cluster.parcel(name, path, lambda: content)

    def submit(self, group: Sequence[Job], done: Keys = NOTHING) -> None:
        """Add what is left of a group; what no node can measure becomes a row without a result."""
        self._place(without(group, done))

    def _place(self, group: Sequence[Job], number: int = 1) -> None:
        by_kind: dict[str, list[Job]] = {}
        for job in group:
            kind = self._nodes.kind_of(job.case)
            if kind is None:
                self._skipped.append((job, self._nodes.reason(job.case)))
            else:
                by_kind.setdefault(kind, []).append(job)
        for kind, jobs in by_kind.items():
            whole = self._nodes.able(kind, {job.case.framework for job in jobs})
            # Where no node has all of the frameworks, each is measured where it is.
            for part in [jobs] if whole else [[job] for job in jobs]:
                waiting = self._waiting.setdefault(kind, deque())
                waiting.append(_Attempt(tuple(part), kind, number))
                self._submitted += 1

    def records(self, listener: Listener) -> Iterator[Record]:
        """Yield the records of all groups as they come back."""
        while any(self._waiting.values()) or self._running or self._skipped:
            signals.check()
            self._nodes.refresh(listener)
            yield from self._skip(listener)
            self._fill(listener)
            self._show(listener)
            with signals.held():  # its node has removed what it would go on from
                attempts, written = self._collect(_POLL_SECONDS, listener)
            yield from written
            for attempt, outcome in attempts:
                yield from self._end(attempt, outcome, listener)
        self._cluster.close()

    def _collect(
        self, seconds: float, listener: Listener
    ) -> tuple[list[tuple[_Attempt, Any]], list[Record]]:
        """What has ended, and its records, written.

        All that is here is written before anything else is done about it, and the disk is waited
        for once: on a busy one that takes longer than all else.
        """
        ended = self._cluster.done(self._running, seconds)
        self._full = self._full and not ended
        attempts = [(self._running.pop(ticket), outcome) for ticket, outcome in ended]
        measured = [
            record
            for _, outcome in attempts
            for record in _records_of(outcome, self._keep_files(outcome))
        ]
        return attempts, list(self._run.write_together(measured, listener)) if measured else []

    def cancel(self) -> None:
        """Write what has ended meanwhile, and end what runs, on every node."""
        try:
            if self._running and self._listener is not None:
                with suppress(Exception), signals.held():
                    try:
                        self._collect(0.0, self._listener)
                    except OutputError as error:  # it says where records are
                        notice(str(error))
        finally:
            self._waiting.clear()
            self._cluster.cancel(self._running)
            self._running.clear()
            self._cluster.close()

    def _show(self, listener: Listener) -> None:
        words = (
            f"{self._ended} of {self._submitted} groups done, {len(self._running)} handed to "
            f"{self._nodes.alive} nodes"
        )
        listener.waiting(self._ended / max(1, self._submitted), words)

    def _skip(self, listener: Listener) -> Iterator[Record]:
        while self._skipped:
            job, reason = self._skipped.pop()
            yield from self._without_result(job, reason, "skipped", listener)

    def _without_result(
        self, job: Job, reason: str, status: str, listener: Listener
    ) -> Iterator[Record]:
        for record in self._run.skip(job, reason, status):
            listener.finished(record)
            yield record

    def _fill(self, listener: Listener) -> None:
        """Hand groups to the engine, not more than it can soon begin."""
        if self._full:
            return
        begun = Counter(attempt.kind for attempt in self._running.values())
        for kind in list(self._waiting):
            waiting = self._waiting[kind]
            while waiting:
                attempt = waiting[0]
                nodes = self._nodes.able(kind, {job.case.framework for job in attempt.group})
                if nodes and begun[kind] >= self._cluster.window * len(nodes):
                    break
                waiting.popleft()
                if not nodes:  # they are gone: another kind takes it, or none
                    self._submitted -= 1
                    self._place(attempt.group, attempt.number)
                    continue
                try:
                    ticket = self._hand_over(attempt, nodes)
                except UserError as error:
                    if not self._running:
                        raise
                    # The engine takes no more for now; what runs is not lost for that.
                    waiting.appendleft(attempt)
                    self._full = True
                    self._note_once(f"{error}; tried again when a group has ended", listener)
                    return
                begun[kind] += 1
                self._running[ticket] = attempt

    def _note_once(self, line: str, listener: Listener) -> None:
        if line not in self._noted:
            self._noted.add(line)
            listener.note(line)

    def _hand_over(self, attempt: _Attempt, nodes: Sequence[str]) -> Ticket:
        assert self._data is not None
        facts = self._nodes.facts(nodes[0])
        cases = [job.case for job in attempt.group]
        on_cpu = not accelerated(cases[0].device)
        profile = scaled(self._run.profile, self._devices if on_cpu else (), facts.cpus)
        request = GroupRequest(
            setting=self._setting,
            jobs=attempt.group,
            profile=profile,
            data=self._data,
            weights={p: self._weights[p] for job in attempt.group if (p := job.weights)},
            certificates=self._nodes.certificates(attempt.kind, cases),
            parity=self._parity,
            frameworks=self._run.frameworks,
            cpus=facts.cpus,
            folder=self._run.folder.resolve() if self._cluster.shared else None,
            save_weights=self._run.save_weights,
        )
        memory = min(self._bytes_of(request), self._nodes.limit(nodes))
        gpus = max(case.devices for case in cases) if accelerated(cases[0].device) else 0
        needs = Needs(facts.cpus, gpus, int(memory))
        return self._cluster.submit(on_node.measure_group, request, needs, nodes)

    def _bytes_of(self, request: GroupRequest) -> float:
        """Memory of a group; where the engine enforces it, with the process that measures, and
        what its missing certificates take."""
        memory = sum(map(bytes_of, request.jobs))
        if not self._cluster.shared:
            return memory
        classes = len(self._run.dataset.classes)
        certified = [job.case for job in request.jobs if track(job.case.track).certified]
        subjects = {Subject.of(case, classes) for case in certified}
        missing = request.parity and len(request.certificates) < len(subjects)
        checks = missing * CHECK_BYTES * max((s.devices for s in subjects), default=1)
        return max(memory, checks) + _PARENT_BYTES

    def _end(self, attempt: _Attempt, outcome: Any, listener: Listener) -> Iterator[Record]:
        if isinstance(outcome, Lost):
            yield from self._again(attempt, outcome, listener)
            return
        answer: Answer
        name, answer = outcome
        if answer.refused:
            noted = self._nodes.exclude(name, answer.refused, listener)
            yield from self._again(attempt, Lost(answer.refused), listener, noted=noted)
            return
        self._ended += 1
        self._nodes.met(name, answer, listener)

    def _again(
        self, attempt: _Attempt, lost: Lost, listener: Listener, *, noted: bool = False
    ) -> Iterator[Record]:
        """Another attempt of a group, or rows without a result."""
        words = _words(attempt.group)
        if not lost.again or attempt.number >= ATTEMPTS:
            self._ended += 1
            tries = "" if attempt.number == 1 else f"given up after {attempt.number} attempts: "
            for job in attempt.group:
                yield from self._without_result(job, tries + lost.why, lost.status, listener)
            return
        if not noted:
            listener.note(f"{words}: {lost.why}; attempt {attempt.number + 1} of {ATTEMPTS}")
        again = dataclasses.replace(attempt, number=attempt.number + 1)
        self._waiting.setdefault(attempt.kind, deque()).appendleft(again)
        with suppress(UserError):  # the engine itself may be gone; the next wait says so
            self._nodes.refresh(listener, now=True)

    def _keep_files(self, outcome: Any) -> dict[str, str]:
        """Write the weights that have come back; why some could not be, by name: what was measured
        for hours is not lost for them."""
        files = {} if isinstance(outcome, Lost) else outcome[1].files
        problems = {}
        for name, content in files.items():
            path = self._run.folder / WEIGHTS / Path(name).name
            try:
                path.parent.mkdir(exist_ok=True)
                write_whole(path, content)
            except OSError as error:
                problems[name] = f"weights not saved: {error.strerror or error}"
        return problems


def _records_of(outcome: Any, problems: Mapping[str, str]) -> list[Record]:
    """The records in what has come of a request; of weights that were not written, why."""
    if isinstance(outcome, Lost):
        return []
    found = []
    for record in map(Record.from_json, outcome[1].records):
        name = str((record.metrics.get("saved_weights") or {}).get("file"))
        saved = {"saved_weights": {"problem": problems[name]}} if name in problems else {}
        found.append(dataclasses.replace(record, metrics=record.metrics | saved))
    return found


def _words(group: Sequence[Job]) -> str:
    """A group in a few words."""
    first: Case = group[0].case
    names = ", ".join(dict.fromkeys(job.case.framework for job in group))
    return f"{first.variant} {first.track} in {names}"
