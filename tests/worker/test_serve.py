"""Inference in a worker: the comparison of two ways to compute an embedding."""

import numpy as np

from bench.worker.serve import difference


def test_a_difference_is_relative_to_the_largest_entry() -> None:
    rows = np.array([[4.0, -8.0]], np.float32)
    assert difference(rows, rows) == 0
    assert difference(rows + np.float32([0, 1]), rows) == 0.125
    assert difference(rows * np.float32("nan"), rows) is None
    assert difference(rows[:, :1], rows) is None
    assert difference(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)) == 0
