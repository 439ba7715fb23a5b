"""Small frameworks and a small network for the harness's own tests: numpy only, and quick.

Nothing is registered by importing this module: tests put the rows into the registries with
`install` and take them out again; workers get them through the extension `fake_framework`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.core.limits import Limits
from bench.core.system.machine import BlockState
from bench.data.dataset import Dataset, Split
from bench.data.synthetic import generate
from bench.harness import profiles
from bench.harness.profiles import Profile, StageSeconds
from bench.networks import variants
from bench.networks.architecture import Conv, Dense, Dropout, Flatten, Layer, ReLU
from bench.networks.variants import Variant
from bench.training import frameworks
from bench.training.framework_defaults import TORCH
from bench.training.frameworks import Framework
from bench.training.interfaces import (
    Gradients,
    Images,
    Logits,
    Maker,
    Operation,
    Run,
    Setup,
    StepInput,
)
from tests.support.plugins import fake_weight_files
from tests.support.reference_trainer import ReferenceTrainer

if TYPE_CHECKING:
    import pytest  # workers import this module too, and need no pytest

EXTENSION = "tests.support.plugins.fake_framework"
UNDRAWN = "tests.support.plugins.undrawn"
"""Extensions: the fakes, and no plots in reports of processes that have it."""

BATCH = 16
TRAIN, TEST = 80, 40
"""Images of `write_batches`: five batches an epoch."""


def _tiny(classes: int) -> tuple[Layer, ...]:
    return (
        Conv("conv1", 4, 5, stride=4),
        ReLU("conv1_relu"),
        Flatten("flatten"),
        Dropout("dense1_dropout", 0.5),
        Dense("dense1", classes),
    )


class FakeTrainer:
    """A linear softmax classifier on coarse pixels; remembers what it was given."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.weights: dict[str, Any] = {}
        self.kernel = np.zeros((64 * 3, setup.architecture.classes))
        self.images: Counter[int] = Counter()
        self.masks = 0
        self._losses: list[float] = []

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        rows = self.setup.architecture
        found = {name: value.shape for name, value in weights.items()}
        assert found in (rows.weight_shapes(), rows.weight_shapes() | rows.statistic_shapes())
        self.weights = dict(weights)

    def export_weights(self) -> dict[str, Any]:
        return dict(self.weights)

    def export_state(self) -> Iterator[tuple[str, Any]]:
        yield from ((f"weights/{name}", array) for name, array in self.weights.items())
        yield "kernel", self.kernel
        yield "images", np.array(sorted(self.images.items()), np.int64).reshape(-1, 2)
        yield "masks", np.array(self.masks)

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.weights = {n.partition("/")[2]: state[n] for n in state if n.startswith("weights/")}
        self.kernel = state["kernel"]
        self.images = Counter(dict(state["images"].tolist()))
        self.masks = int(state["masks"])

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        for given, _ in zip(inputs, range(steps), strict=False):
            self.misbehave()
            self._step(given)
            after_step()

    def misbehave(self) -> None:
        """What the other fakes do in place of training."""

    def _step(self, given: StepInput) -> None:
        self.images.update(map(_identity, given.images))
        self.masks += len(given.masks)
        features = self._features(given.images)
        wrong = _softmax(features @ self.kernel)
        rows = np.arange(len(given.labels))
        self._losses.append(float(-np.log(wrong[rows, given.labels] + 1e-9).mean()))
        wrong[rows, given.labels] -= 1
        self.kernel -= given.learning_rate * features.T @ wrong / len(rows)

    def _features(self, images: Images) -> Any:
        blocks = images.reshape(len(images), 8, 4, 8, 4, 3).mean(axis=(2, 4))
        return blocks.reshape(len(images), -1) / 255 - 0.5

    def losses(self) -> list[float]:
        taken, self._losses = self._losses, []
        return taken

    def predict(self, images: Images) -> Logits:
        logits: Logits = (self._features(images) @ self.kernel).astype(np.float32)
        return logits

    def sync(self) -> None:
        """Nothing is queued."""

    def settings(self) -> dict[str, Any]:
        return {
            "threads": self.setup.threads,
            "precision": self.setup.case.precision,
            "images": sum(self.images.values()),
            "distinct": len(self.images),
            "times_each": sorted(set(self.images.values())),
            "masks": self.masks,
            "keras_home": os.path.isdir(os.environ["KERAS_HOME"]),
            "pid": os.getpid(),
        }

    def device_memory(self) -> int | None:
        return None

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None] | None:
        return lambda steps: None

    def bare_predict(self, images: Images) -> Callable[[int], None] | None:
        return lambda passes: None


def _identity(image: Any) -> int:
    """The same number for an image and its mirror image, which training may show instead."""
    return min(crc32(image.tobytes()), crc32(image[:, ::-1].tobytes()))


def _softmax(logits: Any) -> Any:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


class Fit(FakeTrainer):
    """Reports one mean loss of each call, and draws random numbers of its own, as Keras's fit."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._random = np.random.default_rng(setup.case.seed)
        self._sum, self._steps = 0.0, 0
        self._within, self._means = False, list[float]()

    def export_state(self) -> Iterator[tuple[str, Any]]:
        yield from super().export_state()
        bits = json.dumps(self._random.bit_generator.state)
        yield "random", np.frombuffer(bits.encode(), np.uint8)
        if self._within:
            yield "loss", np.array([self._sum, self._steps])

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self._random.bit_generator.state = json.loads(state["random"].tobytes())
        if "loss" in state:
            self._sum, self._steps = state["loss"].tolist()

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        self._within = True
        super().train(inputs, steps, after_step)
        self._within = False
        self._means.append(self._sum / self._steps)
        self._sum, self._steps = 0.0, 0

    def _step(self, given: StepInput) -> None:
        super()._step(given)
        self.kernel += self._random.normal(0, 0.01, self.kernel.shape)
        self._sum, self._steps = self._sum + self._losses.pop(), self._steps + 1

    def losses(self) -> list[float]:
        taken, self._means = self._means, []
        return taken


class DiesOnce(FakeTrainer):
    """Its worker is killed at a step, the first time that it comes there."""

    AT = 7

    def misbehave(self) -> None:
        mark = Path(os.environ["ALEXBENCH_CACHE"]) / "died"
        there = sum(self.images.values()) == (self.AT - 1) * self.setup.case.batch_size
        if there and not mark.exists():
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Segfault(FakeTrainer):
    def misbehave(self) -> None:
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)


class Killed(FakeTrainer):
    def misbehave(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Orphan(FakeTrainer):
    """Dies and leaves a child behind that holds every pipe open."""

    def misbehave(self) -> None:
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        print(f"child {child}", file=sys.stderr, flush=True)
        os._exit(7)


class Deaf(FakeTrainer):
    """Closes its end of every pipe and lives on."""

    def misbehave(self) -> None:
        os.closerange(3, 64)
        time.sleep(600)


class Hang(FakeTrainer):
    def misbehave(self) -> None:
        print("waiting for nothing", file=sys.stderr, flush=True)
        time.sleep(600)


class OutOfMemory(FakeTrainer):
    def misbehave(self) -> None:
        raise MemoryError("planted")


class TorchOutOfMemory(FakeTrainer):
    def misbehave(self) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")


class Exit(FakeTrainer):
    def misbehave(self) -> None:
        for line in range(40):
            print(f"line {line}", file=sys.stderr, flush=True)
        sys.exit(3)


class Raise(FakeTrainer):
    def misbehave(self) -> None:
        raise ValueError("planted failure")


class Unbuildable(FakeTrainer):
    def __init__(self, setup: Setup) -> None:
        raise ValueError("cannot be built")


class Noisy(FakeTrainer):
    def misbehave(self) -> None:
        print('{"event": "result"}')
        os.write(1, b'{"event": "ready"}\nhalf a line')
        subprocess.run(["echo", "from a child"], check=True)


class Diverge(FakeTrainer):
    def losses(self) -> list[float]:
        return [float("nan") for _ in super().losses()]


class NotJson(FakeTrainer):
    def settings(self) -> dict[str, Any]:
        return {"loss": float("nan")}


class Sleep(FakeTrainer):
    """Slow: a second for each step."""

    def misbehave(self) -> None:
        time.sleep(1)


class Slow(FakeTrainer):
    """Slow enough to be killed in the middle of a run."""

    def misbehave(self) -> None:
        time.sleep(0.02)


class Certified(ReferenceTrainer):
    """The numpy reference, which passes every proof."""

    def settings(self) -> dict[str, Any]:
        return {"pid": os.getpid()}

    def device_memory(self) -> int | None:
        return None

    def bare_loop(self, step_input: StepInput) -> None:
        """No loop of its own."""

    def bare_predict(self, images: Images) -> None:
        """No loop of its own."""


class Wrong(Certified):
    def gradients(self, step_input: StepInput) -> Gradients:
        return super().gradients(replace(step_input, labels=step_input.labels[::-1]))


class DiesInCheck(Certified):
    def activations(self, images: Images) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


class SlowCheck(Certified):
    def activations(self, images: Images) -> dict[str, Any]:
        time.sleep(600)
        return {}


def quick_maker(threads: int, device: str = "cpu") -> Maker:
    """A thousand calls a second for each thread."""

    def make(operation: Operation, precision: str) -> Run:
        return lambda times: time.sleep(0.001 * times / threads)

    return make


def broken_maker(threads: int, device: str = "cpu") -> Maker:
    raise ValueError("planted failure")


def dying_maker(threads: int, device: str = "cpu") -> Maker:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("dead")


def _row(name: str, trainer: type, **changes: Any) -> Framework:
    return Framework(
        name,
        f"tests.support.fakes:{trainer.__name__}",
        "fake",
        **{"modules": ("numpy",), "defaults": TORCH, **changes},
    )


def _on_device(name: str, probe: str = "probe", **changes: Any) -> Framework:
    """A row of the fake accelerator (`tests.support.plugins.fake_device`)."""
    return Framework(
        name,
        "tests.support.plugins.fake_device:create",
        "fake",
        modules=("numpy",),
        defaults=TORCH,
        device_probe=f"tests.support.plugins.fake_device:{probe}",
        device_installs={"cuda": "pip install fake-cuda"},
        **changes,
    )


VARIANT = Variant("tiny", "for tests", 32, 10, _tiny)
WIDER = Variant("wider", "for tests", 40, 10, _tiny)
FRAMEWORKS = (
    _row("fake", FakeTrainer),
    _row("fake-two", FakeTrainer),
    _row("fake-fit", Fit),
    _row("fake-dies-once", DiesOnce),
    _row("fake-segfault", Segfault),
    _row("fake-killed", Killed),
    _row("fake-orphan", Orphan),
    _row("fake-deaf", Deaf),
    _row("fake-hang", Hang),
    _row("fake-oom", OutOfMemory),
    _row("fake-torch-oom", TorchOutOfMemory),
    _row("fake-exit", Exit),
    _row("fake-raise", Raise),
    _row("fake-unbuildable", Unbuildable),
    _row("fake-noisy", Noisy),
    _row("fake-diverge", Diverge),
    _row("fake-not-json", NotJson),
    _row("fake-sleep", Sleep),
    _row("fake-slow", Slow),
    _row("fake-certified", Certified),
    _row("fake-wrong", Wrong),
    _row("fake-dies-in-check", DiesInCheck),
    _row("fake-slow-check", SlowCheck),
    _row("fake-ceiling", FakeTrainer, ceiling="tests.support.fakes:quick_maker"),
    _row("fake-ceiling-raise", FakeTrainer, ceiling="tests.support.fakes:broken_maker"),
    _row("fake-ceiling-killed", FakeTrainer, ceiling="tests.support.fakes:dying_maker"),
    _row(
        "fake-files",
        FakeTrainer,
        weight_files="tests.support.plugins.fake_weight_files",
        blocked=(fake_weight_files.BLOCKED,),
    ),
    _on_device("fake-gpu"),
    _on_device("fake-gpu-two"),
    _on_device("fake-gpu-early"),
    _on_device("fake-gpu-early-timed"),
    _on_device("fake-gpu-early-unclocked"),
    _on_device("fake-gpu-unclocked"),
    _on_device("fake-gpu-small"),
    _on_device("fake-gpu-crowded"),
    _on_device("fake-gpu-float32"),
    _on_device("fake-gpu-no-graphs"),
    _on_device("fake-gpu-queued"),
    _on_device("fake-gpu-falls-back"),
    _on_device("fake-gpu-oom"),
    _on_device("fake-gpu-old-driver", "probe_without_driver"),
    _on_device("fake-gpu-cpu-build", "probe_of_the_cpu"),
    _row("fake-missing", FakeTrainer, modules=("no_such_module", "numpy")),
)
LIMITS = Limits(
    warmup_steps=1,
    blocks=3,
    block_seconds=0.01,
    latency_calls=25,
    latency_seconds=0.2,
    timeout_seconds=60,
)
IMPATIENT = Limits(**{**vars(LIMITS), "timeout_seconds": 3})
PROFILE = Profile(
    "tiny",
    "for tests",
    frameworks=("fake", "fake-two"),
    tracks={**dict.fromkeys(KINDS, ("closed", "idiomatic")), "accuracy": ("closed",)},
    variants=dict.fromkeys(KINDS, ("tiny",)),
    recipe="short",
    batch_sizes={32: BATCH},
    seeds=1,
    train_images=None,
    test_images=None,
    limits=LIMITS,
)
TWICE = replace(PROFILE, name="tiny-twice", limits=replace(LIMITS, processes=2, group_seconds=60.0))
"""Two processes of each case: one gives no verdict."""
PLANNED = replace(
    TWICE,
    name="tiny-planned",
    run_seconds=20.0,
    stage_seconds=StageSeconds(certificate=2, peaks=1, trainings={"short": 1}, worker=0, report=3),
)
"""With a time plan."""
PATIENT = replace(PROFILE, name="tiny-patient", limits=replace(LIMITS, timeout_seconds=600))
"""For real frameworks on a busy machine."""
PROFILES = (PROFILE, TWICE, PATIENT, PLANNED)


def register() -> None:
    """For good: what an extension does in the process that imports it."""
    variants.register(VARIANT)
    variants.register(WIDER)
    for row in FRAMEWORKS:
        frameworks.register(row)
    for profile in PROFILES:
        profiles.PROFILES[profile.name] = profile


def install(monkeypatch: pytest.MonkeyPatch, cache: Path, *extensions: str) -> None:
    """For one test: the rows here and in every worker, and a cache of its own.

    Further extensions, such as `UNDRAWN`, are for the processes that the test starts.
    """
    for variant in (VARIANT, WIDER):
        monkeypatch.setitem(variants.VARIANTS, variant.name, variant)
    for profile in PROFILES:
        monkeypatch.setitem(profiles.PROFILES, profile.name, profile)
    for row in FRAMEWORKS:
        monkeypatch.setitem(frameworks.FRAMEWORKS, row.name, row)
    for name, value in environment(cache, *extensions).items():
        monkeypatch.setenv(name, value)
    # pytest-benchmark switches itself off in a process that believes to be a worker of xdist.
    xdist = [name for name in os.environ if name.startswith("PYTEST_XDIST_")]
    for name in ("ALEXBENCH_DATA", "ALEXBENCH_CIFAR10_URL", "PYTEST_ADDOPTS", *xdist):
        monkeypatch.delenv(name, raising=False)


def environment(cache: Path, *extensions: str) -> dict[str, str]:
    """What a process needs to know the fakes, and to run the same alexbench as this one."""
    root = Path(frameworks.__file__).parents[2]
    return {
        "PYTHONPATH": str(root),
        "ALEXBENCH_EXTENSIONS": ",".join((EXTENSION, *extensions)),
        "ALEXBENCH_CACHE": str(cache),
        "COLUMNS": "200",
    }


class Machine:
    """A monitor that finds some of its blocks disturbed, by their numbers from 0."""

    def __init__(self, *disturbed: int) -> None:
        self.disturbed, self.ended = disturbed, 0

    def begin(self) -> None:
        """See `bench.core.system.machine.Monitor`."""

    def end(self) -> BlockState:
        """The same."""
        self.ended += 1
        return BlockState(1.0, 2.0, 2, others=0.9 if self.ended - 1 in self.disturbed else 0.0)


def images(train: int = TRAIN, test: int = TEST) -> Dataset:
    """Generated, class-balanced, no two alike."""
    return generate(train=train, test=test, seed=1)


def write_batches(folder: Path, dataset: Dataset) -> Path:
    """The dataset in CIFAR-10's binary form, for commands that take a path."""
    folder.mkdir(parents=True)
    for name, split in (("data_batch_1", dataset.train), ("test_batch", dataset.test)):
        (folder / f"{name}.bin").write_bytes(_records(split))
    return folder


def _records(split: Split) -> bytes:
    planes = split.images.transpose(0, 3, 1, 2).reshape(len(split), -1)
    return np.concatenate([split.labels[:, None].astype(np.uint8), planes], axis=1).tobytes()


def case(framework: str = "fake", **changes: Any) -> Case:
    """A case of the tiny network."""
    return Case("tiny", framework, **{"batch_size": BATCH, **changes})


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends within a while."""
    ends = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < ends:
        time.sleep(0.02)
    return not alive(pid)
