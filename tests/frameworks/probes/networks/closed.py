"""The synthetic network in the closed track with given weights: logits, round trip, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.core.errors import UserError
from bench.networks.architecture import Architecture
from tests.frameworks.support.networks import (
    TINY,
    random_images,
    seeded_weights,
    setup,
    whole_networks,
)
from tests.frameworks.support.trainers import create_loaded


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    synthetic = {name: row for name, row in whole_networks().items() if row.name == TINY.name}
    facts, logits = loaded(framework, synthetic)
    return {"refusals": _refusals(framework), **facts}, logits


def loaded(
    framework: str, networks: Mapping[str, Architecture]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each network says of the weights that it has loaded, and its logits."""
    facts: dict[str, Any] = {}
    logits = {}
    for name, architecture in networks.items():
        weights = seeded_weights(architecture)
        trainer = create_loaded(framework, setup(architecture), weights)
        logits[name] = trainer.predict(random_images(3))
        exported = trainer.export_weights()
        facts[name] = {
            "names": list(exported),
            "parameters": _trainable(trainer),
            "dtypes": sorted({str(array.dtype) for array in exported.values()}),
            "unequal": [n for n in weights if not np.array_equal(weights[n], exported[n])],
            "settings": trainer.settings(),
        }
    return facts, logits


def _trainable(trainer: Any) -> int:
    if hasattr(trainer.network, "trainable_variables"):
        return sum(int(np.prod(v.shape)) for v in trainer.network.trainable_variables)
    return sum(p.numel() for p in trainer.network.parameters() if p.requires_grad)


def _refusals(framework: str) -> dict[str, Any]:
    """What is said of weights that do not fit, and whether they changed anything."""
    right = seeded_weights(TINY)
    trainer = create_loaded(framework, setup(TINY), right)
    before = trainer.predict(random_images(3))
    # All wrong weights are 9 throughout: one that was taken in spite of all would show.
    wrong = {name: np.full_like(weight, 9) for name, weight in right.items()}
    last = "d2.weight"
    given = {
        "missing": {k: v for k, v in wrong.items() if k != "c2.bias"},
        "extra": {**wrong, "c9.weight": np.zeros(1, np.float32)},
        "shape": {**wrong, last: wrong[last].T},
        "dtype": {**wrong, last: wrong[last].astype(np.float64)},
        "not finite": {**wrong, last: wrong[last] * np.nan},
        "statistic": {k: v for k, v in wrong.items() if k != "c1_norm.running_var"},
    }
    said = {}
    for name, weights in given.items():
        try:
            trainer.load_weights(weights)
        except UserError as error:
            said[name] = str(error)
    exported = trainer.export_weights()
    return {
        "said": said,
        "changed": [n for n in right if not np.array_equal(right[n], exported[n])],
        "same_logits": bool(np.array_equal(before, trainer.predict(random_images(3)))),
    }
