"""A synthetic run on one and two devices: no run on several is published yet."""

from __future__ import annotations

from dataclasses import replace

from bench.core.records import Record
from tests.support.synthetic_records.synthetic import DATASET, make_record

_TURNS = [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]
_NAMED = DATASET | {"name": "synthetic records"}


def measured(framework: str, devices: int, batch: int, rate: int) -> Record:
    """Training at about `rate` images/s on some devices."""
    record = make_record(
        framework=framework,
        kind="train_throughput",
        devices=devices,
        batch_size=batch,
        dataset=_NAMED,
    )
    exchange = {"with_exchange": [1.0, 1.0, 1.0], "without_exchange": [0.8, 0.75, 0.7]}
    parallel = {"parallel": {"batch_norm": "local", **exchange}} if devices > 1 else {}
    interleaving = {"group": framework, "blocks": _TURNS}
    return replace(
        record,
        samples=(1.0, 1.01, 0.99, 1.0),
        images_per_sample=rate,
        metrics={"interleaving": interleaving, **parallel},
    )


RUN = [
    measured("pytorch", 1, 128, 1000),
    measured("pytorch", 1, 256, 1100),
    measured("pytorch", 2, 128, 1500),
    measured("pytorch", 2, 256, 1900),
    measured("keras-jax", 1, 128, 1000),
    measured("keras-jax", 2, 128, 1200),
]
