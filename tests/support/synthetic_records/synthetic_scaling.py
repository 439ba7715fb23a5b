"""Synthetic records of trainings on one device and on two, in two frameworks."""

from __future__ import annotations

from bench.core.records import Record
from tests.support.synthetic_records.synthetic import make_record

EFFICIENCY = {("pytorch", 128): 0.78, ("pytorch", 256): 0.94, ("keras-jax", 128): 0.83}
"""By framework and global batch on two devices; 1 where it is not listed."""
_RATE = {"pytorch": 900.0, "keras-jax": 800.0}
_DATA = {"name": "example, not measured", "fingerprint": "e" * 64, "train_images": 50_000}


def make_scaling(track: str = "closed") -> list[Record]:
    """128 images on one device, 128 on two (strong scaling) and 256 on two (weak), interleaved."""
    blocks = [[process, turn, 1] for process in range(4) for turn in range(3)]
    records = []
    for framework, rate in _RATE.items():
        for devices, batch in ((1, 128), (2, 128), (2, 256)):
            reached = 1.0 if devices == 1 else devices * EFFICIENCY.get((framework, batch), 1.0)
            seconds = tuple(
                10 * batch / (rate * reached) * (1 + 0.01 * ((3 * turn + process + devices) % 4))
                for process, turn, _ in blocks
            )
            metrics = {
                "interleaving": {"group": track, "blocks": blocks},
                "parallel": {"method": "example", "batch_norm": "local"},
            }
            records.append(
                make_record(
                    framework=framework,
                    kind="train_throughput",
                    track=track,
                    devices=devices,
                    batch_size=batch,
                    samples=seconds,
                    images_per_sample=10 * batch,
                    metrics=metrics,
                    dataset=_DATA,
                )
            )
    return records
