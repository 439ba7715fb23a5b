"""Crops of images that stay on the device, against batches that are cut out on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.core.errors import UserError
from bench.data.batching import Augmentation, Batch, BatchPlan, crops_of
from bench.data.dataset import Split
from bench.training.tracks import TRACKS
from tests.frameworks.support.networks import TINY, labels, random_images, setup
from tests.frameworks.support.trainers import create

COUNT, BATCH = 30, 8
PADDINGS = (0, 3)
SPLIT = Split(random_images(COUNT, seed=2), labels(COUNT, TINY.classes, seed=2))
CLOSED = next(name for name, row in TRACKS.items() if row.certified)


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {"unusable": _unusable(framework)}
    arrays: dict[str, Any] = {}
    if framework == "pytorch":
        size = COUNT * 3 * (SPLIT.images.shape[1] + 2 * 3) ** 2
        facts["held_with"] = {"twice": _held_with(2 * size), "less": _held_with(2 * size - 1)}
    for padding in PADDINGS:
        for step, batch in enumerate(batches(padding)):
            arrays[f"cut/{padding}/{step}"] = _cut(framework, padding, batch)
            if framework != "pytorch":
                arrays[f"cut/{padding}/{step}/half"] = _cut(framework, padding, batch, "float16")
    return facts, arrays


def batches(padding: int) -> Iterator[Batch]:
    """Over the end of an epoch, mirrored and not."""
    augmentation = Augmentation(padding=padding, flip=True)
    plan = BatchPlan(images=COUNT, batch_size=BATCH, seed=5, augmentation=augmentation)
    return (plan.batch(step) for step in range(5))


def _cut(framework: str, padding: int, batch: Batch, dtype: str = "uint8") -> Any:
    if framework == "pytorch":
        import torch  # noqa: PLC0415

        from models_torch.preprocess import HeldImages  # noqa: PLC0415

        held = HeldImages(SPLIT.images, SPLIT.labels, padding, torch.device("cpu"))
        images, classes = held(torch.from_numpy(crops_of(batch)))
        assert np.array_equal(classes.numpy(), SPLIT.labels[batch.indices])
        return images.numpy()
    from keras import ops  # noqa: PLC0415

    from models_keras.crops import bordered, cut  # noqa: PLC0415

    held = ops.convert_to_tensor(bordered(SPLIT.images, padding), dtype)
    crops = ops.convert_to_tensor(crops_of(batch))
    return np.asarray(ops.convert_to_numpy(cut(held, crops, SPLIT.images.shape[1])))


def _held_with(free: int | None) -> bool:
    """Whether PyTorch holds the images on a device with so many bytes free."""
    import models_torch.trainer as trainers  # noqa: PLC0415

    own, trainers.free_memory = trainers.free_memory, lambda device: free
    try:
        return create("pytorch", setup(TINY)).hold_images(SPLIT.images, SPLIT.labels, 3)
    finally:
        trainers.free_memory = own


def _unusable(framework: str) -> str:
    """What is said of a device that is not there."""
    try:
        create(framework, setup(TINY, device="cuda"))
    except UserError as error:
        return str(error)
    return ""
