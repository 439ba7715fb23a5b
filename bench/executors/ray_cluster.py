"""Ray: requests are tasks, a kind of node is a label selector, the data is in the object store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.executors.cluster import Lost, Needs, Place, Ticket
from bench.executors.node import measure_group
from bench.executors.parcels import Parcel

_ANSWER_SECONDS = 5.0
"""For an address to accept a connection."""
_CLUSTER_SECONDS = 15.0
"""For what accepts it to answer as a cluster does; a loaded machine imports Ray in five."""
_START = "start the cluster with `ray start --head`, or give its address"
_NODE_ID = "ray.io/node-id"
"""Label that Ray gives every node."""


@dataclass(frozen=True)
class _Stored:
    """Gets an object from Ray's store: Ray brings it to a node once, in shared memory."""

    references: list[Any]
    """In a list, since Ray would send an argument's own object with every task."""

    def __call__(self) -> Any:
        import ray  # noqa: PLC0415

        return ray.get(self.references[0])


def _on_node(function: Callable[..., Any], request: Any) -> tuple[str, Any]:
    """The node's name and the answer; in a process of Ray on the node."""
    import ray  # noqa: PLC0415

    name = ray.get_runtime_context().get_node_id()
    # Ray's own choice of threads is for its process; workers get theirs from the harness.
    return name, function(request, name) if function is measure_group else function(request)


class RayCluster:
    """A Ray cluster that this machine is a node of.

    Args:
        address: ``host:port``; None: that of the cluster on this machine.

    Raises:
        UserError: Ray is not installed, nothing answers, or versions differ.
    """

    window = 2
    shared = False
    answer_seconds = 300.0  # a cold import from a slow disk takes a minute

    def __init__(self, address: str | None = None) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray  # noqa: PLC0415

        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address=address or "auto",
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=True,
                namespace="alexbench",
            )
        except Exception as error:  # ConnectionError, RuntimeError, and others by version
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"--executor ray: cannot join the cluster at {address or 'this machine'}: {reason}"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray ends the process with it
        self._ray = ray
        self._task = ray.remote(_on_node)

    def places(self) -> dict[str, Place]:
        """The live nodes by their ids."""
        try:
            found = self._ray.nodes()
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"the Ray cluster does not answer any more: {reason}") from error
        return {node["NodeID"]: _place(node["Resources"]) for node in found if node["Alive"]}

    def parcel(self, name: str, path: Path, content: Callable[[], Any]) -> Parcel:
        """Put the content into the object store."""
        errors = self._ray.exceptions
        try:
            return Parcel(name, None, _Stored([self._ray.put(content())]))
        except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
            room = self._ray.cluster_resources().get("object_store_memory", 0.0)
            raise UserError(
                f"Ray's object store has no room for {name[:12]} ({room / 2**20:.0f} MiB in the "
                "whole cluster); start its nodes with a larger --object-store-memory"
            ) from error

    def submit(
        self, function: Callable[..., Any], request: Any, needs: Needs, nodes: Sequence[str]
    ) -> Ticket:
        """A task on one of the nodes that Ray chooses; Ray itself repeats nothing."""
        task = self._task.options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=needs.memory or None,
            max_retries=0,
            # No space after the comma: Ray 2.60 would take it for a part of the id, and abort.
            label_selector={_NODE_ID: f"in({','.join(nodes)})" if len(nodes) > 1 else nodes[0]},
        )
        reference: Ticket = task.remote(function, request)
        return reference

    def done(self, tickets: Iterable[Ticket], seconds: float) -> list[tuple[Ticket, Any]]:
        """Wait until one has ended; all that have."""
        waiting = list(tickets)
        if not waiting:
            return []
        ended, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        if ended:
            more, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
            ended = more or ended
        return [(ticket, self._outcome(ticket)) for ticket in ended]

    def _outcome(self, ticket: Ticket) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(ticket)
        except errors.OutOfMemoryError:
            return Lost("Ray has ended it: its node was out of memory", "oom")
        except errors.TaskCancelledError:
            return Lost("cancelled")
        except errors.RayTaskError as error:  # raised by the function itself
            return Lost(_said(error), again=False)
        except (errors.NodeDiedError, errors.WorkerCrashedError, errors.TaskUnschedulableError):
            return Lost("its node or process was lost")
        except errors.RayError as error:
            return Lost(f"Ray lost it ({type(error).__name__})")

    def cancel(self, tickets: Iterable[Ticket]) -> None:
        """Nothing: Ray ends the tasks of a command that disconnects (`close`).

        Asked to cancel a task that is just ending, Ray 2.60 aborts the whole process ("Tried to
        complete task that was not pending"), and with it the report.
        """

    def close(self) -> None:
        """Disconnect."""
        before = signal.getsignal(signal.SIGTERM)
        with suppress(Exception):
            self._ray.shutdown()
        signal.signal(signal.SIGTERM, before)


def _place(resources: dict[str, float]) -> Place:
    return Place(
        int(resources.get("CPU", 0)),
        int(resources.get("GPU", 0)),
        int(resources.get("memory", 0)) or None,
    )


def _said(error: Any) -> str:
    """Last line of what a function has raised on its node."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ImportError):
        return f"{cause}; install alexbench on the nodes, in the Python that Ray runs in"
    lines = str(cause if cause is not None else error).strip().splitlines()
    name = type(cause).__name__ if cause is not None else "error"
    return f"{name}: {lines[-1].strip() if lines else 'no reason given'}"


def check_ray(address: str | None, seconds: float = _CLUSTER_SECONDS) -> None:
    """Raise UserError where no cluster answers: Ray itself tries for minutes.

    Args:
        address: ``host:port``; None: the cluster of this machine is looked for.
        seconds: For an answer.
    """
    if address and address != "auto":
        _check_connection(address)
    where = f"--address {address}" if address else "--executor ray"
    place = "there" if address else "on this machine"
    # In a process of its own: Ray's client waits in native code and writes to stderr.
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    try:
        asked = subprocess.run(
            [*command, "--address", address] if address else command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{where}: no Ray cluster answers {place} within {seconds:g} s; {_START}"
        ) from error
    if asked.returncode:
        said = asked.stderr.strip().splitlines() or ["no reason given"]
        reason = said[-1].partition("Error: ")[2] or said[-1]
        raise UserError(f"{where}: {reason[:200].rstrip('.')}; {_START}")


def _check_connection(address: str) -> None:
    if address.startswith("ray://"):
        raise UserError(
            f"--address {address}: Ray's client is not used; run the command on a node of the "
            "cluster, or with `ray job submit`"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"--address {address}: host:port is expected, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"--address {address}: nothing answers there ({error.strerror or error}); {_START}"
        ) from error
