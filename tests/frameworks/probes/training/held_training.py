"""Training on images that a trainer holds, and on the same images cut out on the host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.data.batching import crops_of, gather
from bench.networks.init import DropoutMasks
from bench.training.interfaces import StepInput
from bench.training.tracks import TRACKS
from tests.frameworks.probes.ablation import undropped
from tests.frameworks.probes.training.held import BATCH, CLOSED, SPLIT, batches
from tests.frameworks.support.networks import FREE, TINY, seeded_weights, setup
from tests.frameworks.support.trainers import create_loaded

STEPS, RATE = 3, 0.02


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for track in (CLOSED, *FREE):
        for held in (True, False):
            found, facts[f"{track}/{held}"] = _trained(framework, track, held)
            arrays |= {f"{track}/{held}/{name}": weight for name, weight in found.items()}
    return facts, arrays


def _trained(framework: str, track: str, held: bool) -> tuple[dict[str, Any], list[float]]:
    """Weights and losses after a few steps; without dropout of the framework's own."""
    rows = TINY if TRACKS[track].shared_masks else undropped(TINY)
    trainer = create_loaded(framework, setup(rows, steps=STEPS, track=track), seeded_weights(rows))
    if held:
        assert trainer.hold_images(SPLIT.images, SPLIT.labels, 3)
    masks = DropoutMasks(rows, 1)
    given = []
    for step, batch in zip(range(STEPS), batches(3), strict=False):
        images, classes = gather(SPLIT, batch, 3)
        drawn = masks.at(step, BATCH) if TRACKS[track].shared_masks else {}
        one = StepInput(images, classes, drawn, RATE)
        given.append(replace(one, images=images[:0], crops=crops_of(batch)) if held else one)
    trainer.train(iter(given), STEPS, lambda: None)
    trainer.sync()
    return trainer.export_weights(), trainer.losses()
