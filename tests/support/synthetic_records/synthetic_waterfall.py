"""Synthetic records of the ablation of defaults: nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.core.records import Record
from bench.networks.variants import variant
from bench.training.defaults import chain
from bench.training.tracks import ABLATION
from tests.support.synthetic_records.synthetic import make_record

FRAMEWORKS = ("pytorch", "keras-tensorflow")
GAIN = {"initialisation": 0.05, "bn-momentum": 0.2, "weight-decay": -0.03}
SPEED = {"fused-update": 1.3, "bn-variance": 0.9, "shuffle": 1.25, "layout": 1.5}


def make_waterfall(
    seeds: int = 3, name: str = "cifar-bn", frameworks: Sequence[str] = FRAMEWORKS
) -> list[Record]:
    """A whole ablation: every stage moves accuracy and speed by what stands above, and a little
    noise that a seed has at every stage."""
    return [
        staged(one, stage, seed, name)
        for seed in range(seeds)
        for one in frameworks
        for stage in chain(variant(name).architecture(), one)
    ]


def staged(name: str, stage: str, seed: int = 0, network: str = "cifar-bn") -> Record:
    stages = chain(variant(network).architecture(), name)
    until = stages[: stages.index(stage) + 1]
    accuracy = 0.4 + 0.01 * seed + sum(GAIN.get(s, 0) for s in until)
    rate = (300 + 10 * seed) * math.prod(SPEED.get(s, 1) for s in until)
    return made(name, stage, seed, network, accuracy=accuracy, rate=rate)


def made(
    name: str, stage: str, seed: int, network: str = "cifar-bn", *, accuracy: float, rate: float
) -> Record:
    record = make_record(
        network, name, "accuracy", track=ABLATION, defaults=stage, seed=seed, recipe="ablation"
    )
    # The first stretch is slow: trace and compile are in it.
    curve = [
        {"images": 10_000 * i, "seconds": 100 + 10_000 * i / rate, "test_accuracy": accuracy}
        for i in range(1, 4)
    ]
    metrics = {**record.metrics, "curve": curve, "test_accuracy": accuracy}
    return replace(record, samples=(accuracy,), metrics=metrics, parity={"status": "none"})
