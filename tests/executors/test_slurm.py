"""Slurm through submitit: jobs as processes of this machine, and a planted sbatch."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.core.errors import UserError
from bench.core.records import RecordStore
from bench.core.system.resources import usable_cpus
from bench.executors import node as on_node
from bench.executors.cluster import Lost, Needs
from bench.executors.registry import executor
from bench.executors.requests import NodeRequest, Setting
from bench.executors.slurm_cluster import SlurmCluster, _outcome
from tests.support import fakes

# Not importorskip: tests/test_isolation.py imports this module without pytest.
pytestmark = pytest.mark.skipif(
    not find_spec("submitit"), reason="submitit is not installed: pip install 'alexbench[slurm]'"
)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache", fakes.UNDRAWN)


def test_without_sbatch_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch here"):
        executor("slurm")
    assert executor("slurm", "local", 1).name == "slurm"


def test_what_is_asked_of_sbatch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (
        ("sbatch", f'cp "${{@: -1}}" {tmp_path}/submitted; echo "Submitted batch job 12"'),
        ("srun", "true"),
        ("sacct", 'echo "JobID|State"; echo "12|NODE_FAIL"'),
        ("scancel", f"echo $* > {tmp_path}/cancelled"),
    ):
        path = tools / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    cluster = SlurmCluster("gpu:h100", tmp_path / "jobs", 1.5, threads=8)
    request = NodeRequest(Setting("run"), ("fake",), "cpu", 8)
    needs = Needs(8, 1, 6 << 30)
    job = cluster.submit(on_node.describe, request, needs, ["partition"])
    submitted = (tmp_path / "submitted").read_text()
    for line in (
        "--partition=gpu",
        "--constraint=h100",
        "--cpus-per-task=8",
        "--gpus-per-node=1",
        "--mem=6GB",
        "--time=90",
        "--exclusive",
    ):
        assert f"#SBATCH {line}\n" in submitted, submitted
    (task,) = [line for line in submitted.splitlines() if line.startswith("srun ")]
    assert "--cpus-per-task=8" in task
    cluster.submit(on_node.describe, request, Needs(), ["partition"])
    asked = (tmp_path / "submitted").read_text()
    assert "#SBATCH --time=10\n" in asked, asked  # a short job is scheduled sooner
    ((ended, outcome),) = cluster.done([job], 30)
    assert ended is job
    assert outcome == Lost("its job was lost (NODE_FAIL)")
    cluster.cancel([job])
    assert (tmp_path / "cancelled").read_text().strip() == "12"


@pytest.mark.slow
def test_a_run_in_jobs_of_this_machine(tmp_path: Path) -> None:
    data = fakes.write_batches(tmp_path / "small", fakes.images())
    command = [
        sys.executable, "-m", "bench", "run", "--executor", "slurm", "--address", "local",
        "--threads", "1", "--profile", "tiny", "--data", str(data), "--tracks", "closed",
        "--frameworks", "fake,fake-two", "--kinds", "train_throughput,accuracy", "--run", "jobs",
        "--results", str(tmp_path / "results"), "--no-parity",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = RecordStore(tmp_path / "results" / "jobs").read()
    assert len(records) == 4
    assert set(Counter(record.key for record in records).values()) == {1}
    assert all(record.ok for record in records)
    assert len({record.environment["node"]["label"] for record in records}) == 1
    assert "has received the data" not in done.stderr
    refused = subprocess.run(
        [*command[:8], *command[10:], "--run", "other"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "say how many CPUs a job takes" in refused.stderr
    assert not (tmp_path / "results" / "other").exists()


def _raises(request: object) -> None:
    raise ValueError("planted in the job")


def test_the_reason_of_a_job_is_what_it_has_raised(tmp_path: Path) -> None:
    """submitit's own text ends with the paths of its logs."""
    cluster = SlurmCluster("local", tmp_path / "jobs", 0.1, threads=1)
    job = cluster.submit(_raises, None, Needs(1), ["partition"])
    ((_, outcome),) = cluster.done([job], 60)
    assert outcome == Lost("ValueError: planted in the job", again=False)


def test_a_job_that_slurm_ends_for_its_time_has_run_out_of_time() -> None:
    """submitit raises in the job, which Slurm then calls failed."""
    said = "UncompletedJobError: Job not requeued because: timed-out and not checkpointable.\n"
    error = type("FailedJobError", (Exception,), {})(said)
    job = SimpleNamespace(exception=lambda: error, state="FAILED")
    assert _outcome(job) == Lost("Slurm has ended it: its time limit", "timeout", again=False)


def test_as_many_local_jobs_wait_as_have_cpus_and_asking_is_short(tmp_path: Path) -> None:
    cpus = len(usable_cpus())
    on_card = SlurmCluster("local", tmp_path / "jobs", 0.1, threads=1)
    job = on_card.submit(_raises, None, Needs(1, gpus=1), ["partition"])
    assert on_card.window == 1, "submitit shows all of them the first card"
    assert len(on_card.done([job], 60)) == 1
    assert SlurmCluster("local", tmp_path, 1.0, threads=cpus).window == 1
    assert SlurmCluster("local", tmp_path, 1.0, threads=1).window == cpus
