"""Training in float16 with loss scaling, next to the same in float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bench.core.errors import UnavailableError
from tests.frameworks.probes.ablation import undropped
from tests.frameworks.support.networks import (
    FREE,
    TINY,
    random_images,
    seeded_weights,
    setup,
    step_input,
)
from tests.frameworks.support.trainers import create_loaded

STEPS = 12


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts = {
        f"{track}/{precision}": _trained(framework, track, precision)
        for track in FREE
        for precision in ("float32", "float16")
    }
    return facts, {}


def _trained(framework: str, track: str, precision: str) -> dict[str, Any]:
    """Losses of single steps, and the scale of the loss before and after a step that overflows."""
    rows = undropped(TINY)
    given = setup(rows, steps=STEPS, track=track, precision=precision)
    given = replace(given, case=replace(given.case, framework=framework, execution=""))
    try:
        trainer = create_loaded(framework, given, seeded_weights(rows))
    except UnavailableError as error:
        return {"unavailable": str(error)}
    losses: list[float] = []
    for _ in range(STEPS):
        trainer.train(iter([step_input(rows, 8, {}, 0.02)]), 1, lambda: None)
        trainer.sync()
        losses += trainer.losses()
    settings = trainer.settings()
    logits = trainer.predict(random_images(4))
    found = {
        "losses": losses,
        "compute_dtype": settings["compute_dtype"],
        "scale": settings["loss_scale"],
        "logits": [str(logits.dtype), bool(np.isfinite(logits).all())],
    }
    if precision == "float16":
        weights = trainer.export_weights()
        # Values above 255, whose squares are infinite in float16: those of an LRN are none.
        larger = {
            n: w * np.float32(1000) if n == "c1_norm.weight" else w for n, w in weights.items()
        }
        trainer.load_weights(larger)
        found["large_values"] = bool(np.isfinite(trainer.predict(random_images(4))).all())
        trainer.load_weights(weights)
        found["overflow"] = _after_overflow(trainer, rows)
    return found


def _after_overflow(trainer: Any, rows: Any) -> dict[str, Any]:
    """A step whose gradients are infinite: the weights stay, and the scale is halved."""
    before = trainer.export_weights()
    wild = {
        name: weight * np.float32(1e6) if name == "d2.weight" else weight
        for name, weight in before.items()
    }
    trainer.load_weights(wild)
    scale = trainer.settings()["loss_scale"]
    trainer.train(iter([step_input(rows, 8, {}, 0.02)]), 1, lambda: None)
    trainer.sync()
    after = trainer.export_weights()
    trained = rows.weight_shapes()
    return {
        "moved": [name for name in trained if not np.array_equal(after[name], wild[name])],
        "scales": [scale, trainer.settings()["loss_scale"]],
    }
