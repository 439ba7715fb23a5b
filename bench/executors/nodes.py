"""The nodes of a run: what each is, which take part, and the certificates of every kind."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from bench.core import signals
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.records import Record
from bench.core.system.devices import accelerated
from bench.core.text import many
from bench.executors import node as on_node
from bench.executors.cluster import Cluster, Lost, Needs, Place, Ticket
from bench.executors.placement import (
    Node,
    Placement,
    able,
    comparison_of,
    excluded,
    with_common_versions,
)
from bench.executors.requests import (
    Answer,
    CertificateRequest,
    NodeFacts,
    NodeRequest,
    Setting,
    label_of,
)
from bench.harness.certificates import CHECK_BYTES, Certificate, Subject, cache, cached
from bench.harness.listener import Listener
from bench.harness.matrix import Job
from bench.training.frameworks import framework
from bench.training.tracks import track

_REFRESH_SECONDS = 5.0
_ATTEMPTS = 3


class Nodes:
    """The nodes that take part in a run.

    Args:
        cluster: The engine.
        setting: Of the run.
        threads: CPUs of a group; None: all of a node.
        classes: Of the data.
    """

    def __init__(
        self, cluster: Cluster, setting: Setting, threads: int | None, classes: int
    ) -> None:
        self._cluster, self._setting = cluster, setting
        self._threads, self._classes = threads, classes
        self._found: dict[str, Node] = {}
        self._places: dict[str, Place] = {}
        self._refused: dict[str, str] = {}
        """Nodes that take no part, with the reason."""
        self._frameworks: tuple[str, ...] = ()
        self._subjects: tuple[Subject, ...] = ()
        self._device, self._devices = "cpu", 1
        self._placement = Placement()
        self._certificates: dict[tuple[str, Subject], Certificate] = {}
        self._refreshed = 0.0
        self._noted: set[str] = set()
        # Asked for every case: of 100,000 on 1,000 nodes each answer is worked out once.
        self._kinds: dict[tuple[object, str], str | None] = {}
        self._able: dict[tuple[str, frozenset[str]], list[str]] = {}

    # ---- who is there

    @property
    def alive(self) -> int:
        """Number of nodes that take groups."""
        return sum(node.alive for node in self._found.values())

    @property
    def memory(self) -> int | None:
        """Bytes that a group may take on the smallest node; None without a node."""
        return self.limit([name for name, node in self._found.items() if node.alive]) or None

    def limit(self, names: Sequence[str]) -> int:
        """Bytes that a group may take on any of the nodes."""
        limits = [
            min(self._found[name].facts.memory, self._places[name].memory or 1 << 62)
            for name in names
        ]
        return min(limits, default=0)

    def facts(self, name: str) -> NodeFacts:
        """What a node says of itself."""
        return self._found[name].facts

    def look(self, jobs: Sequence[Job], listener: Listener) -> None:
        """Ask every node what it is; a line for each that takes no part, or not in all.

        Raises:
            UserError: No node can measure any of the jobs.
        """
        self._frameworks = tuple(dict.fromkeys(job.case.framework for job in jobs))
        self._device = jobs[0].case.device
        self._devices = max(job.case.devices for job in jobs)
        certified = (job.case for job in jobs if track(job.case.track).certified)
        self._subjects = tuple(dict.fromkeys(Subject.of(c, self._classes) for c in certified))
        self._meet(self._cluster.places(), listener)
        if not any(self.kind_of(job.case) for job in jobs[:1000]):
            reasons = [*dict.fromkeys(self._refused.values()), *self._reasons()]
            raise UserError(
                f"no node can measure anything: {'; '.join(reasons) or 'there is none'}"
            )

    def remember(self, records: Iterable[Record]) -> None:
        """Measure on where earlier records of the run were measured."""
        for record in records:
            if kind := (record.environment.get("node") or {}).get("kind"):
                self._placement.keep(record.case, str(kind))

    def refresh(self, listener: Listener, *, now: bool = False) -> None:
        """Notice nodes that have come or gone."""
        if not now and time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        places = self._cluster.places()
        for name, node in self._found.items():
            if node.alive and name not in places:
                node.alive = False
                self._changed()
                listener.note(f"{node.label} has disappeared; {self.alive} nodes remain")
        new = {n: p for n, p in places.items() if n not in self._found and n not in self._refused}
        if new:
            self._meet(new, listener)

    def exclude(self, name: str, why: str, listener: Listener) -> bool:
        """Give a node no further group; whether that can be: Slurm chooses its nodes itself."""
        if name in self._found and self._found[name].alive:
            self._found[name].alive = False
            self._refused[name] = why
            self._changed()
            listener.note(f"{label_of(name)} takes no further group: {why}")
        return name in self._found

    def met(self, name: str, answer: Answer, listener: Listener) -> None:
        """Report what the user should know of a group's node."""
        if answer.received:
            listener.note(f"{label_of(name)} has received the data")
        for line in answer.notes:
            listener.note(f"{label_of(name)}: {line}")
        known = {node.facts.kind for node in self._found.values()}
        if answer.kind and answer.kind not in known:
            listener.note(f"{label_of(name)} is of another kind than those that were looked at")

    def _meet(self, places: dict[str, Place], listener: Listener) -> None:
        self._places |= places
        wanted = {n: p for n, p in places.items() if self._has_room(n, p, listener)}
        tickets = {}
        for name, place in wanted.items():
            cpus = self._threads or place.cpus
            request = NodeRequest(
                self._setting, self._frameworks, self._device, cpus, self._subjects
            )
            gpus = int(accelerated(self._device))
            needs = Needs(0, gpus, 0)
            tickets[self._cluster.submit(on_node.describe, request, needs, [name])] = name
        if tickets:
            listener.waiting(0.0, "waiting for nodes to say what they are")
        for ticket, outcome in _all(self._cluster, tickets, self._cluster.answer_seconds):
            name = tickets[ticket]
            if isinstance(outcome, Lost):
                self._refuse(name, outcome.why, listener)
                continue
            _, facts = outcome
            if why := excluded(facts, on_node.code()):
                self._refuse(name, why, listener)
                continue
            self._found[name] = Node(name, facts)
            listener.note(f"{label_of(name)}: {facts.words} (kind {facts.kind[:6]})")
        here = {name: framework(name).versions() for name in self._frameworks}
        for line in with_common_versions(self._found.values(), here):
            if line not in self._noted:
                self._noted.add(line)
                listener.note(line)
        self._changed()

    def _changed(self) -> None:
        """A node has come or gone, or takes no further group."""
        self._kinds.clear()
        self._able.clear()

    def _has_room(self, name: str, place: Place, listener: Listener) -> bool:
        if place.cpus is not None and place.cpus < 1:  # a head that only directs, as is usual
            self._refused[name] = f"{label_of(name)}: no CPU is given out there"
            return False
        if self._threads and place.cpus is not None and place.cpus < self._threads:
            why = f"{place.cpus} CPUs there, --threads {self._threads}"
        elif accelerated(self._device) and place.gpus is not None and place.gpus < 1:
            why = f"no accelerator there for --device {self._device}"
        elif (there := self._too_few(place)) is not None:
            # A task that needs more than its node has would wait for ever.
            why = f"{there} there, --devices {self._devices}"
        else:
            return True
        self._refuse(name, why, listener)
        return False

    def _too_few(self, place: Place) -> str | None:
        """What a node has where it is less than trains together; None where it is enough."""
        if accelerated(self._device):
            number, what = place.gpus, "accelerator"
        else:
            number, what = self._threads or place.cpus, "CPU"
        if number is None or number >= self._devices:
            return None
        return many(number, what)

    def _refuse(self, name: str, why: str, listener: Listener) -> None:
        self._refused[name] = f"{label_of(name)}: {why}"
        listener.note(f"{label_of(name)} takes no part: {why}")

    # ---- where a case is measured

    def kind_of(self, case: Case) -> str | None:
        """The kind of node that measures a case; None where no live node can."""
        key = (comparison_of(case), case.framework)
        if key not in self._kinds:
            nodes = self._found.values()
            self._kinds[key] = self._placement.kind_of(case, self._frameworks, nodes)
        return self._kinds[key]

    def able(self, kind: str, frameworks: Collection[str]) -> list[str]:
        """Names of the live nodes of a kind that can measure the frameworks."""
        key = (kind, frozenset(frameworks))
        if key not in self._able:
            self._able[key] = [node.name for node in able(self._found.values(), *key)]
        return self._able[key]

    def reason(self, case: Case) -> str:
        """Why no node measures a case."""
        reasons = [
            f"{node.label} {node.unusable[case.framework]}"
            for node in self._found.values()
            if node.alive and case.framework in node.unusable
        ]
        return "; ".join(reasons) or "no node of the cluster is left"

    def _reasons(self) -> list[str]:
        found = (f"{n.label} {why}" for n in self._found.values() for why in n.unusable.values())
        return list(dict.fromkeys(found))

    # ---- certificates

    def certificates(self, kind: str, cases: Iterable[Case]) -> tuple[Certificate, ...]:
        """Those that cases need on a kind of node, as far as they were made."""
        wanted = dict.fromkeys(Subject.of(case, self._classes) for case in cases)
        keys = ((kind, subject) for subject in wanted)
        return tuple(self._certificates[key] for key in keys if key in self._certificates)

    def certify(self, cases: Iterable[Case], listener: Listener) -> None:
        """Get the certificates of the closed cases on their kinds of nodes.

        From this machine's cache, else from a node of the kind, one request for a framework.
        """
        missing: dict[tuple[str, str], dict[Subject, None]] = {}
        for case in cases:
            kind = self.kind_of(case) if track(case.track).certified else None
            subject = Subject.of(case, self._classes)
            if kind is None or (kind, subject) in self._certificates:
                continue
            key = self._key(kind, subject)
            if key and (known := cached(key)):
                self._certificates[kind, subject] = known
                listener.certificate_done(known)
            else:
                missing.setdefault((kind, case.framework), {})[subject] = None
        pending = [(kind, name, tuple(of), 1) for (kind, name), of in missing.items()]
        while pending:
            pending = list(self._certified(pending, listener))

    def _key(self, kind: str, subject: Subject) -> str | None:
        nodes = able(self._found.values(), kind, [subject.framework])
        return nodes[0].facts.keys.get(subject) if nodes else None

    def _certified(
        self, pending: list[tuple[str, str, tuple[Subject, ...], int]], listener: Listener
    ) -> Iterator[tuple[str, str, tuple[Subject, ...], int]]:
        """Have them made; yield those whose node was lost, for another attempt."""
        tickets = {}
        for kind, name, subjects, number in pending:
            nodes = self.able(kind, [name])
            if not nodes:
                continue  # their rows say that they are unchecked
            cpus = self._found[nodes[0]].facts.cpus
            request = CertificateRequest(self._setting, subjects, cpus)
            devices = max(subject.devices for subject in subjects)
            gpus = devices if accelerated(self._device) else 0
            needs = Needs(cpus, gpus, min(CHECK_BYTES * devices, self.limit(nodes)))
            ticket = self._cluster.submit(on_node.certify, request, needs, nodes)
            tickets[ticket] = (kind, name, subjects, number)
        for ticket, outcome in _all(self._cluster, tickets, math.inf):
            kind, name, subjects, number = tickets[ticket]
            if not isinstance(outcome, Lost):
                for subject, certificate in outcome[1]:
                    self._certificates[kind, subject] = certificate
                    cache(certificate)
                    listener.certificate_done(certificate)
            elif number < _ATTEMPTS and outcome.again:
                listener.note(f"certificates of {name}: {outcome.why}; made again")
                yield kind, name, subjects, number + 1
            else:
                listener.note(f"certificates of {name}: {outcome.why}; rows stay unchecked")
        self.refresh(listener, now=True)


def _all(
    cluster: Cluster, tickets: dict[Ticket, Any], seconds: float
) -> Iterator[tuple[Ticket, Any]]:
    """All answers as they come; a `Lost` for what has none in time. An exception cancels them."""
    left = dict(tickets)
    ends = time.monotonic() + seconds
    try:
        while left:
            signals.check()
            for ticket, outcome in cluster.done(left, 1.0):
                del left[ticket]
                yield ticket, outcome
            if left and time.monotonic() > ends:
                for ticket in left:
                    yield ticket, Lost(f"no answer in {seconds:g} s", again=False)
                cluster.cancel(left)
                return
    except BaseException:
        cluster.cancel(left)
        raise
