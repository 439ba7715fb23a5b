"""Make the trainer of a framework as the harness's worker does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bench.networks.init import Weights
from bench.training.frameworks import framework as row_of
from bench.training.interfaces import Setup, Trainer


def create(framework: str, setup: Setup) -> Any:
    if setup.case.framework == "any":  # executed as the framework does by default
        case = replace(setup.case, framework=framework, execution="")
        setup = replace(setup, case=case)
    module, _, function = row_of(framework).trainer.partition(":")
    return getattr(importlib.import_module(module), function)(setup)


def create_loaded(framework: str, setup: Setup, weights: Weights) -> Any:
    """The same with these weights."""
    with undrawn_weights():
        trainer: Trainer = create(framework, setup)
    trainer.load_weights(weights)
    return trainer


@contextmanager
def undrawn_weights() -> Iterator[None]:
    """Keras starts from zeros meanwhile: drawing millions of weights that are overwritten at once
    would take longer than the rest of a probe."""
    keras = sys.modules.get("keras")
    if keras is None:
        yield
        return
    glorot = keras.initializers.GlorotUniform
    drawn = glorot.__call__
    glorot.__call__ = keras.initializers.Zeros.__call__
    try:
        yield
    finally:
        glorot.__call__ = drawn
