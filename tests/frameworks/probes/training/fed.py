"""What ``fit`` gets from the harness's batches, in every track of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from models_keras.backend import current


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    asked: list[int] = []
    given = [(np.full((size, 2, 2, 3), size, np.uint8), np.arange(size)) for size in (4, 4, 3, 1)]

    def batches() -> Any:
        for index, batch in enumerate(given):
            asked.append(index)
            yield batch

    fed = current().fed(batches())
    facts: dict[str, Any] = {"asked_before": list(asked)}
    if hasattr(fed, "options"):  # a tf.data.Dataset
        options = fed.options()
        facts["tuned"] = options.autotune.enabled
    found = [tuple(np.asarray(part) for part in batch) for batch in fed]
    facts["asked"] = asked
    facts["same"] = [
        all(
            np.array_equal(*pair) and pair[0].dtype == pair[1].dtype
            for pair in zip(*two, strict=True)
        )
        for two in zip(found, given, strict=True)
    ]
    return facts, {}
