"""The cost of training on a frozen trunk without cached features, from some steps."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from bench.worker.inputs import FeatureInputs
from bench.worker.session import Session

STEPS = 4


def recomputed_features(bench: Session) -> dict[str, Any] | None:
    """Seconds and images of steps whose batches go through the trunk again.

    Taken after the training; the head is restored. None where no features were cached, or where
    the weights are no numbers any more.
    """
    cached = bench.inputs
    if bench.trunk is None or not isinstance(cached, FeatureInputs) or not cached.keep:
        return None
    trained = bench.trainer.export_weights()
    if not all(np.isfinite(weight).all() for weight in trained.values()):
        return None
    bench.inputs = FeatureInputs(
        bench.trunk, bench.dataset, bench.plan, steps=bench.setup.steps, keep=False
    )
    try:
        bench.train(1)  # another shape than the cached chunks: traced outside the clock
        bench.trainer.sync()
        started = perf_counter()
        bench.train(STEPS)
        bench.trainer.sync()
        seconds = perf_counter() - started
    finally:
        bench.inputs = cached
    bench.trainer.load_weights(trained)
    bench.trainer.losses()
    return {"seconds": seconds, "images": STEPS * bench.setup.case.batch_size}
