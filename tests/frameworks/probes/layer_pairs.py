"""The suite's layers compared with the framework's own, on the smallest network that has any."""

from __future__ import annotations

import importlib
from typing import Any

from bench.core.case import Case
from bench.networks.variants import variant
from bench.training.frameworks import framework as row_of
from bench.training.interfaces import Setup
from bench.training.recipes import recipe

BATCH = 3


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = variant("cifar-lrn").architecture(10)
    case = Case("cifar-lrn", framework, "idiomatic", batch_size=BATCH)
    made = Setup(case, rows, recipe("steady"), 10, (0.5,) * 3, (0.25,) * 3, threads=2)  # type: ignore[arg-type]
    module, _, function = str(row_of(framework).layer_pairs).partition(":")
    arrays, pairs = {}, []
    for pair in getattr(importlib.import_module(module), function)(made):
        pairs.append(
            {
                "layer": pair.layer,
                "shape": list(pair.shape),
                "theirs": pair.theirs_name,
                "difference": pair.difference(),
            }
        )
        for name, side in (("ours", pair.ours), ("theirs", pair.theirs)):
            for part, found in zip(("y", "dx"), side(), strict=True):
                arrays[f"{pair.layer}/{name}/{part}"] = (
                    found if framework != "pytorch" else found.numpy()
                )
    return {"pairs": pairs}, arrays
