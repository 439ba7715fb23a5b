"""The interface of an engine that carries requests to nodes: Ray or Slurm."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.executors.parcels import Parcel


@dataclass(frozen=True)
class Needs:
    """What a request has for itself while it runs.

    Attributes:
        cpus: CPUs.
        gpus: Accelerators.
        memory: Bytes.
    """

    cpus: int = 0
    gpus: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Place:
    """A node as the engine knows it.

    Attributes:
        cpus: That the engine gives out there; None: it does not say.
        gpus: The same.
        memory: The same, in bytes.
    """

    cpus: int | None = None
    gpus: int | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Lost:
    """A request without an answer.

    Attributes:
        why: In a few words.
        status: As the record of a measurement has it that is given up.
        again: Whether another attempt may succeed.
    """

    why: str
    status: str = "failed"
    again: bool = True


Ticket = Hashable
"""A request that was submitted."""


class Cluster(Protocol):
    """An engine. It queues, places and carries; nothing of that is done here."""

    window: int
    """Requests that may wait there for every node."""
    shared: bool
    """Whether nodes see the folders of the command's machine."""
    answer_seconds: float
    """In which a node must say what it is, once it is asked."""

    def places(self) -> dict[str, Place]:
        """The live nodes by name.

        Raises:
            UserError: The engine does not answer.
        """

    def parcel(self, name: str, path: Path, content: Callable[[], Any]) -> Parcel:
        """Something that every node needs once.

        Args:
            name: Its fingerprint.
            path: Where it is on this machine.
            content: Makes what nodes without a shared folder unpack.

        Raises:
            UserError: There is no room for it.
        """

    def submit(
        self, function: Callable[..., Any], request: Any, needs: Needs, nodes: Sequence[str]
    ) -> Ticket:
        """Run ``function(request)`` on one of the nodes; functions of `bench.executors.node`."""

    def done(self, tickets: Iterable[Ticket], seconds: float) -> list[tuple[Ticket, Any]]:
        """Wait at most so long; what has ended, with its answer or a `Lost`."""

    def cancel(self, tickets: Iterable[Ticket]) -> None:
        """End requests and the processes that they have started."""

    def close(self) -> None:
        """Leave the engine."""
