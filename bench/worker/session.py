"""The session of a worker: a built trainer with its inputs, and the result of a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from time import perf_counter
from typing import Any

from bench.core.limits import Limits
from bench.core.system.devices import accelerated
from bench.core.system.machine import Monitor
from bench.core.system.resources import usable_cpus
from bench.data.batching import BatchPlan
from bench.data.dataset import Dataset
from bench.networks.init import DropoutMasks
from bench.training.defaults import shuffles
from bench.training.interfaces import Setup, StepInput, Trainer
from bench.training.tracks import track
from bench.worker.checkpoints import Checkpoints
from bench.worker.device.ahead import Ahead, made_ahead
from bench.worker.device.time import DeviceQueue
from bench.worker.inputs import HeldInputs, ImageInputs, Inputs
from bench.worker.schedule import FixedSchedule, Schedule

_ENDLESS = 1 << 40  # steps; a loop that stops on its own needs some number

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and a few words."""


@dataclass(frozen=True)
class Result:
    """The result of a measurement: the part of a record that only the worker knows.

    Attributes:
        samples: In ``unit``, in the order in which they were taken.
        images_per_sample: Images that one sample stands for; None where that has no meaning.
        metrics: Further quantities by name.
        unit: ``s``, or ``fraction`` for accuracies.
    """

    samples: list[float]
    images_per_sample: int | None
    metrics: dict[str, Any]
    unit: str = "s"


@dataclass
class Session:
    """One built trainer with its inputs."""

    trainer: Trainer
    setup: Setup
    dataset: Dataset
    limits: Limits
    progress: Progress
    build_seconds: float
    import_seconds: float
    first_step_seconds: float | None = None
    inputs: Inputs = field(init=False)
    """Images; with a frozen trunk its features."""
    trunk: Trainer | None = None
    """The frozen part of the network, where there is one."""
    initial_weights: dict[str, Any] = field(default_factory=dict)
    """Where the initial weights come from, as the settings of a record have it."""
    schedule: Schedule = field(init=False)
    """The blocks of the current measurement."""
    monitor: Monitor = field(default_factory=lambda: Monitor(usable_cpus()))
    """Reads the machine around each block."""
    checkpoints: Checkpoints | None = None
    """Of a training; None writes none."""
    queue: DeviceQueue = field(init=False)
    """What the trainer has queued on its device."""
    _next_step: int = 0
    _ahead: Ahead[StepInput] | None = None
    """Inputs of the current call of the trainer, where they are made ahead."""

    def __post_init__(self) -> None:
        case = self.setup.case
        self.queue = DeviceQueue(self.trainer)
        self.plan = plan_for(self.setup, self.dataset)
        self.inputs = ImageInputs(self.dataset, self.plan)
        self._masks = DropoutMasks(self.setup.architecture, case.seed)
        self._shared_masks = track(case.track).shared_masks
        self.schedule = FixedSchedule(self.limits.blocks)

    def input_at(self, step: int) -> StepInput:
        """The input of a training step: a function of data, recipe, seed and step."""
        batch = self.plan.batch(step)
        images, labels = self.inputs.train(batch)
        masks = self._masks.at(step, len(labels)) if self._shared_masks else {}
        rate = self.setup.recipe.rate(step, self.setup.steps)
        crops = self.inputs.crops(batch) if isinstance(self.inputs, HeldInputs) else None
        return StepInput(images, labels, masks, rate, crops)

    def hold_images(self) -> None:
        """Copy the training images to the trainer's device, where it can hold them and the recipe
        allows it: then no image is transferred in a step."""
        self.inputs = HeldInputs.held_by(self.trainer, self.dataset, self.plan) or self.inputs

    def continue_at(self, step: int) -> None:
        """Go on with the training at a step that an earlier process has reached."""
        self._next_step = step

    def train(self, steps: int, after_step: Callable[[], None] = lambda: None) -> None:
        """The next ``steps`` steps of the training."""
        # Counted here and cut to size: a trainer that reads ahead, or stops reading at the last
        # step, would otherwise skip or repeat a batch between two calls.
        first, self._next_step = self._next_step, self._next_step + steps
        with self._inputs(first, first + steps) as inputs:
            self.trainer.train(inputs, steps, after_step)

    def train_while(self, going_on: Callable[[], bool]) -> None:
        """Train in one call of the trainer until ``going_on`` returns False after a step.

        The inputs end there, and the trainer stops as at the end of an epoch. Steps that it has
        read ahead by then are taken without a call of ``going_on``.
        """
        first, taken, going = self._next_step, 0, True

        def after_step() -> None:
            nonlocal taken, going
            taken += 1
            going = going and going_on()

        with self._inputs(first, first + _ENDLESS) as endless:
            self.trainer.train(takewhile(lambda _: going, endless), _ENDLESS, after_step)
        self._next_step = first + taken

    @contextmanager
    def _inputs(self, first: int, end: int) -> Iterator[Iterator[StepInput]]:
        """Inputs of the steps; on an accelerator made and brought there ahead, where the host would
        be the slower."""
        pure = isinstance(self.inputs, ImageInputs)  # features are computed by the framework
        if not pure or not accelerated(self.setup.case.device):
            yield map(self.input_at, range(first, end))
            return
        with made_ahead(self._brought_input, first, end) as self._ahead:
            try:
                yield self._ahead
            finally:
                self._ahead = None

    def _brought_input(self, step: int) -> StepInput:
        bring: Callable[[StepInput], StepInput] | None = getattr(self.trainer, "bring_ahead", None)
        given = self.input_at(step)
        return bring(given) if bring else given

    def finish(self) -> None:
        """Wait for what is made ahead and for all queued work, and check that none is left
        (`bench.worker.device.time.DeviceQueue.finish`)."""
        if self._ahead:
            self._ahead.settle()
        self.queue.finish()

    def watched(self, work: Callable[..., float], *arguments: Any) -> float:
        """The seconds that ``work`` returns, with the machine's state meanwhile as a block's."""
        self.monitor.begin()
        seconds = work(*arguments)
        self.schedule.record_block([seconds], self.monitor.end())
        return seconds

    def first_step(self) -> float:
        """Seconds of the first step: trace, compile, allocate. Later calls return the same."""
        if self.first_step_seconds is None:
            started = perf_counter()
            self.train(1)
            self.trainer.sync()
            self.first_step_seconds = perf_counter() - started
        return self.first_step_seconds


def plan_for(setup: Setup, dataset: Dataset) -> BatchPlan:
    """The order, crops and flips of all batches, from the seed of the case."""
    return BatchPlan(
        images=len(dataset.train.labels),
        batch_size=setup.case.batch_size,
        seed=setup.case.seed,
        augmentation=setup.recipe.augmentation,
        shuffle=shuffles(setup.case),
    )
