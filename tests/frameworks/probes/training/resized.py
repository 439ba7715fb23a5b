"""Training on stored images of another size than 32 pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bench.data.batching import Augmentation, BatchPlan, crops_of, gather
from bench.data.dataset import Split
from bench.networks.init import DropoutMasks
from bench.training.interfaces import StepInput
from bench.training.tracks import TRACKS
from tests.frameworks.probes.ablation import undropped
from tests.frameworks.support.networks import FREE, TINY, labels, seeded_weights, setup
from tests.frameworks.support.trainers import create_loaded

SIDE, COUNT, BATCH, STEPS = 40, 24, 8, 2
CLOSED = next(name for name, row in TRACKS.items() if row.certified)
TRAINED = (CLOSED, *FREE)
SIZES = (32, SIDE)
"""Of the network's input: resized on the device, and as the images are stored."""


def split() -> Split:
    images = np.random.default_rng(4).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    return Split(images, labels(COUNT, TINY.classes, seed=2))


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for track in TRAINED:
        for size in SIZES:
            for held in (True, False):
                name = f"{track}/{size}/{held}"
                facts[name], arrays[name] = _trained(framework, track, size, held)
    return facts, arrays


def _trained(framework: str, track: str, size: int, held: bool) -> tuple[list[float], Any]:
    """Losses of a few steps on crops, and the logits of all images afterwards."""
    rows = replace(TINY if TRACKS[track].shared_masks else undropped(TINY), input_size=size)
    given = replace(setup(rows, steps=STEPS, track=track), side=SIDE)
    trainer = create_loaded(framework, given, seeded_weights(rows))
    own = split()
    if held:
        assert trainer.hold_images(own.images, own.labels, 3)
    masks = DropoutMasks(rows, 1)
    augmentation = Augmentation(padding=3, flip=True)
    plan = BatchPlan(images=COUNT, batch_size=BATCH, seed=5, augmentation=augmentation)
    steps = []
    for step in range(STEPS):
        batch = plan.batch(step)
        images, classes = gather(own, batch, 3)
        drawn = masks.at(step, BATCH) if TRACKS[track].shared_masks else {}
        one = StepInput(images, classes, drawn, 0.02)
        steps.append(replace(one, images=images[:0], crops=crops_of(batch)) if held else one)
    trainer.train(iter(steps), STEPS, lambda: None)
    trainer.sync()
    return trainer.losses(), trainer.predict(own.images)
