"""Training steps of the closed track: the losses, and what they did to the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bench.networks.init import DropoutMasks
from tests.frameworks.support.networks import (
    TINY,
    Job,
    jobs,
    random_images,
    sampled,
    seeded_weights,
    setup,
    step_input,
)
from tests.frameworks.support.trainers import create_loaded


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts, arrays = {}, {}
    for name, job in jobs().items():
        facts[name], changes = _steps(framework, name, job)
        arrays.update({f"{name}/{weight}": change for weight, change in changes.items()})
    arrays.update({f"moments/{name}": value for name, value in _moments(framework).items()})
    return facts, arrays


def _steps(framework: str, name: str, job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    architecture, size = job.architecture, job.batch_size
    before = seeded_weights(architecture)
    given = setup(architecture, job.recipe, steps=len(job.rates))
    trainer = create_loaded(framework, given, before)
    masks = DropoutMasks(architecture, seed=5)
    inputs = [
        step_input(architecture, size, masks.at(step, size), rate)
        for step, rate in enumerate(job.rates)
    ]
    calls = []
    trainer.train(iter(inputs), len(inputs), lambda: calls.append(1))
    trainer.sync()
    after = trainer.export_weights()
    changes = {name: after[name].astype(float) - before[name] for name in before}
    facts = {
        "losses": trainer.losses(),
        "losses_again": trainer.losses(),
        "calls": len(calls),
        "norms": {name: float(np.linalg.norm(change)) for name, change in changes.items()},
    }
    if name == "tiny-nesterov":
        facts["predict"] = _predictions(framework, job, trainer, after)
        enlarged = replace(job, architecture=replace(job.architecture, input_size=48))
        facts["bare"] = _bare(framework, job)
        facts["bare_enlarged"] = _bare(framework, enlarged)
    return facts, {name: sampled(name, change) for name, change in changes.items()}


def _predictions(framework: str, job: Job, trained: Any, weights: Any) -> dict[str, Any]:
    """Evaluation after training, compared with a network that was never trained."""
    fresh = create_loaded(framework, setup(job.architecture, job.recipe), weights)
    images = random_images(job.batch_size)
    first, second = trained.predict(images), trained.predict(images)
    trained.bare_predict(images)(2)
    return {
        "unmoved_by_bare": bool(np.array_equal(first, trained.predict(images))),
        "repeats": bool(np.array_equal(first, second)),
        "as_untrained": bool(np.array_equal(first, fresh.predict(images))),
        "finite": bool(np.isfinite(first).all() and first.std() > 0),
    }


def _bare(framework: str, job: Job) -> float:
    """Largest difference of two steps of the bare loop from two ordinary ones, by the change.

    With other images predicted in between, which must not change the loop's batch.
    """
    size = job.batch_size
    others = random_images(size, seed=9)
    masks = DropoutMasks(job.architecture, seed=5).at(0, size)
    given = step_input(job.architecture, size, masks, job.recipe.learning_rate)
    before = seeded_weights(job.architecture)
    chosen = setup(job.architecture, job.recipe)
    one, other = (create_loaded(framework, chosen, before) for _ in range(2))
    one.train(iter([given] * 2), 2, lambda: None)
    one.sync()
    other.predict(others)
    loop = other.bare_loop(given)
    other.predict(others)
    loop(2)
    ours, theirs = (
        np.concatenate([(after[n] - before[n]).ravel() for n in before])
        for after in (one.export_weights(), other.export_weights())
    )
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())


def _moments(framework: str) -> dict[str, Any]:
    """Running moments after one step from 0 and 1, with dropout that keeps everything."""
    size = 8
    before = seeded_weights(TINY)
    for name, weight in before.items():
        if "running" in name:
            weight[:] = name.endswith("_var")
    trainer = create_loaded(framework, setup(TINY), before)
    masks = {name: np.ones((size, *shape), bool) for name, (shape, _) in TINY.dropouts().items()}
    trainer.train(iter([step_input(TINY, size, masks, 0.0)]), 1, lambda: None)
    after = trainer.export_weights()
    return {name: after[name] for name in TINY.statistic_shapes()}
