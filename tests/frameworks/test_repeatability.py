"""What frameworks promise of repeated trainings, and the digests that bits are compared by.

That they keep it, `tests.frameworks.training.test_same_bits` checks.
"""

from typing import Any

import numpy as np

from bench.training.frameworks import FRAMEWORKS
from bench.worker.digests import training_digests


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
