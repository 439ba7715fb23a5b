"""Single pieces against their definitions: LRN, dropout, resize, optimisers, loss, schedule."""

from __future__ import annotations

import importlib
from typing import Any

from tests.frameworks.support import pieces


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    kind = "torch" if framework == "pytorch" else "keras"
    module = importlib.import_module(f"tests.frameworks.probes.parts.layers_{kind}")
    arrays: dict[str, Any] = {}
    for i, case in enumerate(pieces.LRN_CASES):
        arrays.update({f"lrn{i}/{k}": v for k, v in module.lrn(case).items()})
    for rate in pieces.DROPOUT_RATES:
        arrays[f"dropout/{rate}"] = module.dropout(rate, *pieces.dropout_input())
    for size in pieces.SIZES:
        arrays[f"prepare/{size}"] = module.prepare(size)
    for name, recipe in pieces.OPTIMIZERS.items():
        arrays[f"update/{name}"] = module.updates(recipe)
    for smoothing in pieces.SMOOTHINGS:
        arrays[f"loss/{smoothing}"] = module.loss(*pieces.loss_input(), smoothing)
    arrays.update(module.others())
    return {}, arrays
