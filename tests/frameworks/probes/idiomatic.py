"""The idiomatic track: its classes, the settings in force, and what it computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.networks.architecture import Architecture
from bench.networks.variants import variant
from bench.training.recipes.base import Recipe
from tests.frameworks.probes.ablation import undropped
from tests.frameworks.support.networks import (
    IDIOMATIC,
    TINY,
    random_images,
    seeded_weights,
    setup,
    step_input,
)
from tests.frameworks.support.trainers import create, create_loaded, undrawn_weights

SIZES = (32, 48, 95)
RECIPE = Recipe("probe", "", learning_rate=0.02, momentum=0.9, nesterov=False)
"""The arithmetic of all frameworks is the same: no weight decay, a constant rate."""
STEPS = 5
NETWORKS = ("cifar-bn", "cifar-lrn")


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {
        "classes": {name: _classes(framework, name) for name in NETWORKS},
        "settings": _settings(framework),
        "losses": {track: _losses(framework, track) for track in (IDIOMATIC, "closed")},
        "exported": _exported(framework),
    }
    arrays: dict[str, Any] = {}
    for size in SIZES:
        rows = dataclasses.replace(TINY, input_size=size)
        weights = seeded_weights(rows)
        for track in (IDIOMATIC, "closed"):
            trainer = create_loaded(framework, setup(rows, track=track), weights)
            arrays[f"{size}/{track}"] = trainer.predict(random_images(4))
    return facts, arrays


def _classes(framework: str, name: str) -> list[str]:
    """Full names of the classes of all layers, of the optimiser, and of the preparation."""
    rows = variant(name).architecture(10)
    with undrawn_weights():
        trainer = create(framework, setup(rows, track=IDIOMATIC, precision="bfloat16"))
    if framework == "pytorch":
        parts = [*trainer.network.modules(), trainer._optimizer]
    else:
        # The whole model: preparation, then the network as one layer.
        parts = [*trainer._model.layers, *trainer.network.layers, trainer._model.optimizer]
    return sorted({_full_name(part) for part in parts})


def _full_name(part: Any) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _settings(framework: str) -> dict[str, Any]:
    trainer = create(framework, setup(TINY, track=IDIOMATIC, precision="bfloat16"))
    found = {**trainer.settings()}
    if framework == "pytorch":
        found["fused"] = trainer._optimizer.defaults["fused"]
        found["evaluates_a_copy"] = _evaluated(trainer) is not trainer.network
    else:
        found["policies"] = sorted({layer.dtype_policy.name for layer in trainer.network.layers})
    return found


def _evaluated(trainer: Any) -> Any:
    trainer.predict(random_images(2))
    return trainer._evaluated.network


def _losses(framework: str, track: str) -> list[float]:
    """Of each step from the same weights on the same batch, without dropout."""
    rows: Architecture = undropped(TINY)
    given = setup(rows, RECIPE, steps=STEPS, track=track)
    trainer = create_loaded(framework, given, seeded_weights(rows))
    masks = {
        name: np.ones((16, *shape), bool)
        for name, (shape, _) in rows.dropouts().items()
        if track == "closed"
    }
    found: list[float] = []
    for _ in range(STEPS):
        trainer.train(iter([step_input(rows, 16, masks, 0.02)]), 1, lambda: None)
        trainer.sync()
        found += trainer.losses()
    return found


def _exported(framework: str) -> list[str]:
    """Names of the weights that come out as they were loaded."""
    weights = seeded_weights(TINY)
    exported = create_loaded(framework, setup(TINY, track=IDIOMATIC), weights).export_weights()
    return [name for name in weights if np.array_equal(weights[name], exported[name])]
