"""The executors, a row each: what each needs installed, and how it is made."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from bench.core.errors import UserError, unknown
from bench.executors.cluster import Cluster
from bench.executors.ray_cluster import RayCluster, check_ray
from bench.executors.remote import RemoteExecutor
from bench.executors.slurm_cluster import SlurmCluster, check_slurm
from bench.harness.executor import Executor, LocalExecutor
from bench.harness.run import Run

Join = Callable[[str | None, Run, int | None], Cluster]


@dataclass(frozen=True)
class ExecutorRow:
    """One way to run groups.

    Attributes:
        name: As the command line has it.
        join: Makes its engine from ``--address`` and the run; None: this machine alone.
        module: What must be installed.
        check: Raises UserError where nothing is at the address, or ``--threads`` is missing: before
            a run has a folder.
    """

    name: str
    join: Join | None = None
    check: Callable[[str | None, int | None], None] = lambda address, threads: None
    module: str = ""

    @property
    def local(self) -> bool:
        """Whether it measures on this machine."""
        return self.join is None

    def missing(self) -> str | None:
        """Why it cannot be used here, with the command that installs it."""
        if not self.module or importlib.util.find_spec(self.module):
            return None
        return f"{self.module} not installed; pip install 'alexbench[{self.name}]'"


def _ray(address: str | None, run: Run, threads: int | None) -> Cluster:
    return RayCluster(address)


def _slurm(address: str | None, run: Run, threads: int | None) -> Cluster:
    assert threads is not None  # by its check
    # A job that has not ended by twice the limits hangs.
    limits = run.profile.limits
    hours = 2 * (limits.timeout_seconds + limits.group_seconds) / 3600
    return SlurmCluster(address, run.folder.resolve() / "slurm", hours, threads)


EXECUTORS = {
    row.name: row
    for row in (
        ExecutorRow("local"),
        ExecutorRow("ray", _ray, lambda address, threads: check_ray(address), "ray"),
        ExecutorRow("slurm", _slurm, check_slurm, "submitit"),
    )
}


def executor(name: str, address: str | None = None, threads: int | None = None) -> ExecutorRow:
    """The row called ``name``.

    Args:
        name: As the command line has it.
        address: Where it is.
        threads: CPUs of a group; None: not said.

    Raises:
        UserError: There is no such executor, what it needs is not installed or not said, or nothing
            answers at the address.
    """
    if name not in EXECUTORS:
        raise unknown("executor", name, EXECUTORS)
    row = EXECUTORS[name]
    if missing := row.missing():
        raise UserError(f"--executor {name}: {missing}")
    if address and row.local:
        raise UserError(f"--address {address}: --executor {name} has none")
    row.check(address, threads)
    return row


def make(row: ExecutorRow, address: str | None, run: Run, threads: int | None) -> Executor:
    """The executor of a run.

    Args:
        row: Which one.
        address: Where it is.
        run: What it measures for.
        threads: CPUs of a group; None: all of its node.

    Raises:
        UserError: Nothing answers at the address.
    """
    if row.join is None:
        return LocalExecutor(run)
    return RemoteExecutor(run, row.join(address, run, threads), threads)
