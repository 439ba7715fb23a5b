"""A fake accelerator for the fake framework: work is queued and done later, on a thread.

As on a real one a step returns before it is done, and only ``sync`` or a result on the host waits.
It has a clock and memory of its own. Each fault is a framework of its own (`tests.support.fakes`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Queue
from typing import Any

import psutil

from bench.training.interfaces import DeviceReport, Images, Logits, Setup, StepInput
from tests.support.fakes import FakeTrainer

STEP_SECONDS = 0.0005
ROOM = 8
"""Images that fit into the memory of a small device."""
NAME = "Fake GPU"


class FakeDevice:
    """A queue of work, done in order."""

    def __init__(self) -> None:
        self._queue: Queue[tuple[Callable[[], None], float]] = Queue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            work, seconds = self._queue.get()
            time.sleep(seconds)
            work()
            self._queue.task_done()

    def queue(self, work: Callable[[], None], seconds: float = STEP_SECONDS) -> None:
        """Return at once; the work is done when its turn comes."""
        self._queue.put((work, seconds))

    def wait(self) -> None:
        """Until nothing is queued."""
        self._queue.join()

    @property
    def pending(self) -> int:
        """How much is queued and not done."""
        return self._queue.unfinished_tasks


class FakeClock:
    """The device's own time, as events have it: a mark is reached when its turn comes."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device

    def mark(self) -> list[float]:
        reached: list[float] = []
        self._device.queue(lambda: reached.append(time.perf_counter()), seconds=0)
        return reached

    def reached(self, mark: list[float]) -> bool:
        return bool(mark)

    def seconds(self, first: list[float], last: list[float]) -> float:
        while not last:
            time.sleep(STEP_SECONDS / 10)
        return last[0] - first[0]


class DeviceTrainer(FakeTrainer):
    """The fake trainer on the fake device."""

    reports = "cuda:0"
    computes_in: str | None = None
    """The type that it reports to compute in; None is the one that was asked for."""
    step_seconds = STEP_SECONDS

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.device = FakeDevice()

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        for given, _ in zip(inputs, range(steps), strict=False):
            self.misbehave()
            self.device.queue(
                lambda given=given: self._step(given),  # type: ignore[misc]
                self.step_seconds,
            )
            after_step()

    def export_weights(self) -> dict[str, Any]:
        self.device.wait()
        return super().export_weights()

    def losses(self) -> list[float]:
        self.device.wait()
        return super().losses()

    def predict(self, images: Images) -> Logits:
        self.device.wait()
        return super().predict(images)

    def sync(self) -> None:
        self.device.wait()

    def settings(self) -> dict[str, Any]:
        self.device.wait()
        half = self.setup.half or "float32"
        return super().settings() | {
            "device": self.reports,
            "device_name": NAME,
            "compute_dtype": self.computes_in or half,
            "tf32": self.setup.tf32,
        }

    def device_memory(self) -> int | None:
        return 123

    def reserved_memory(self) -> int | None:
        return 456

    def device_clock(self) -> FakeClock | None:
        return FakeClock(self.device)


class ReturnsEarly(DeviceTrainer):
    """Its framework has no clock of the device, and no operation whose result could be read."""

    def sync(self) -> None:
        """Does not wait."""

    def device_clock(self) -> None:
        """None."""


class TimedReturnsEarly(DeviceTrainer):
    """The same, and the framework has a clock of the device, as PyTorch."""

    def sync(self) -> None:
        """Does not wait."""


class Unclocked(DeviceTrainer):
    """Sound, and its framework has no clock of the device, as JAX and TensorFlow."""

    def device_clock(self) -> None:
        """None."""

    def through_queue(self) -> None:
        self.device.queue(lambda: None, seconds=0)
        self.device.wait()


class UnclockedReturnsEarly(Unclocked):
    step_seconds = 0.1
    """What is left of a block is more than a busy host could explain."""

    def sync(self) -> None:
        """Does not wait."""


class LeavesWorkQueued(DeviceTrainer):
    def bare_loop(self, step_input: StepInput) -> Callable[[int], None]:
        """A loop that forgets to wait at its end."""

        def loop(steps: int) -> None:
            for _ in range(steps):
                self.device.queue(lambda: self._step(step_input))

        return loop


class FallsBack(DeviceTrainer):
    reports = "cpu"


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's."""


class DeviceOutOfMemory(DeviceTrainer):
    room = 0

    def misbehave(self) -> None:
        if self.setup.case.batch_size > self.room:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")


class SmallDevice(DeviceOutOfMemory):
    room = ROOM


class Crowded(DeviceTrainer):
    """A device on which no other worker's network fits."""

    def misbehave(self) -> None:
        if _workers_beside():
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")


def _workers_beside() -> int:
    """Other workers of this run that are alive."""
    found = 0
    for process in psutil.Process(os.getppid()).children():
        with suppress(psutil.Error):
            is_worker = "bench.worker" in process.cmdline()
            found += is_worker and process.pid != os.getpid()
    return found


class OtherPrecision(DeviceTrainer):
    """Computes in float32, whatever was asked for."""

    computes_in = "float32"


class LacksExecution(DeviceTrainer):
    def __init__(self, setup: Setup) -> None:
        setup.refuse_executions("the fake framework")
        super().__init__(setup)


def create(setup: Setup) -> DeviceTrainer:
    """What the rows of `tests.support.fakes` name."""
    return _FAULTS.get(setup.case.framework, DeviceTrainer)(setup)


_FAULTS: dict[str, type[DeviceTrainer]] = {
    "fake-gpu-early": ReturnsEarly,
    "fake-gpu-early-timed": TimedReturnsEarly,
    "fake-gpu-early-unclocked": UnclockedReturnsEarly,
    "fake-gpu-unclocked": Unclocked,
    "fake-gpu-small": SmallDevice,
    "fake-gpu-crowded": Crowded,
    "fake-gpu-float32": OtherPrecision,
    "fake-gpu-no-graphs": LacksExecution,
    "fake-gpu-queued": LeavesWorkQueued,
    "fake-gpu-falls-back": FallsBack,
    "fake-gpu-oom": DeviceOutOfMemory,
}


def probe(kind: str) -> DeviceReport:
    """A framework that can use every device."""
    return DeviceReport(f"{kind}:0", NAME)


def probe_without_driver(kind: str) -> DeviceReport:
    """A framework whose driver is too old."""
    raise RuntimeError("The driver on your system is too old (found version 11040).")


def probe_of_the_cpu(kind: str) -> DeviceReport:
    """A framework built for the CPU alone."""
    return DeviceReport("cpu")
