"""The same closed case run twice on the CPU gives equal bits, where the framework promises it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.case import Case
from bench.core.limits import Limits
from bench.data.dataset import save
from bench.data.synthetic import generate
from bench.training.frameworks import FRAMEWORKS
from bench.worker.client import Worker
from bench.worker.digests import training_digests
from tests.frameworks.support.client import each_repeatable

BATCH, STEPS = 8, 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as make STEPS steps in the two epochs of the recipe."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    save(generate(train=BATCH * STEPS // 2, test=10, seed=0), folder)
    return folder


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers take as many threads as this process may use CPUs.

    They do not spin while they wait for each other: that takes minutes beside other work.
    """
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)


def trained(framework: str, data: Path, seed: int) -> dict[str, Any]:
    """One training in a process of its own."""
    case = Case("cifar-bn", framework, batch_size=BATCH, recipe="short", seed=seed)
    with Worker(case, data, Limits(evaluations=1)) as worker:
        worker.open(lambda done, note: None)
        answer = worker.measure("accuracy", lambda done, note: None)
    assert answer["metrics"]["curve"][-1]["step"] == STEPS
    assert not answer["metrics"]["diverged"]
    return answer


def prints(answer: dict[str, Any]) -> list[str]:
    return [answer["metrics"][name] for name in ("losses_sha256", "trained_weights_sha256")]


@pytest.mark.slow
@each_repeatable
def test_two_processes_give_the_same_bits_and_another_seed_others(
    framework: str, data: Path
) -> None:
    one, two, other = (trained(framework, data, seed) for seed in (0, 0, 1))
    assert prints(one) == prints(two)
    assert not set(prints(one)) & set(prints(other))
    assert one["settings"]["deterministic"] is True
    assert one["settings"]["intra_op_threads"] == len(os.sched_getaffinity(0))


def test_a_framework_without_a_promise_says_so() -> None:
    silent = {row.name: row.repeatability for row in FRAMEWORKS.values() if not row.repeatable}
    assert list(silent) == ["keras-jax"]
    assert silent["keras-jax"].startswith("not promised")


def test_every_promise_names_its_source() -> None:
    promises = [row.repeatability for row in FRAMEWORKS.values() if row.repeatable]
    assert promises
    assert all("determinis" in promise for promise in promises)


class Ended:
    """As much of a trainer as has weights."""

    def __init__(self, weight: float) -> None:
        self._weight = np.float32(weight)

    def export_weights(self) -> dict[str, Any]:
        return {"dense.weight": np.full((2, 2), self._weight, np.float32)}


def of(losses: list[float], weight: float) -> list[str]:
    return list(training_digests(Ended(weight), losses).values())  # type: ignore[arg-type]


def test_one_bit_is_another_digest() -> None:
    more = float(np.nextafter(np.float32(2.3), np.float32(3)))
    loss, weight = of([float(np.float32(2.3))], 2.3)
    assert of([float(np.float32(2.3))], 2.3) == [loss, weight]
    changed_loss, same_weight = of([more], 2.3)
    same_loss, changed_weight = of([float(np.float32(2.3))], more)
    assert (same_loss, same_weight) == (loss, weight)
    assert changed_loss != loss
    assert changed_weight != weight


def test_the_order_of_losses_counts() -> None:
    assert of([1.0, 2.0], 1)[0] != of([2.0, 1.0], 1)[0]
