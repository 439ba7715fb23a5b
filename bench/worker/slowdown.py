"""A framework slowed on purpose, to try the comparison on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from time import perf_counter
from typing import Any

from bench.core.extensions import load_object
from bench.training import frameworks
from bench.training.interfaces import Images, Logits, Setup, StepInput, Trainer

SLOWDOWN = 0.05
"""Fraction of its time that a slowed step takes longer."""
SUFFIX = "-slowed"
"""Of the names of slowed rows."""


class SlowedTrainer:
    """A trainer whose every step is followed by idling on the clock, in proportion to it."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """As the original, and `SLOWDOWN` longer."""
        began = perf_counter()

        def slower() -> None:
            nonlocal began
            self._trainer.sync()
            _idle(perf_counter() - began)
            after_step()  # which may wait for a turn, and that is no part of a step
            began = perf_counter()

        self._trainer.train(inputs, steps, slower)

    def predict(self, images: Images) -> Logits:
        """As the original, and `SLOWDOWN` longer."""
        began = perf_counter()
        logits = self._trainer.predict(images)
        _idle(perf_counter() - began)
        return logits


def _idle(seconds: float) -> None:
    ends = perf_counter() + SLOWDOWN * seconds
    while perf_counter() < ends:
        pass


def slowed(setup: Setup) -> SlowedTrainer:
    """What the slowed rows name as their trainer."""
    original = frameworks.framework(setup.case.framework.removesuffix(SUFFIX))
    case = replace(setup.case, framework=original.name)
    return SlowedTrainer(load_object(original.trainer)(replace(setup, case=case)))
