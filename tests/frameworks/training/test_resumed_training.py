"""A training whose worker is killed goes on in another process, to the same bits."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.case import Case
from bench.core.limits import Limits
from bench.data.dataset import save
from bench.data.synthetic import generate
from bench.worker.checkpoints import TrainingFiles, found
from bench.worker.client import Worker, WorkerError
from tests.frameworks.support.client import each_repeatable

BATCH, STEPS = 8, 40


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as make STEPS steps in the two epochs of the recipe."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    save(generate(train=BATCH * STEPS // 2, test=10, seed=0), folder)
    return folder


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    """Workers take as many threads as this process may use CPUs: two would wait for each other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:1])
    yield
    os.sched_setaffinity(0, before)


def trained(framework: str, data: Path, folder: Path, *, kill: bool = False) -> dict[str, Any]:
    """Metrics of one part of a training; killed once it has a checkpoint."""
    case = Case("cifar-plain", framework, batch_size=BATCH, recipe="short")
    files = TrainingFiles(folder, {}, "", resume=found(folder))
    with Worker(case, data, Limits(evaluations=1)) as worker:
        worker.open(lambda done, note: None)
        if kill:
            threading.Thread(target=_kill, args=(worker, folder), daemon=True).start()
        metrics: dict[str, Any] = worker.measure("accuracy", lambda done, note: None, files)[
            "metrics"
        ]
    return metrics


def _kill(worker: Worker, folder: Path) -> None:
    while found(folder) is None:
        time.sleep(0.001)
    worker.stop()


@pytest.mark.slow
@each_repeatable
def test_a_killed_training_ends_with_the_bits_of_one_in_one_go(
    framework: str, data: Path, tmp_path: Path
) -> None:
    whole = trained(framework, data, tmp_path / "whole")
    with pytest.raises(WorkerError):
        trained(framework, data, tmp_path / "parts", kill=True)
    path = found(tmp_path / "parts")
    assert path is not None
    assert path.name.startswith(f"step-{STEPS // 2:010}-")
    again = trained(framework, data, tmp_path / "parts")
    assert again["parts"] == 2
    for name in ("losses_sha256", "trained_weights_sha256", "confusion", "step_losses"):
        assert again[name] == whole[name]
