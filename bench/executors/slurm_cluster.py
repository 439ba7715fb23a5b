"""Slurm, through submitit: requests are jobs, nodes share the folder of the run and the cache."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.core import signals
from bench.core.errors import UserError
from bench.core.system.resources import usable_cpus
from bench.core.text import without_folders
from bench.executors.cluster import Lost, Needs, Place, Ticket
from bench.executors.node import measure_group
from bench.executors.parcels import Parcel

_PARTITION = "partition"
_WINDOW = 64
_LOGS = "You can check full logs"
"""Where submitit's error goes on after the traceback."""
_TIMED_OUT = "timed-out and not checkpointable"
"""What submitit raises in a job that Slurm's signal has reached before its time limit."""
_DESCRIBE_MINUTES = 10
"""Time limit of a job that says what its node is: a short one is scheduled sooner."""


def _on_node(function: Callable[..., Any], request: Any) -> tuple[str, Any]:
    """The node's name and the answer; in a job on the node."""
    name = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    return name, function(request, name) if function is measure_group else function(request)


class SlurmCluster:
    """A partition of a Slurm cluster; all of its nodes count as one kind until they answer.

    Args:
        address: ``partition``, ``partition:constraint``, or ``local``: jobs are processes of this
            machine, for a trial.
        folder: Where jobs leave their output, which all nodes share.
        hours: Time limit of a job.
        threads: CPUs of every job.
    """

    shared = True
    answer_seconds = math.inf  # a job may wait for hours in the queue

    def __init__(self, address: str | None, folder: Path, hours: float, threads: int) -> None:
        import submitit  # noqa: PLC0415

        self._local = address == "local"
        self.window = max(1, len(usable_cpus()) // threads) if self._local else _WINDOW
        cluster = "local" if self._local else "slurm"
        self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        partition, _, constraint = (address or "").partition(":")
        self._threads = threads
        self._options: dict[str, Any] = {
            "timeout_min": max(1, math.ceil(hours * 60)),
            "cpus_per_task": threads,
        }
        if not self._local:
            self._options |= {"slurm_partition": partition} if partition else {}
            self._options |= {"slurm_constraint": constraint} if constraint else {}
            # From Slurm 22.05 on srun does not take it from sbatch: a task would have one CPU.
            self._options["slurm_srun_args"] = [f"--cpus-per-task={threads}"]

    def places(self) -> dict[str, Place]:
        """One entry: Slurm chooses the node within the partition."""
        return {_PARTITION: Place(cpus=self._threads)}

    def parcel(self, name: str, path: Path, content: Callable[[], Any]) -> Parcel:
        """The path, which all nodes share."""
        return Parcel(name, path)

    def submit(
        self, function: Callable[..., Any], request: Any, needs: Needs, nodes: Sequence[str]
    ) -> Ticket:
        """A job; one that measures has its node for itself."""
        options = dict(self._options)
        if not needs.cpus:
            options["timeout_min"] = min(_DESCRIBE_MINUTES, options["timeout_min"])
        if needs.memory:  # rounded down: not more than the node has
            options["mem_gb"] = max(1.0, math.floor(10 * needs.memory / 2**30) / 10)
        if needs.gpus:
            options["gpus_per_node"] = needs.gpus
            if self._local:
                self.window = 1  # submitit shows every process the first card
        if needs.cpus and not self._local:
            options["slurm_exclusive"] = True
        self._executor.update_parameters(**options)
        try:
            job: Ticket = self._executor.submit(_on_node, function, request)
        except Exception as error:  # sbatch has refused it
            reason = " ".join(str(error).split())[-200:]
            raise UserError(f"sbatch does not take the job: {reason}") from error
        return job

    def done(self, tickets: Iterable[Ticket], seconds: float) -> list[tuple[Ticket, Any]]:
        """Wait until one has ended; all that have. Without waiting, those that have a result.

        A signal ends the wait, that for the result of a job without one, too, which takes 15 s.
        """
        waiting: list[Any] = list(tickets)
        if not seconds:
            return [(job, _outcome(job)) for job in waiting if job.paths.result_pickle.exists()]
        ends = time.monotonic() + seconds
        while not signals.is_pending():
            if ended := [job for job in waiting if job.done()]:
                found = []
                for job in ended:
                    found.append((job, _outcome(job)))
                    if signals.is_pending():
                        break
                return found
            if time.monotonic() >= ends:
                break
            time.sleep(0.1)
        return []

    def cancel(self, tickets: Iterable[Ticket]) -> None:
        """Cancel the jobs."""
        for job in tickets:
            with suppress(Exception):
                job.cancel()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Nothing is open."""


def _outcome(job: Any) -> Any:
    error = job.exception()
    if error is None:
        found = job.result()
        # Four files for each of 100,000 jobs are more than some file systems take.
        for name in ("submitted_pickle", "result_pickle", "stdout", "stderr"):
            with suppress(OSError, AttributeError):
                getattr(job.paths, name).unlink(missing_ok=True)
        return found
    state = str(job.state).split()[0].upper()
    trace = str(error).partition(_LOGS)[0]
    if _TIMED_OUT in trace:
        state = "TIMEOUT"
    lines = [line.strip() for line in trace.splitlines() if line.strip(" -")]
    if state.startswith("OUT_OF_ME"):
        return Lost("Slurm has ended it: out of memory", "oom")
    if state.startswith("TIMEOUT"):
        return Lost("Slurm has ended it: its time limit", "timeout", again=False)
    if type(error).__name__ == "FailedJobError":  # raised by the function itself
        return Lost(without_folders(lines[-1]) if lines else "no reason given", again=False)
    return Lost(f"its job was lost ({state})")


def check_slurm(address: str | None, threads: int | None) -> None:
    """Raise UserError where jobs cannot be submitted, or it is not said how large they are."""
    if address != "local" and not shutil.which("sbatch"):
        raise UserError(
            "--executor slurm: there is no sbatch here; run the command on a login node, or give "
            "--address local for processes of this machine"
        )
    if threads is None:
        raise UserError("--executor slurm: say how many CPUs a job takes, with --threads N")
