"""An injected slowdown: frameworks that are slower by a known share, to validate the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from time import perf_counter
from typing import Any

from bench.core.extensions import load_object
from bench.training import frameworks
from bench.training.interfaces import Images, Logits, Setup, StepInput, Trainer

SLOWDOWN = 0.05
"""Share by which a slowed step takes longer."""
SUFFIX = "-slowed"
"""Ends the names of slowed frameworks."""


class SlowedTrainer:
    """A trainer that idles after every step, in proportion to the step's time."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """See :class:`Trainer`; takes `SLOWDOWN` longer."""
        began = perf_counter()

        def slower() -> None:
            nonlocal began
            self._trainer.sync()
            _idle(perf_counter() - began)
            after_step()  # may wait for the next block, which is not part of a step
            began = perf_counter()

        self._trainer.train(inputs, steps, slower)

    def predict(self, images: Images) -> Logits:
        """See :class:`Trainer`; takes `SLOWDOWN` longer."""
        began = perf_counter()
        logits = self._trainer.predict(images)
        _idle(perf_counter() - began)
        return logits


def _idle(seconds: float) -> None:
    ends = perf_counter() + SLOWDOWN * seconds
    while perf_counter() < ends:
        pass


def slowed(setup: Setup) -> SlowedTrainer:
    """The trainer of a slowed framework (:mod:`bench.harness.aa_test`)."""
    original = frameworks.framework(setup.case.framework.removesuffix(SUFFIX))
    case = replace(setup.case, framework=original.name)
    return SlowedTrainer(load_object(original.trainer)(replace(setup, case=case)))
