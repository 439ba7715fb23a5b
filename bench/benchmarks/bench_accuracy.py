"""Training to an accuracy within the recipe's budget, per variant, framework and seed."""

from __future__ import annotations

import pytest

from bench.core.records import Record


@pytest.mark.measures("accuracy")
def test_accuracy(measured: Record) -> None:
    """Seconds of training; the record has the accuracy, per class and as a curve."""
    metrics = measured.metrics
    counted = sum(sum(row) for row in metrics["confusion"])
    assert counted == measured.dataset["test_images"]
    assert 0 <= metrics["test_accuracy"] <= 1
