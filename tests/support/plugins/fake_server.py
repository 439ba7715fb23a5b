"""Servers in numpy and a network small enough for them.

``ALEXBENCH_EXTENSIONS=tests.support.plugins.fake_server_rows`` brings them into a process;
`install` into one test.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.networks import variants
from bench.networks.architecture import Conv, Dense, Flatten, Layer, ReLU
from bench.networks.init import initial_weights
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import Variant
from bench.training import frameworks
from bench.training.frameworks import Framework
from bench.training.interfaces import InferenceSetup, Outputs, PreparedImages

if TYPE_CHECKING:
    import pytest  # workers import this module too, and need no pytest

FEATURES, CLASSES = 6, 10


def _layers(classes: int) -> tuple[Layer, ...]:
    return (
        Conv("conv1", 4, 5, stride=4),
        ReLU("conv1_relu"),
        Flatten("flatten"),
        Dense("dense1", 8),
        ReLU("dense1_relu"),
        Dense("dense2", FEATURES),
        ReLU("dense2_relu"),
        Dense("dense3", classes),
    )


VARIANT = Variant("served", "for tests", 16, CLASSES, _layers)


class FakeServer:
    """Features are the mean colour twice; logits their product with the last layer's weights."""

    def __init__(self, setup: InferenceSetup) -> None:
        self.setup = setup
        self.calls = 0

    def embed(self, images: PreparedImages) -> Outputs:
        self.calls += 1
        assert 1 <= len(images) <= self.setup.batch_size
        means = images.mean(axis=(2, 3))
        return np.maximum(np.concatenate([means, -means], axis=1), 0)

    def embed_by_slice(self, images: PreparedImages) -> Outputs:
        return self.embed(images)

    def logits(self, images: PreparedImages) -> Outputs:
        rows: Outputs = self.embed(images) @ self.setup.weights["dense3.weight"].T
        return rows


class Parting(FakeServer):
    """Its two ways to the features are not the same."""

    def embed_by_slice(self, images: PreparedImages) -> Outputs:
        return self.embed(images) * np.float32(1.00001)


class Dying(FakeServer):
    """Is killed in its second batch."""

    def embed(self, images: PreparedImages) -> Outputs:
        if self.calls == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(images)


class DyingLater(FakeServer):
    """Is killed in a batch after the first, whose features are computed in two ways."""

    def embed(self, images: PreparedImages) -> Outputs:
        if self.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(images)


class Raising(FakeServer):
    """Fails in its second batch."""

    def embed(self, images: PreparedImages) -> Outputs:
        if self.calls == 1:
            raise ValueError("no more")
        return super().embed(images)


class Infinite(FakeServer):
    """Its logits are no numbers."""

    def logits(self, images: PreparedImages) -> Outputs:
        return super().logits(images) * np.float32("nan")


class Sleeping(FakeServer):
    """Sleeps in its second batch, for as long as a test may take."""

    def embed(self, images: PreparedImages) -> Outputs:
        if self.calls == 1:
            time.sleep(60)
        return super().embed(images)


def _row(name: str, server: str | None, **changes: Any) -> Framework:
    path = None if server is None else f"tests.support.plugins.fake_server:{server}"
    return Framework(name, "", "fake", **{"modules": ("numpy",), "inference": path, **changes})


FRAMEWORKS = (
    _row("served", "FakeServer"),
    _row("served-parting", "Parting"),
    _row("served-dying", "Dying"),
    _row("served-dying-later", "DyingLater"),
    _row("served-raising", "Raising"),
    _row("served-infinite", "Infinite"),
    _row("served-sleeping", "Sleeping"),
    _row("served-none", None),
    _row("served-missing", "FakeServer", modules=("no_such_module",)),
)


def register() -> None:
    """For good: what an extension does in the process that imports it."""
    variants.register(VARIANT)
    for row in FRAMEWORKS:
        frameworks.register(row)


def install(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """For one test: the rows here and in every worker, and a cache of its own."""
    monkeypatch.setitem(variants.VARIANTS, VARIANT.name, VARIANT)
    for row in FRAMEWORKS:
        monkeypatch.setitem(frameworks.FRAMEWORKS, row.name, row)
    for name, value in environment(cache).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ALEXBENCH_DATA", raising=False)
    # The command imports extensions here as well, where the rows are already.
    name = "tests.support.plugins.fake_server_rows"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))


def environment(cache: Path) -> dict[str, str]:
    """What a process needs to know the fakes, and to run the same alexbench as this one."""
    root = Path(frameworks.__file__).parents[2]
    return {
        "PYTHONPATH": str(root),
        "ALEXBENCH_EXTENSIONS": "tests.support.plugins.fake_server_rows",
        "ALEXBENCH_CACHE": str(cache),
        "COLUMNS": "100",
    }


def pretrained(categories: tuple[str, ...] = (), **changes: Any) -> Pretrained:
    """Weights of the served network, whole unless ``changes`` to the facts say otherwise."""
    architecture = VARIANT.architecture()
    tensors = initial_weights(architecture, seed=4)
    how = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.25, 0.3), size=16, resize=18)
    fields: dict[str, Any] = {
        "layers": ("conv1", "dense1", "dense2", "dense3"),
        "classes": CLASSES,
        "input_size": 16,
        "categories": categories,
        **changes,
    }
    facts = Facts("synthetic", "0" * 64, VARIANT.name, preprocessing=how, **fields)
    kept = {k: w for k, w in tensors.items() if k.rpartition(".")[0] in facts.layers}
    return Pretrained(facts, kept)
