"""A framework's server on small networks: batches of several sizes, and both ways to features."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from bench.networks.architecture import (
    Architecture,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)
from bench.training.frameworks import framework as row_called
from bench.training.interfaces import InferenceSetup
from tests.frameworks.support.networks import seeded_weights

COUNT = 35
BATCHES = {"small": (1, 3, 32), "small-bn": (32,)}
"""Sizes by network; compiling for one takes some frameworks a second."""


def network(norm: bool) -> Architecture:
    """Like the real ones, and small: three dense layers, dropout before each but the first."""
    between = (BatchNorm("d1_bn"), BatchNorm("d2_bn")) if norm else ()
    return Architecture(
        "small-bn" if norm else "small",
        "synthetic",
        24,
        (
            Conv("c1", 8, 5, stride=2, padding=(1, 2)),
            *((BatchNorm("c1_bn"),) if norm else ()),
            ReLU("c1_relu"),
            LocalResponseNorm("c1_lrn"),
            MaxPool("p1", 3, 2),
            Conv("c2", 16, 3, padding=(1, 1), groups=2),
            ReLU("c2_relu"),
            Flatten("flatten"),
            Dense("d1", 32),
            *between[:1],
            ReLU("d1_relu"),
            Dropout("d2_dropout", 0.5),
            Dense("d2", 20),
            *between[1:],
            ReLU("d2_relu"),
            Dropout("d3_dropout", 0.5),
            Dense("d3", 11),
        ),
    )


def random_images() -> Any:
    return np.random.default_rng(3).normal(size=(COUNT, 3, 24, 24)).astype(np.float32)


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    module, _, name = str(row_called(framework).inference).partition(":")
    create = getattr(importlib.import_module(module), name)
    arrays: dict[str, Any] = {}
    for norm in (False, True):
        architecture = network(norm)
        weights = seeded_weights(architecture)
        for size in BATCHES[architecture.name]:
            parts = np.split(random_images(), range(size, COUNT, size))
            for embedding in (None, "d2_relu"):
                setup = InferenceSetup(architecture, weights, embedding, size, threads=1)
                server = create(setup)
                way = server.embed if embedding else server.logits
                key = f"{architecture.name}/{embedding}/{size}"
                arrays[key] = np.concatenate([way(part) for part in parts])
                if embedding:
                    sliced = [server.embed_by_slice(part) for part in parts]
                    arrays[f"{key}/slice"] = np.concatenate(sliced)
    return {}, arrays
