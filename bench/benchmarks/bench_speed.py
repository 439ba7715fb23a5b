"""Start-up, training and inference throughput, and latency, per variant and framework."""

from __future__ import annotations

import pytest

from bench.core.records import Record


@pytest.mark.measures("startup")
def test_startup(measured: Record) -> None:
    """Seconds from the import of the framework to the end of the first training step."""
    parts = measured.metrics
    assert parts["import_seconds"] > 0
    assert parts["first_step_seconds"] > 0


@pytest.mark.measures("train_throughput")
def test_train_throughput(measured: Record) -> None:
    """Seconds per training step, from blocks of steps, without first step and warm-up."""
    assert measured.summary["images_per_second"] > 0


@pytest.mark.measures("inference")
def test_inference(measured: Record) -> None:
    """Seconds per evaluation-mode batch, from blocks of batches."""
    assert measured.summary["images_per_second"] > 0


@pytest.mark.measures("latency")
def test_latency(measured: Record) -> None:
    """Seconds from one image to its logits."""
    summary = measured.summary
    assert 0 < summary["p50"] <= summary["p90"] <= summary["p99"]
