"""The ablation on the synthetic network: what every stage of a framework's chain has in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bench.core.case import Case
from bench.networks.architecture import Architecture, Dropout
from bench.training.defaults import chain, switched, with_own_constants
from bench.training.interfaces import Setup
from bench.training.recipes.base import Recipe
from bench.worker.opening import InitialWeights
from tests.frameworks.support.networks import ABLATION, MEAN, STD, TINY, random_images, step_input
from tests.frameworks.support.trainers import create

STEPS = 6
SCALES = (1.0, 1e-7)
"""Of gradients: ordinary ones, and some so small that Adam's eps decides."""
RECIPE = Recipe("probe", "", optimizer="adam", learning_rate=0.003, weight_decay=0.05)


def undropped(architecture: Architecture) -> Architecture:
    """The same network with dropout that keeps everything: each framework draws its own masks."""
    layers = (replace(x, rate=0.0) if isinstance(x, Dropout) else x for x in architecture.layers)
    return replace(architecture, layers=tuple(layers))


def case(framework: str, stage: str) -> Case:
    return Case("tiny", framework, ABLATION, recipe="probe", seed=3, defaults=stage)


def setup(framework: str, stage: str) -> Setup:
    chosen = case(framework, stage)
    architecture = with_own_constants(undropped(TINY), chosen)
    return Setup(chosen, architecture, RECIPE, STEPS, MEAN, STD, threads=1)


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {"chain": chain(TINY, framework), "settings": {}, "losses": {}}
    arrays: dict[str, Any] = {}
    for stage in facts["chain"]:
        given = setup(framework, stage)
        trainer = create(framework, given)
        rows = given.architecture
        InitialWeights.of(given, None).load_into(
            trainer, rows.weight_shapes() | rows.statistic_shapes()
        )
        arrays |= {f"{stage}/start/{k}": v for k, v in trainer.export_weights().items()}
        facts["settings"][stage] = trainer.settings()
        facts["losses"][stage] = _losses(trainer)
        arrays[f"{stage}/logits"] = trainer.predict(random_images(8, seed=5))
        arrays |= {f"{stage}/update/{k}": v for k, v in _updates(framework, given).items()}
    facts["own"] = _of(framework).own_defaults()
    return facts, arrays


def _losses(trainer: Any) -> list[float]:
    """A loss for every step, whatever a framework sums over."""
    found: list[float] = []
    for _ in range(STEPS):
        trainer.train(iter([step_input(TINY, 16, {}, RECIPE.learning_rate)]), 1, lambda: None)
        trainer.sync()
        found += trainer.losses()
    return found


def _updates(framework: str, given: Setup) -> dict[str, Any]:
    """The weight after each of a few steps of the stage's optimiser, alone, on given gradients."""
    found = {}
    for scale in SCALES:
        start, gradients = update_input(scale)
        shared = switched(given.case)
        found[f"{scale:g}"] = _of(framework).optimizer_steps(RECIPE, shared, start, gradients)
    return found


def update_input(scale: float) -> tuple[Any, Any]:
    """A weight (40,) and its gradients (4, 40) at four steps, float32, of about `scale`."""
    rng = np.random.default_rng(4)
    start, gradients = rng.normal(size=40), scale * rng.normal(size=(4, 40))
    return start.astype(np.float32), gradients.astype(np.float32)


def _of(framework: str) -> Any:
    # One of the two cannot be imported in this process.
    if framework == "pytorch":
        from tests.frameworks.probes.parts import ablation_torch  # noqa: PLC0415

        return ablation_torch
    from tests.frameworks.probes.parts import ablation_keras  # noqa: PLC0415

    return ablation_keras
