"""Training on several devices: two CPUs train as one does, and the row says how."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.core.case import Case
from bench.core.limits import Limits
from bench.core.records import RecordStore
from bench.core.system.resources import usable_cpus
from bench.networks import variants
from bench.networks.architecture import Architecture
from bench.networks.variants import variant
from bench.parity.devices import CHECK
from bench.training.frameworks import FRAMEWORKS, why_one
from bench.worker.client import Worker
from tests.frameworks.support.client import ROOT, environment
from tests.support import fakes
from tests.support.plugins.fake_normalised import NORMALISED

needs_two = pytest.mark.skipif(len(usable_cpus()) < 2, reason="two devices need two CPUs")
LIMITS = Limits(timeout_seconds=300)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")
    monkeypatch.setitem(variants.VARIANTS, NORMALISED.name, NORMALISED)
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", "tests.support.plugins.fake_normalised_framework")


def program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a program of `tests.frameworks.support` does with PyTorch's ranks."""
    row = FRAMEWORKS["pytorch"]
    if missing := row.missing():
        pytest.skip(missing)
    return subprocess.run(
        [sys.executable, "-m", f"tests.frameworks.support.{name}", *arguments],
        cwd=ROOT,
        env=environment(row),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def certificate(name: str, framework: str) -> dict[str, object]:
    if missing := FRAMEWORKS[framework].missing():
        pytest.skip(missing)
    architecture: Architecture = variant(name).architecture(10)
    with Worker(Case(name, framework, devices=2), Path(), LIMITS) as worker:
        found: dict[str, object] = worker.certify(architecture, lambda done, note: None)[
            "certificate"
        ]
    return found


@needs_two
@pytest.mark.slow
@pytest.mark.parametrize("framework", ["pytorch", "keras-jax"])
def test_two_devices_train_as_one_with_the_same_global_batch(framework: str) -> None:
    found = certificate("tiny", framework)
    assert found["status"] == "pass", found["problem"]
    assert found["devices"] == 2
    assert found["devices_check"] == "the same training as on one device"
    assert found["figures"][CHECK]["worst"] < 1e-11  # type: ignore[index]


@needs_two
@pytest.mark.slow
def test_local_batch_norm_is_another_training_and_says_so() -> None:
    found = certificate("tiny-bn", "pytorch")
    assert found["status"] == "pass", found["problem"]
    assert found["batch_norm"] == "local"
    assert found["devices_check"] == "another training than on one device: BatchNorm is local"
    assert found["devices_distance"] > 1e-6  # type: ignore[operator]
    assert CHECK not in found["figures"]  # type: ignore[operator]


@needs_two
@pytest.mark.slow
def test_synchronised_batch_norm_is_the_same_training() -> None:
    found = certificate("tiny-bn", "keras-jax")
    assert found["status"] == "pass", found["problem"]
    assert found["batch_norm"] == "synchronised"
    assert found["figures"][CHECK]["worst"] < 1e-9  # type: ignore[index]


@needs_two
@pytest.mark.slow
def test_strong_and_weak_scaling_in_one_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the track that no certificate of two devices checks."""
    if missing := FRAMEWORKS["pytorch"].missing():
        pytest.skip(missing)
    data = fakes.write_batches(tmp_path / "small", fakes.images())
    extensions = f"tests.support.plugins.fake_patient,{fakes.UNDRAWN}"
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", extensions)
    command = [
        sys.executable, "-m", "bench", "run", "--profile", "tiny", "--variants", "tiny-bn",
        "--frameworks", "pytorch,fake", "--tracks", "idiomatic", "--devices", "1,2",
        "--kinds", "train_throughput", "--batch-sizes", "16,32", "--precisions", "float32",
        "--data", str(data), "--results", str(tmp_path / "results"), "--run", "scaled",
        "--no-parity",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "results" / "scaled"
    records = RecordStore(run).read()
    skipped = [record for record in records if record.status == "skipped"]
    assert {record.case.framework for record in skipped} == {"fake"}
    assert {record.case.devices for record in skipped} == {2}
    several = [r for r in records if r.ok and r.case.devices == 2]
    assert len(several) == 2  # two batches
    for record in several:
        parallel = record.metrics["parallel"]
        assert parallel["method"] == "DistributedDataParallel"
        assert parallel["backend"] == "gloo"
        assert parallel["batch_norm"] == "local"
        assert len(parallel["with_exchange"]) == len(parallel["without_exchange"]) == 3
        assert [len(cpus) for cpus in parallel["cpus"]] == [len(usable_cpus()) // 2] * 2
    alone = [r for r in records if r.ok and r.case.devices == 1 and r.case.framework == "pytorch"]
    assert {len(r.settings["cpu_affinity"]) for r in alone} == {len(usable_cpus()) // 2}
    groups = {r.metrics["interleaving"]["group"] for r in (*several, *alone)}
    assert len(groups) == 1  # speed-ups are ratios of paired blocks
    table = pd.read_csv(run / "tables" / "scaling.csv")
    found = table[["track", "scaling", "batch_size"]].drop_duplicates()
    assert sorted(map(tuple, found.to_numpy().tolist())) == [
        ("idiomatic", "strong", 16),
        ("idiomatic", "strong", 32),
        ("idiomatic", "weak", 32),
    ]
    assert (table["pairs"] > 0).all()
    assert (table["efficiency"] > 0).all()


@needs_two
@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("killed", "failed", "rank 1 ended with signal 9"),
        ("memory", "oom", "rank 1: MemoryError: out of memory; "),
        ("start", "oom", "rank 1: MemoryError: out of memory; "),
    ],
)
def test_a_rank_that_ends_is_named_in_one_line(how: str, status: str, words: str) -> None:
    done = program("lost_rank", how)
    found = json.loads(done.stdout)
    assert found["status"] == status
    assert found["error"].startswith(words)
    assert "\n" not in found["error"]
    assert found["seconds"] < 60


@needs_two
@pytest.mark.slow
def test_a_resumed_training_draws_the_masks_of_every_rank_as_it_would_have() -> None:
    """Ranks 1 and up began again with the masks of the first step."""
    done = program("resumed_ranks")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["losses"][1] == found["losses"][0]
    assert found["masks differ"]
    assert found["weights equal"]


@needs_two
@pytest.mark.slow
def test_a_head_on_a_frozen_trunk_is_trained_on_two_devices() -> None:
    """Its trunk took the process group, and a half of the CPUs, before it."""
    done = program("frozen_ranks")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["devices"] == 2
    assert found["steps"] > 0


def test_who_trains_on_one_device_alone_says_why() -> None:
    assert why_one(Case("cifar-bn", "pytorch", devices=2)) is None
    assert why_one(Case("cifar-bn", "keras-tensorflow")) is None
    words = why_one(Case("cifar-bn", "keras-tensorflow", devices=2))
    assert words is not None
    assert words.startswith("--devices 2 on cpu: keras.distribution is for JAX")
    assert why_one(Case("cifar-bn", "keras-torch", devices=2, device="cuda")) is not None
