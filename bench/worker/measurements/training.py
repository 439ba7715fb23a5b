"""The state of a training, and its continuation from the last checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core.system.machine import BlockState
from bench.worker.inputs import FeatureInputs
from bench.worker.session import Session


@dataclass
class Training:
    """The course of a training.

    A stretch is a call of the trainer's ``train``. Some trainers report one mean loss of a stretch.

    Attributes:
        step: Steps taken.
        seconds: Of these steps, of all parts.
        parts: Processes that it has taken so far: each goes on from a checkpoint of the one before.
        history: Losses up to the last evaluated point.
        stretches: Losses and steps of each whole stretch since then.
        pending: Losses of the stretch that is not whole yet.
        since: The step at which that stretch began; None between two stretches.
        curve: Evaluated points.
        confusion: Counts at the last of them; rows are true classes.
        startup: Seconds before the training and of its first step, in the first part.
        trunk: Seconds in a frozen trunk for training images, and how many images.
        states: The machine during each stretch, or each part of one between checkpoints, as JSON.
    """

    step: int = 0
    seconds: float = 0.0
    parts: int = 1
    history: list[float] = field(default_factory=list)
    stretches: list[tuple[list[float], int]] = field(default_factory=list)
    pending: list[float] = field(default_factory=list)
    since: int | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    startup: dict[str, float | None] = field(default_factory=dict)
    trunk: tuple[float, int] = (0.0, 0)
    states: list[dict[str, Any]] = field(default_factory=list)

    @property
    def evaluated(self) -> int:
        """The step of the last evaluated point; 0 before the first."""
        return int(self.curve[-1]["step"]) if self.curve else 0

    @property
    def diverged(self) -> bool:
        """Whether the mean loss before the last evaluated point was not finite."""
        return bool(self.curve) and self.curve[-1]["train_loss"] is None

    def enter(self) -> None:
        """Begin a stretch, or go on with the one that a checkpoint lies in."""
        if self.since is None:
            self.since, self.pending = self.step, []

    def leave(self, losses: list[float]) -> None:
        """End a stretch; ``losses`` are those since the last checkpoint."""
        assert self.since is not None
        self.stretches.append((self.pending + losses, self.step - self.since))
        self.since, self.pending = None, []

    def add_point(self, point: dict[str, Any], confusion: list[list[int]]) -> None:
        """Take an evaluated point."""
        self.history.extend(loss for losses, _ in self.stretches for loss in losses)
        self.curve.append(point)
        self.confusion, self.stretches = confusion, []

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Training:
        """The training whose fields a checkpoint has."""
        stretches = [(losses, steps) for losses, steps in value["stretches"]]
        return cls(**{**value, "stretches": stretches, "trunk": tuple(value["trunk"])})


def resumed(bench: Session) -> Training | None:
    """The training of the session's checkpoint, whose state the trainer takes.

    None where there is no checkpoint.

    Raises:
        UserError: The checkpoint is damaged, or of another network or optimiser.
    """
    checkpoint = bench.checkpoints.resumed() if bench.checkpoints else None
    if checkpoint is None:
        return None
    training = Training.from_json(checkpoint.about["training"])
    training.parts += 1
    bench.trainer.load_state(checkpoint.state)
    bench.continue_at(training.step)
    bench.schedule.states = [BlockState.from_json(state) for state in training.states]
    if isinstance(bench.inputs, FeatureInputs):  # the features themselves are computed again
        bench.inputs.seconds, bench.inputs.computed = training.trunk
    return training


def checkpoint_due(bench: Session, training: Training) -> bool:
    """Whether a checkpoint is to be written now."""
    return bench.checkpoints is not None and bench.checkpoints.due(_epoch(bench, training))


def save(bench: Session, training: Training) -> None:
    """Write a checkpoint; all queued steps are complete."""
    assert bench.checkpoints is not None
    training.pending.extend(bench.trainer.losses())
    training.states = [state.to_json() for state in bench.schedule.states]
    if isinstance(bench.inputs, FeatureInputs):
        training.trunk = bench.inputs.seconds, bench.inputs.computed
    fields = dataclasses.asdict(training)
    state = bench.trainer.export_state()
    bench.checkpoints.write(training.step, _epoch(bench, training), fields, state)
    if bench.checkpoints.problem:
        bench.progress(training.step / bench.setup.steps, bench.checkpoints.problem)


def _epoch(bench: Session, training: Training) -> int:
    """Whole epochs so far."""
    return training.step * bench.setup.case.batch_size // bench.plan.images
