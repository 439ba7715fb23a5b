"""Synthetic records of a network with and without a normalisation, in two frameworks."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.records import Record
from tests.support.synthetic_records.synthetic import make_record

RATES = {"cifar-plain": 1.0, "cifar-bn": 0.8, "cifar-lrn": 0.7}
ACCURACIES = {"cifar-plain": 0.60, "cifar-bn": 0.68, "cifar-lrn": 0.61}


def make_trained(variant: str, fractions: Sequence[float], **changes: object) -> list[Record]:
    """Accuracy records of seeds 0, 1, … with these test accuracies."""
    return [
        make_record(variant, kind="accuracy", seed=seed, samples=(fraction,), **changes)
        for seed, fraction in enumerate(fractions)
    ]


def make_normalisations(track: str = "closed", seeds: int = 3) -> list[Record]:
    """Accuracy and training throughput of three networks in two frameworks, interleaved."""
    records = []
    blocks = [[process, turn, 1] for process in (0, 1) for turn in range(6)]
    metrics = {"interleaving": {"group": track, "blocks": blocks}}
    for framework, points in (("pytorch", 0.0), ("keras-jax", 0.01)):
        for variant, rate in RATES.items():
            base = ACCURACIES[variant] + points
            spread = [base + 0.004 * ((seed * 7 + len(variant)) % 3 - 1) for seed in range(seeds)]
            names = {"framework": framework, "track": track}
            records += make_trained(variant, spread, **names)
            seconds = tuple(1 / rate * (1 + 0.01 * (block % 3)) for block in range(12))
            timed = {"kind": "train_throughput", "samples": seconds, "images_per_sample": 900}
            records.append(make_record(variant, **names, **timed, metrics=metrics))
    return records
