"""A cluster within this process: nodes that answer, die, refuse and come as a test says."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from bench.executors import node as on_node
from bench.executors.cluster import Lost, Needs, Place
from bench.executors.parcels import Parcel
from bench.executors.requests import Answer, NodeFacts, NodeRequest

Outcome = Callable[[], Any]


class FakeCluster:
    """Each request runs when it is waited for, on the first of its nodes that lives."""

    window = 2
    answer_seconds = 300.0

    def __init__(self, *names: str, shared: bool = True) -> None:
        self.shared = shared
        self.nodes: dict[str, Place] = {name: Place(cpus=1) for name in names}
        self.facts: dict[str, dict[str, Any]] = {}
        """By node: what it says otherwise than this machine does."""
        self.planted: dict[str, list[Lost | Answer | str]] = {}
        """By node: what comes of its next groups; ``dies`` takes the node away."""
        self.asked: Counter[str] = Counter()
        self.groups: list[tuple[str, tuple[str, ...], Needs]] = []
        """Of every group that was handed over: its node, the case ids, and what it takes."""
        self.certificates: list[Needs] = []
        """What each request for certificates takes."""
        self.quick = False
        """Whether a request has ended before it is waited for."""
        self.cancelled = 0
        self.closed = False
        self._requests: dict[int, tuple[Callable[..., Any], Any, list[str], Needs]] = {}
        self._numbers = count()

    def places(self) -> dict[str, Place]:
        return dict(self.nodes)

    def parcel(self, name: str, path: Path, content: Callable[[], Any]) -> Parcel:
        return Parcel(name, path) if self.shared else Parcel(name, None, content)

    def submit(
        self, function: Callable[..., Any], request: Any, needs: Needs, nodes: Sequence[str]
    ) -> int:
        number = next(self._numbers)
        self._requests[number] = (function, request, list(nodes), needs)
        return number

    def done(self, tickets: Iterable[Any], seconds: float) -> list[tuple[Any, Any]]:
        if not seconds and not self.quick:
            return []
        for ticket in list(tickets)[:1]:
            return [(ticket, self._outcome(*self._requests.pop(ticket)))]
        return []

    def _outcome(self, function: Any, request: Any, nodes: list[str], needs: Needs) -> Any:
        alive = [name for name in nodes if name in self.nodes]
        if not alive:
            return Lost("its node or process was lost")
        # The one that has measured least, as an engine would choose.
        name = min(alive, key=lambda one: sum(node == one for node, _, _ in self.groups))
        self.asked[function.__name__] += 1
        if function is on_node.describe:
            return name, self._described(name, request)
        if function is on_node.certify:
            self.certificates.append(needs)
        if function is not on_node.measure_group:
            return name, function(request)
        self.groups.append((name, tuple(job.case.id for job in request.jobs), needs))
        planted = self.planted.get(name)
        what = planted.pop(0) if planted else None
        if what == "dies":
            del self.nodes[name]
            return Lost("its node or process was lost")
        if isinstance(what, Lost):
            return what
        answer = what if isinstance(what, Answer) else function(request, name)
        kind = self.facts.get(name, {}).get("kind", answer.kind)
        for value in answer.records:
            value["environment"]["node"]["kind"] = kind
        return name, dataclasses.replace(answer, kind=kind)

    def _described(self, name: str, request: NodeRequest) -> NodeFacts:
        return dataclasses.replace(on_node.describe(request), **self.facts.get(name, {}))

    def cancel(self, tickets: Iterable[Any]) -> None:
        self.cancelled += len(list(tickets))

    def close(self) -> None:
        self.closed = True
