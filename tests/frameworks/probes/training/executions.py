"""Every track eagerly and compiled: the same training, and what is reported of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.core.case import COMPILED, EAGER, GRAPHS, NO_XLA, XLA
from bench.core.errors import UnavailableError
from bench.networks.architecture import Architecture
from bench.networks.init import DropoutMasks
from bench.training.tracks import TRACKS
from tests.frameworks.probes.ablation import undropped
from tests.frameworks.probes.training.held import CLOSED
from tests.frameworks.support.networks import (
    FREE,
    ONE_OF_EACH,
    random_images,
    seeded_weights,
    setup,
    step_input,
)
from tests.frameworks.support.trainers import create_loaded

STEPS = 3
CALLS = "compiled:2"
"""The last call has one step."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for track in (CLOSED, *FREE):
        for execution in (EAGER, COMPILED):
            name = f"{track}/{execution}"
            facts[name], arrays[name] = _trained(framework, track, execution)
        eager: dict[str, Any] = {}
        # XLA outside the closed track: in a process that has not become deterministic (`fresh`).
        for execution in (GRAPHS, CALLS, NO_XLA, *([XLA] if track == CLOSED else [])):
            facts[f"{track}/{execution}"] = _unusual(framework, track, execution, eager)
    return facts, arrays


def _unusual(framework: str, track: str, execution: str, eager: dict[str, Any]) -> dict[str, Any]:
    """This execution and the eager one of the track, trained at its first use; or why there is no
    such execution."""
    try:
        found = _in_one_call(framework, track, execution)
    except UnavailableError as error:
        return {"unavailable": str(error)}
    if not eager:
        eager |= _in_one_call(framework, track, EAGER)
    return {execution: found, EAGER: eager}


def _in_one_call(framework: str, track: str, execution: str) -> dict[str, Any]:
    """Losses and logits after all steps in one call of ``train``, and how many were counted."""
    rows = ONE_OF_EACH if TRACKS[track].shared_masks else undropped(ONE_OF_EACH)
    given = setup(rows, steps=STEPS, track=track)
    given = replace(given, case=replace(given.case, framework=framework, execution=execution))
    trainer = create_loaded(framework, given, seeded_weights(rows))
    counted: list[int] = []
    inputs = (step_input(rows, 8, _masks(rows, track, step), 0.02) for step in range(STEPS))
    trainer.train(inputs, STEPS, lambda: counted.append(1))
    trainer.sync()
    return {
        "steps": len(counted),
        "losses": trainer.losses(),
        "logits": trainer.predict(random_images(4)).tolist(),
        "execution": trainer.settings()["execution"],
        "jit_compile": trainer.settings()["jit_compile"],
    }


def _masks(rows: Architecture, track: str, step: int) -> dict[str, Any]:
    """Those that the track shares."""
    return DropoutMasks(rows, 1).at(step, 8) if TRACKS[track].shared_masks else {}


def _trained(framework: str, track: str, execution: str) -> tuple[dict[str, Any], Any]:
    """Losses of single steps, and logits afterwards."""
    rows = ONE_OF_EACH if TRACKS[track].shared_masks else undropped(ONE_OF_EACH)
    given = setup(rows, steps=STEPS, track=track)
    case = replace(given.case, framework=framework, execution=execution)
    given = replace(given, case=case)
    trainer = create_loaded(framework, given, seeded_weights(rows))
    losses: list[float] = []
    for step in range(STEPS):
        given_step = step_input(rows, 8, _masks(rows, track, step), 0.02)
        trainer.train(iter([given_step]), 1, lambda: None)
        trainer.sync()
        losses += trainer.losses()
    logits = trainer.predict(random_images(4))
    return {"losses": losses, "settings": trainer.settings()}, logits
