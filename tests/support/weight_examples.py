"""Weights for the tests: a small network with a layer of every kind, and torchvision's own.

As an extension (``ALEXBENCH_EXTENSIONS=tests.support.weight_examples``) it makes the small network
known to workers.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import bench
from bench.networks import variants
from bench.networks.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)
from bench.networks.init import Weights
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Pretrained
from bench.networks.variants import Variant, variant
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.weights.sources import open_weights


def _mixed(classes: int) -> tuple[Layer, ...]:
    return (
        Conv("conv1", 8, 5, stride=2, padding=(1, 2)),
        ReLU("conv1_relu"),
        LocalResponseNorm("conv1_lrn", alpha=0.5),  # large: forgotten, it would show
        MaxPool("pool1", 2, 2),
        Conv("conv2", 12, 3, padding=(1, 1), groups=2),
        BatchNorm("conv2_bn", eps=1e-3),
        ReLU("conv2_relu"),
        Flatten("flatten"),
        Dense("dense1", 16),
        ReLU("dense1_relu"),
        Dropout("dense1_dropout", 0.5),
        Dense("dense2", classes),
    )


MIXED = Variant("mixed", "for tests", 20, 6, _mixed)
if os.environ.get("ALEXBENCH_EXTENSIONS") == __name__:
    variants.register(MIXED)


def install(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    """For one test: the network here and in workers, and a cache of its own."""
    monkeypatch.setitem(variants.VARIANTS, MIXED.name, MIXED)
    monkeypatch.setenv("ALEXBENCH_CACHE", str(cache_folder))
    monkeypatch.setenv("TORCH_HOME", str(cache_folder / "torch"))
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", __name__)
    root = Path(bench.__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root))
    for name in ("ALEXBENCH_DATA", "ALEXBENCH_WEIGHTS_URL"):
        monkeypatch.delenv(name, raising=False)


def weights(name: str = "mixed", *layers: str, **how: Any) -> Weights:
    """Of a variant, or of some of its layers: no bias, scale or statistic is a 0 or 1."""
    row = MIXED if name == MIXED.name else variant(name)  # not registered while tests are collected
    architecture = row.architecture(**how)
    shapes = architecture.weight_shapes() | architecture.statistic_shapes()
    generator = np.random.default_rng(1)
    return {
        name: (0.1 + generator.random(shape, np.float32)) / np.float32(max(1, len(shape) * 9))
        for name, shape in (only(shapes, *layers) if layers else shapes).items()
    }


def only(tensors: Mapping[str, Any], *layers: str) -> dict[str, Any]:
    """The tensors of these layers."""
    return {name: array for name, array in tensors.items() if name.rpartition(".")[0] in layers}


def write(path: Path, tensors: Mapping[str, Any], **metadata: str) -> Path:
    """A safetensors file as another program writes it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(arrays, path, metadata or None)
    return path


def write_mixed(folder: Path) -> Path:
    """A file of the small network, with facts of its own."""
    plain, _ = open_weights(str(write(folder / "plain.safetensors", weights())))
    reported = replace(
        plain.facts,
        name="mixed weights",
        categories=tuple("abcdef"),
        preprocessing=replace(TORCHVISION, size=20, resize=23),
        notes="noted",
    )
    path = folder / "mixed.safetensors"
    Pretrained(reported, plain.tensors).save(path)
    return path


def needs(*names: str) -> None:
    """Skip the test where one of these frameworks is not installed."""
    for name in names:
        if why := FRAMEWORKS[name].missing():
            pytest.skip(why)


def needs_modules(*names: str) -> None:
    """Skip the test where one of these modules is not installed.

    They are looked for and not imported: workers use them, and some import a framework.
    """
    for name in names:
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


_MAKE = {
    "alexnet": "torch.save(torchvision.models.alexnet().state_dict(), path)",
    "small": "torch.save({'features.0.weight': torch.randn(64, 3, 11, 11),"
    " 'features.0.bias': torch.randn(64)}, path)",
    "evil": "Evil = type('Evil', (), {'__reduce__': lambda self: (os.mkdir, (sys.argv[2],))});"
    "torch.save({'a': Evil()}, path)",
}


def _make(kind: str, path: Path, *arguments: str) -> Path:
    if why := FRAMEWORKS[REFERENCE].missing():
        pytest.skip(why)
    start = "import os, sys, torch, torchvision; path = sys.argv[1]; torch.manual_seed(0)"
    lines = f"{start}; {_MAKE[kind]}"
    subprocess.run([sys.executable, "-c", lines, str(path), *arguments], check=True)
    return path


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="alexbench-tests-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def torchvision_state() -> Path:
    """A ``.pth`` of ``torchvision.models.alexnet()``, freshly drawn; 244 MB, so made once."""
    return _make("alexnet", _folder() / "alexnet.pth")


@cache
def small_state() -> Path:
    """A ``.pth`` with the first layer of torchvision's network."""
    return _make("small", _folder() / "small.pth")


def evil_state(path: Path, planted: Path) -> Path:
    """A ``.pth`` that makes the folder ``planted`` when it is unpickled."""
    return _make("evil", path, str(planted))
