"""The tracks of free choices on the synthetic network: does it learn, and in which precision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.training.recipes.base import Recipe
from tests.frameworks.support.networks import (
    FREE,
    IDIOMATIC,
    TINY,
    random_images,
    seeded_weights,
    setup,
    step_input,
)
from tests.frameworks.support.trainers import create, create_loaded

STEPS = 20
RATES = (1.0, 0.25)
RECIPES = {
    "smoothed": Recipe("smoothed", "", learning_rate=0.02, label_smoothing=0.1),
    "adam": Recipe("adam", "", optimizer="adam", learning_rate=0.01, weight_decay=1e-4),
}
TRAINED = {track: tuple(RECIPES) if track == IDIOMATIC else ("adam",) for track in FREE}
"""Recipes by track. All compute the loss with the same code, but not the update of the weights."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for track in FREE:
        facts[track], found = _track(framework, track)
        arrays |= {f"{track}/{name}": array for name, array in found.items()}
    # bfloat16 was used before: nothing of it may remain in the process.
    closed = create_loaded(framework, setup(TINY), seeded_weights(TINY))
    arrays["closed"] = closed.predict(random_images(4))
    facts["closed"] = {"settings": closed.settings(), "computed_in": _computed_in(closed)}
    return facts, arrays


def _track(framework: str, track: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name in TRAINED[track]:
        given = setup(TINY, RECIPES[name], steps=STEPS, track=track)
        facts[name] = _train(create(framework, given))
    for precision in ("float32", "bfloat16"):
        given = setup(TINY, track=track, precision=precision)
        trainer, fresh = (create_loaded(framework, given, seeded_weights(TINY)) for _ in range(2))
        arrays[precision] = trainer.predict(random_images(4))
        facts[precision] = {
            "settings": trainer.settings(),
            **_train(trainer),
            "evaluates_what_it_trained": _evaluates(trainer, fresh),
            "evaluates_after_bare_loop": _bare(trainer) and _evaluates(trainer, fresh),
            "computed_in": _computed_in(trainer),
            "predicts_as_it_trains": _as_trained(framework, trainer),
            "evaluates_what_was_loaded": _loaded(trainer, arrays[precision]),
        }
    for rate in RATES:
        moved = _moved(framework, track, rate)
        arrays |= {f"moved at {rate}/{name}": array for name, array in moved.items()}
    return facts, arrays


def _train(trainer: Any) -> dict[str, Any]:
    """Mean losses over the first and the last steps on one batch, repeated."""
    given = step_input(TINY, 16, {}, 0.02)
    calls: list[int] = []
    losses = []
    for _ in range(2):
        trainer.train(iter([given] * STEPS), STEPS, lambda: calls.append(1))
        trainer.sync()
        found = trainer.losses()
        losses.append(sum(found) / len(found))
    return {"losses": losses, "calls": len(calls)}


def _moved(framework: str, track: str, rate: float) -> dict[str, Any]:
    """How far one step takes every weight, with the first layer trained at ``rate``."""
    recipe = Recipe("plain", "", learning_rate=0.02)
    given = setup(TINY, recipe, steps=1, track=track)
    rates = {} if rate == 1 else {"c1": rate}
    weights = seeded_weights(TINY)
    trainer = create_loaded(framework, dataclasses.replace(given, rates=rates), weights)
    trainer.train(iter([step_input(TINY, 16, {}, 0.02)]), 1, lambda: None)
    after = trainer.export_weights()
    return {name: after[name] - weights[name] for name in TINY.weight_shapes()}


def _evaluates(trained: Any, fresh: Any) -> bool:
    """Whether logits after training are those of a network that was never trained, with the trained
    weights."""
    fresh.load_weights(trained.export_weights())
    return bool(np.array_equal(fresh.predict(random_images(4)), trained.predict(random_images(4))))


def _loaded(trainer: Any, before: Any) -> bool:
    """Whether logits with the weights of before the training are those of before the training."""
    trainer.predict(random_images(4))
    trainer.load_weights(seeded_weights(TINY))
    return bool(np.array_equal(trainer.predict(random_images(4)), before))


def _as_trained(framework: str, trainer: Any) -> Any:
    """Keras: whether logits are those of the trained model, and the types of its weights."""
    if not framework.startswith("keras"):
        return None
    wanted = trainer._model.predict_on_batch(random_images(4))
    same = np.array_equal(np.asarray(wanted, np.float32), trainer.predict(random_images(4)))
    evaluated = getattr(trainer, "_evaluated", trainer._model)
    (network,) = [layer for layer in evaluated.layers if layer.name == TINY.name]
    return [same, *(network.get_layer(name).variables[0].dtype for name in ("c1", "c1_norm", "d1"))]


def _bare(trainer: Any) -> bool:
    """Two steps of the bare loop, where there is one."""
    loop = trainer.bare_loop(step_input(TINY, 16, {}, 0.02))
    if loop is not None:
        trainer.predict(random_images(4))  # which may make a copy of the current weights
        loop(2)
    forward = trainer.bare_predict(random_images(4))
    if forward is not None:
        forward(2)
    return True


def _computed_in(trainer: Any) -> str:
    """The type of the first convolution's output, while training."""
    if hasattr(trainer.network, "get_layer"):
        return str(trainer.network.get_layer("c1").compute_dtype)
    found: list[Any] = []
    hook = trainer.network.c1.register_forward_hook(lambda *given: found.append(given[2].dtype))
    trainer.train(iter([step_input(TINY, 4, {}, 0.0)]), 1, lambda: None)
    hook.remove()
    trainer.losses()
    return str(found[0]).removeprefix("torch.")
