"""Weights that a training has saved classify the test images as the training's evaluation did."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.case import Case
from bench.core.limits import Limits
from bench.data.dataset import Dataset, save
from bench.data.synthetic import generate
from bench.inference.session import InferenceSession
from bench.networks.inference import prediction_network
from bench.networks.pretrained import Facts
from bench.training.frameworks import FRAMEWORKS
from bench.weights.sources import open_weights
from bench.worker.checkpoints import TrainingFiles
from bench.worker.client import Worker

pytestmark = pytest.mark.slow

_WHY = FRAMEWORKS["pytorch"].missing()
for_pytorch = pytest.mark.skipif(bool(_WHY), reason=_WHY or "")

CASE = Case("cifar-bn", "pytorch", "closed", recipe="short", batch_size=8)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return generate(train=16, test=20, seed=0)


def trained(case: Case, data: Dataset, folder: Path, start: Path | None = None) -> Any:
    """Metrics of a training, and where its weights are."""
    save(data, folder / "data")
    files = TrainingFiles(folder / "checkpoints", {}, "", weights=folder / "out.safetensors")
    with Worker(case, folder / "data", Limits(evaluations=1), weights=start) as worker:
        worker.open(lambda done, note: None)
        metrics = worker.measure("accuracy", lambda done, note: None, files)["metrics"]
    assert metrics["saved_weights"]["file"] == "out.safetensors"
    return metrics, folder / "out.safetensors"


def confusion(path: Path, data: Dataset) -> tuple[list[list[int]], Facts]:
    """Of the test images through inference, with the preprocessing of the file."""
    network = prediction_network(*open_weights(str(path)))
    mean, std = (np.array(each, np.float32) for each in network.preprocessing.in_unit)
    images = (np.asarray(data.test.images, np.float32) / 255 - mean) / std
    with InferenceSession(network, FRAMEWORKS["pytorch"], len(images)) as session:
        logits = session.run(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    counts = np.zeros((10, 10), np.int64)
    np.add.at(counts, (data.test.labels, logits.argmax(axis=1)), 1)
    return counts.tolist(), network.facts


@for_pytorch
def test_saved_weights_classify_as_the_training_did(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    metrics, path = trained(CASE, data, tmp_path / "one")
    counts, facts = confusion(path, data)
    assert counts == metrics["confusion"]
    assert facts.categories == data.classes

    # Then a new head on the frozen layers of these weights: trunk and head are in one file.
    _, prepared = open_weights(str(path))
    head = dataclasses.replace(
        CASE,
        init="pretrained",
        weights=facts.label,
        head="pool-narrow",
        frozen=True,
        recipe="transfer-frozen",
    )
    metrics, second = trained(head, data, tmp_path / "two", prepared)
    counts, facts = confusion(second, data)
    assert counts == metrics["confusion"]
    assert facts.head == "pool-narrow"
    assert facts.training["case"]["weights"] == head.weights
