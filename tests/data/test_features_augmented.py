"""A frozen trunk's features are of the images as they were augmented, whatever that was."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.data.batching import Augmentation, BatchPlan, gather
from bench.data.dataset import Split
from bench.worker import inputs
from bench.worker.inputs import FeatureInputs, _check_memory
from tests.support import planted_machine


def trunk(images: Any) -> Any:
    """Two features: a corner that turns away, and the sum of all pixels."""
    corner = images[:, :4, :4].astype(np.float32).mean(axis=(1, 2, 3))
    return np.stack([corner, images.astype(np.float32).mean(axis=(1, 2, 3))], axis=1)


@pytest.mark.parametrize("chunk", [5, 250])
@pytest.mark.parametrize(
    ("augmentation", "kept"),
    [
        (Augmentation(padding=1, flip=True), True),
        (Augmentation(flip=True, rotation=40), False),
        (Augmentation(padding=1, colour=0.5), False),
    ],
)
def test_turned_and_coloured_images_are_not_cached(
    monkeypatch: pytest.MonkeyPatch, augmentation: Augmentation, kept: bool, chunk: int
) -> None:
    """The trunk gets chunks of a few views, several times, or of more views than there are."""
    monkeypatch.setattr(inputs, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    train = Split(rng.integers(0, 256, (12, 32, 32, 3), np.uint8), np.arange(12))
    plan = BatchPlan(images=12, batch_size=6, seed=1, augmentation=augmentation)
    data: Any = SimpleNamespace(train=train, test=train)
    features = FeatureInputs(SimpleNamespace(predict=trunk), data, plan, steps=8)  # type: ignore[arg-type]
    for step in range(8):
        batch = plan.batch(step)
        images, labels = gather(train, batch, augmentation.padding)
        found, named = features.train(batch)
        np.testing.assert_allclose(found, trunk(images), rtol=1e-6)
        np.testing.assert_array_equal(named, labels)
    assert features.metrics()["features"]["cached"] is kept


def test_cached_features_may_take_half_of_the_memory_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Planted: a control group's limit, far below the machine's memory."""
    for limit, fits in ((4 * 1000 * 250 * 2 + 1, True), (4 * 1000 * 250 * 2 - 8, False)):
        files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{limit}\n"}
        planted_machine.root(monkeypatch, tmp_path / str(limit), files)
        if fits:
            _check_memory(1000, 250)
        else:
            with pytest.raises(UserError, match="may be used here"):
                _check_memory(1000, 250)
