"""What a frozen trunk's training would cost if nothing were kept: some steps of just that."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from bench.worker.inputs import FeatureInputs
from bench.worker.session import Session

STEPS = 4


def recomputed_features(bench: Session) -> dict[str, Any] | None:
    """Seconds and pictures of steps whose batches go through the trunk again.

    Taken behind the training; the head is left as it was found. None where no features were kept.
    """
    kept = bench.inputs
    if bench.trunk is None or not isinstance(kept, FeatureInputs) or not kept.keep:
        return None
    trained = bench.trainer.export_weights()
    bench.inputs = FeatureInputs(
        bench.trunk, bench.dataset, bench.plan, steps=bench.setup.steps, keep=False
    )
    try:
        bench.train(1)  # another shape than the kept ones' chunks: traced outside the clock
        bench.trainer.sync()
        started = perf_counter()
        bench.train(STEPS)
        bench.trainer.sync()
        seconds = perf_counter() - started
    finally:
        bench.inputs = kept
    bench.trainer.load_weights(trained)
    bench.trainer.losses()
    return {"seconds": seconds, "images": STEPS * bench.setup.case.batch_size}
