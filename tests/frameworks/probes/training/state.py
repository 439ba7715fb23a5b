"""The state of a training: exported in the middle of it, written, read, and gone on from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.case import Case
from bench.core.errors import UserError
from bench.data.batching import Augmentation, BatchPlan, crops_of, gather
from bench.data.dataset import Split
from bench.networks.init import DropoutMasks, Weights
from bench.training.interfaces import Setup, StepInput
from bench.training.recipes.base import Recipe
from bench.training.tracks import track
from bench.worker import checkpoints
from tests.frameworks.support.networks import (
    ABLATION,
    ADAM,
    IDIOMATIC,
    SGD,
    TUNED,
    WITH_STATE,
    labels,
    random_images,
    seeded_weights,
    setup,
)
from tests.frameworks.support.trainers import create

BATCH, STEPS, AT = 8, 9, 4
"""Images of a step, steps of the training, and the step whose state is exported."""
CALLS = {"within": (1, STEPS - 1), "between": (1, AT - 1, STEPS - AT)}
"""Steps of each call of ``train``: the state is exported within one, or between two."""


def _scheduled(recipe: Recipe, rate: float) -> Recipe:
    """With a rate that is another one in every step."""
    return replace(recipe, schedule="cosine", warmup=0.3, learning_rate=rate)


TRAININGS: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "closed SGD": (_scheduled(SGD, 0.05), {"track": "closed"}),
    "closed Adam": (_scheduled(ADAM, 0.01), {"track": "closed"}),
    "idiomatic": (_scheduled(SGD, 0.05), {"track": IDIOMATIC}),
    "idiomatic bfloat16": (_scheduled(ADAM, 0.01), {"track": IDIOMATIC, "precision": "bfloat16"}),
    "tuned bfloat16": (_scheduled(SGD, 0.05), {"track": TUNED, "precision": "bfloat16"}),
    "ablation": (_scheduled(ADAM, 0.01), {"track": ABLATION, "defaults": "own"}),
    "idiomatic float16": (_scheduled(SGD, 0.05), {"track": IDIOMATIC, "precision": "float16"}),
    "closed held": (_scheduled(SGD, 0.05), {"track": "closed"}),
    "idiomatic held": (_scheduled(SGD, 0.05), {"track": IDIOMATIC}),
    "idiomatic eager": (_scheduled(SGD, 0.05), {"track": IDIOMATIC, "execution": "eager"}),
    "idiomatic compiled": (_scheduled(SGD, 0.05), {"track": IDIOMATIC, "execution": "compiled"}),
}
"""Executed as the framework does by default, where nothing else is said."""
HELD = ("closed held", "idiomatic held")
"""From crops of images that the trainer holds, as on an accelerator."""
SPLIT = Split(random_images(30, seed=2), labels(30, WITH_STATE.classes, seed=2))
PLAN = BatchPlan(
    images=30, batch_size=BATCH, seed=5, augmentation=Augmentation(padding=3, flip=True)
)


THOROUGH = ("closed SGD", "idiomatic")
"""A trainer of each class; the others are variants of these."""
WHERE = {name: ("within",) for name in TRAININGS} | {name: tuple(CALLS) for name in THOROUGH}
"""Where the state of each is exported."""


def same_training(framework: str, name: str) -> str:
    """The first training with the recipe and the case of another: ``idiomatic``, where an execution
    is the framework's own."""

    def described(name: str) -> tuple[Recipe, Case, bool]:
        recipe, case = TRAININGS[name]
        return recipe, Case(WITH_STATE.name, framework, **case), name in HELD

    return next(other for other in TRAININGS if described(other) == described(name))


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {"refused": {}, "disturbed": {}}
    arrays: dict[str, Any] = {}
    for name, (recipe, case) in TRAININGS.items():
        if same_training(framework, name) != name:
            continue
        given = setup(WITH_STATE, recipe, steps=STEPS, **case)
        execution = case.get("execution", "")
        named = replace(given.case, framework=framework, execution=execution)
        given = replace(given, case=named)
        for place in WHERE[name]:
            training = _Training(framework, given, CALLS[place], held=name in HELD)
            whole, facts[f"{name} {place}"] = training.compared()
            if name in THOROUGH and place == "within":
                facts["disturbed"][name] = training.disturbed(whole)
        if name in THOROUGH:
            facts["refused"][name] = _refusals(framework, given)
    return facts, arrays


@dataclass
class _Training:
    framework: str
    given: Setup
    calls: tuple[int, ...]
    held: bool = False

    def compared(self) -> tuple[Any, dict[str, Any]]:
        """The trainer of the training in one go, and how another one that goes on from the state in
        its middle differs from it."""
        whole, losses, path = self._whole(export=True)
        resumed = self._created({})
        resumed.load_state(checkpoints.read(path).state)
        path.unlink()
        resumed.train(self._inputs(AT), STEPS - AT, lambda: None)
        resumed.sync()
        return whole, {
            "losses": losses,
            "resumed": resumed.losses(),
            "differing weights": _differing(whole, resumed),
            "differing predictions": not np.array_equal(_logits(whole), _logits(resumed)),
        }

    def disturbed(self, exported: Any) -> list[str]:
        """Names of the weights that an export changes."""
        return _differing(self._whole(export=False)[0], exported)

    def _created(self, weights: Weights) -> Any:
        """As a worker makes it: weights, then images."""
        trainer = create(self.framework, self.given)
        if weights:
            trainer.load_weights(weights)
        if self.held:
            assert trainer.hold_images(SPLIT.images, SPLIT.labels, PLAN.augmentation.padding)
        return trainer

    def _whole(self, *, export: bool) -> tuple[Any, list[float], Path]:
        """The trainer, the losses after the export, and the file of the state."""
        trainer = self._created(seeded_weights(WITH_STATE))
        folder, taken, found = Path(tempfile.mkdtemp(dir=os.environ["PROBES"])), 0, Path()

        def export_state() -> None:
            nonlocal found
            trainer.sync()
            trainer.losses()
            found = checkpoints.write(folder, AT, {}, trainer.export_state())

        def after_step() -> None:
            nonlocal taken
            taken += 1
            if export and taken == AT and self.calls == CALLS["within"]:
                export_state()

        for steps in self.calls:
            trainer.train(self._inputs(taken), steps, after_step)
            if export and taken == AT:
                export_state()
        trainer.sync()
        return trainer, trainer.losses(), found

    def _inputs(self, first: int) -> Iterator[StepInput]:
        masks = DropoutMasks(WITH_STATE, 0)
        shared = track(self.given.case.track).shared_masks
        for step in range(first, STEPS):
            batch = PLAN.batch(step)
            images, classes = gather(SPLIT, batch, PLAN.augmentation.padding)
            yield StepInput(
                images[:0] if self.held else images,
                classes,
                masks.at(step, BATCH) if shared else {},
                self.given.recipe.rate(step, STEPS),
                crops_of(batch) if self.held else None,
            )


def _differing(one: Any, other: Any) -> list[str]:
    left, right = one.export_weights(), other.export_weights()
    return [name for name in left if not np.array_equal(left[name], right[name])]


def _logits(trainer: Any) -> Any:
    return trainer.predict(random_images(4))


def _refusals(framework: str, given: Setup) -> dict[str, str]:
    """What the trainer says of states that are not its own."""
    trainer = create(framework, given)
    trainer.load_weights(seeded_weights(WITH_STATE))
    inputs = _Training(framework, given, (1,))
    trainer.train(inputs._inputs(0), 1, lambda: None)
    state = {name: np.array(array) for name, array in trainer.export_state()}
    first = next(name for name, array in state.items() if array.ndim > 1)
    slot = next(n for n, a in state.items() if n.startswith("optimizer/") and a.ndim > 1)
    states = {
        "missing": {name: array for name, array in state.items() if name != first},
        "shape": {**state, first: state[first][:1]},
        "type": {**state, first: state[first].astype(np.float16)},
        "slot": {**state, slot: state[slot][:1]},
    }
    found = {}
    refusing = create(framework, given)
    for name, wrong in states.items():
        try:
            refusing.load_state(wrong)
        except UserError as error:
            found[name] = str(error)
    return found
