"""The same closed case run again on the CPU gives equal bits, where the framework promises it: in
another process, and in two processes of which the first was killed.

One whole training and one in two parts are enough for both: a part is a process of its own.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bench.core.case import Case
from bench.core.limits import Limits
from bench.data.dataset import save
from bench.data.synthetic import generate
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.worker.checkpoints import TrainingFiles, found
from bench.worker.client import Worker, WorkerError
from tests.frameworks.support.client import each_repeatable

pytestmark = pytest.mark.slow

BATCH, STEPS = 8, 8
WHOLE, PARTS = "whole", "in parts"
_WHY = FRAMEWORKS[REFERENCE].missing()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as make STEPS steps in the two epochs of the recipe."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    save(generate(train=BATCH * STEPS // 2, test=10, seed=0), folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    """Workers take as many threads as this process may use CPUs.

    They do not spin while they wait for each other: that takes minutes next to other work.
    """
    patch = pytest.MonkeyPatch()
    patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)
    patch.undo()


Trainings = dict[str, dict[str, Any]]
_known: dict[str, Trainings] = {}
"""By framework."""


@pytest.fixture
def trainings(framework: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """The two of a framework; made once."""
    if framework not in _known:
        folder = tmp_path_factory.mktemp(framework)
        _known[framework] = {
            WHOLE: trained(framework, data, folder / "whole", 0),
            PARTS: killed_and_resumed(framework, data, folder / "parts"),
        }
        shutil.rmtree(folder)  # checkpoints
    return _known[framework]


def trained(
    framework: str, data: Path, folder: Path, seed: int, *, kill: bool = False
) -> dict[str, Any]:
    """One part of a training in a process of its own; killed once it has a checkpoint."""
    head = "pool-narrow"  # a sixth of the weights
    case = Case("cifar-bn", framework, head=head, batch_size=BATCH, recipe="short", seed=seed)
    files = TrainingFiles(folder, {}, "", resume=found(folder))
    dies = {"ALEXBENCH_EXTENSIONS": "tests.support.plugins.dies_after_checkpoint"}
    with (
        mock.patch.dict(os.environ, dies if kill else {}),
        Worker(case, data, Limits(evaluations=1)) as worker,
    ):
        worker.open(lambda done, note: None)
        answer: dict[str, Any] = worker.measure("accuracy", lambda done, note: None, files)
    return answer


def killed_and_resumed(framework: str, data: Path, folder: Path) -> dict[str, Any]:
    with pytest.raises(WorkerError, match="SIGKILL"):
        trained(framework, data, folder, 0, kill=True)
    path = found(folder)
    assert path is not None
    assert path.name.startswith(f"step-{STEPS // 2:010}-")
    return trained(framework, data, folder, 0)


def prints(answer: dict[str, Any]) -> list[str]:
    return [answer["metrics"][name] for name in ("losses_sha256", "trained_weights_sha256")]


@each_repeatable
def test_two_processes_give_the_same_bits(trainings: Trainings) -> None:
    one, two = (trainings[name] for name in (WHOLE, PARTS))
    assert prints(one) == prints(two)
    for answer in (one, two):
        assert answer["metrics"]["curve"][-1]["step"] == STEPS
        assert not answer["metrics"]["diverged"]
    assert one["settings"]["deterministic"] is True
    assert one["settings"]["intra_op_threads"] == len(os.sched_getaffinity(0))


@pytest.mark.skipif(bool(_WHY), reason=_WHY or "")
@pytest.mark.parametrize("framework", [REFERENCE])
def test_another_seed_gives_other_bits(
    framework: str, data: Path, trainings: Trainings, tmp_path: Path
) -> None:
    """In one framework: weights, batches and masks of a closed case are drawn by the core."""
    other = trained(framework, data, tmp_path, 1)
    assert not set(prints(other)) & set(prints(trainings[WHOLE]))
    assert other["metrics"]["curve"][-1]["step"] == STEPS
    assert not other["metrics"]["diverged"]


@each_repeatable
def test_a_killed_training_ends_with_the_bits_of_one_in_one_go(trainings: Trainings) -> None:
    whole, again = (trainings[name]["metrics"] for name in (WHOLE, PARTS))
    assert again["parts"] == 2
    for name in ("losses_sha256", "trained_weights_sha256", "confusion", "step_losses"):
        assert again[name] == whole[name]
