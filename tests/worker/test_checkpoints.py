"""Checkpoints: whole or not there, checked when read, and a training that goes on from any step."""

import errno
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.limits import Limits
from bench.data.dataset import Dataset
from bench.training.interfaces import Setup
from bench.training.recipes import recipe
from bench.worker import checkpoints
from bench.worker.checkpoints import Checkpoints, TrainingFiles
from bench.worker.measurements.accuracy import accuracy
from bench.worker.session import Session
from tests.support import fakes

STATE = {
    "network/c1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "network/by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "optimizer/step": np.array(7.0),
    "random": np.arange(5, dtype=np.uint8),
    "none": np.zeros((0, 3), np.int64),
}
ABOUT = {"key": {"case": "a"}, "training": {"history": [0.1, float("nan")]}}


def test_arrays_come_back_with_their_bits(tmp_path: Path) -> None:
    path = checkpoints.write(tmp_path / "new", 120, ABOUT, STATE.items())
    assert checkpoints.found(tmp_path / "new") == path
    found = checkpoints.read(path)
    assert list(found.state) == list(STATE)
    for name, array in STATE.items():
        assert found.state[name].dtype == array.dtype
        assert np.array_equal(found.state[name], array)
    assert found.about["key"] == ABOUT["key"]
    assert found.about["training"]["history"][0] == 0.1
    assert np.isnan(found.about["training"]["history"][1])


def test_the_newest_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "123.part").write_bytes(b"of a process that was killed")
    for step in (9, 10, 100):
        path = checkpoints.write(tmp_path, step, ABOUT, STATE.items())
        assert list(tmp_path.iterdir()) == [path]
    assert checkpoints.found(tmp_path / "nowhere") is None


def test_no_damaged_checkpoint_is_read(tmp_path: Path) -> None:
    path = checkpoints.write(tmp_path, 1, ABOUT, STATE.items())
    whole = path.read_bytes()
    draw = random.Random(0)
    flipped = [(place, 1 << draw.randrange(8)) for place in draw.sample(range(len(whole)), 40)]
    damaged = [whole[:p] + bytes([whole[p] ^ bit]) + whole[p + 1 :] for p, bit in flipped]
    damaged += [whole[: draw.randrange(len(whole))] for _ in range(40)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a whole checkpoint"):
            checkpoints.read(path)
    path.write_bytes(whole)
    assert checkpoints.read(path).about["key"] == ABOUT["key"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    kept = checkpoints.write(tmp_path, 1, ABOUT, STATE.items())

    def full() -> Iterator[tuple[str, Any]]:
        yield "first", np.zeros(1000)
        raise OSError(errno.ENOSPC, "No space left on device")

    made = Checkpoints(TrainingFiles(tmp_path, {}, ""))
    made.write(2, 0, {}, full())
    assert made.problem == "checkpoint not written: No space left on device"
    assert list(tmp_path.iterdir()) == [kept]
    made.write(2, 0, {}, STATE.items())
    assert made.problem is None
    assert checkpoints.found(tmp_path) != kept


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(checkpoints, "monotonic", lambda: now)
    return wait


def test_one_is_due_after_each_epoch_and_after_five_minutes(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    made = Checkpoints(TrainingFiles(tmp_path, {}, ""))
    clock(299)
    assert not made.due(0)
    assert made.due(1)
    clock(1)
    assert made.due(0)
    made.write(5, 1, {}, ())
    assert not made.due(1)
    assert made.due(2)


def test_checkpoints_of_short_epochs_take_a_tenth_of_the_time(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    def slow() -> Iterator[tuple[str, Any]]:
        clock(2)
        yield from STATE.items()

    made = Checkpoints(TrainingFiles(tmp_path, {}, "", seconds=100))
    clock(3)
    made.write(5, 1, {}, slow())
    assert checkpoints.read(tmp_path / next(tmp_path.iterdir())).about["seconds"] == 103
    clock(19)
    assert not made.due(2)
    clock(1)
    assert made.due(2)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return fakes.images()


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


def session(
    data: Dataset, folder: Path | None, trainer: type[fakes.FakeTrainer], stop: int | None = None
) -> Session:
    """A session of ten steps that goes on from the folder's checkpoint and stops after ``stop``."""
    case = fakes.case(recipe="short", seed=3)
    network = fakes.VARIANT.architecture(len(data.classes))
    setup = Setup(case, network, recipe("short"), 10, data.mean, data.std, threads=1)

    class Stops(trainer):  # type: ignore[misc, valid-type]
        def misbehave(self) -> None:
            if stop is not None and sum(self.images.values()) >= stop * case.batch_size:
                raise InterruptedError

    made = Stops(setup)
    made.load_weights({n: np.zeros(s) for n, s in network.weight_shapes().items()})
    found = Session(made, setup, data, Limits(evaluations=4), lambda *_: None, 0.0, 0.0)
    if folder is not None:
        files = TrainingFiles(folder, {}, "", resume=checkpoints.found(folder))
        found.checkpoints = Checkpoints(files)
    return found


def compared(metrics: dict[str, Any]) -> dict[str, Any]:
    """All that must not depend on where a training was stopped."""
    timed = ("train_seconds", "thresholds", "startup", "parts")
    found = {name: value for name, value in metrics.items() if name not in timed}
    curve = [{**point, "seconds": None} for point in metrics["curve"]]
    return {**found, "curve": curve}


@pytest.mark.parametrize("trainer", [fakes.FakeTrainer, fakes.Fit])
@pytest.mark.parametrize("stops", [(stop,) for stop in range(10)] + [(2, 5, 6), (1, 3, 9, 9)])
@pytest.mark.parametrize("every", [0.0, 300.0])
def test_a_training_goes_on_to_the_same_losses(
    tmp_path: Path,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    trainer: type[fakes.FakeTrainer],
    stops: tuple[int, ...],
    every: float,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", every)
    monkeypatch.setattr(checkpoints, "COST", 1e9)  # at the end of each epoch, however short
    whole = accuracy(session(data, None, trainer)).metrics
    written = set()
    for stop in stops:
        with pytest.raises(InterruptedError):
            accuracy(session(data, tmp_path / "case", trainer, stop))
        written.add(checkpoints.found(tmp_path / "case"))
    found = accuracy(session(data, tmp_path / "case", trainer)).metrics
    assert compared(found) == compared(whole)
    assert (whole["parts"], found["parts"]) == (1, 1 + len(written - {None}))
    assert found["train_seconds"] > 0
    if every == 0 and max(stops) > 2:
        assert found["parts"] > 1


def test_a_checkpoint_within_a_stretch_has_the_state_of_its_part(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)  # after each step
    with pytest.raises(InterruptedError):
        accuracy(session(data, tmp_path, fakes.FakeTrainer, stop=4))
    path = checkpoints.found(tmp_path)
    assert path is not None
    training = checkpoints.read(path).about["training"]
    assert [training["step"], len(training["curve"])] == [4, 1]
    assert len(training["states"]) == 3  # of the stretch to step 2, then of steps 3 and 4
    again = session(data, tmp_path, fakes.FakeTrainer)
    accuracy(again)
    first, second, third = training["states"]
    assert [state.to_json() for state in again.schedule.states[:3]] == [first, second, third]


def test_a_checkpoint_after_the_last_step_trains_no_more(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    folder = tmp_path / "case"
    whole = accuracy(session(data, folder, fakes.FakeTrainer)).metrics
    again = accuracy(session(data, folder, fakes.FakeTrainer, stop=10)).metrics
    assert compared(again) == compared(whole)
    assert again["train_seconds"] == whole["train_seconds"]
    assert again["parts"] == 2


class Diverges(fakes.FakeTrainer):
    def losses(self) -> list[float]:
        return [float("nan") for _ in super().losses()]


def test_a_diverged_training_is_not_gone_on_with(
    tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    folder = tmp_path / "case"
    whole = accuracy(session(data, folder, Diverges)).metrics
    assert whole["diverged"]
    steps = whole["curve"][-1]["step"]
    again = accuracy(session(data, folder, Diverges, stop=steps)).metrics
    assert again["curve"] == whole["curve"]


def test_paths_survive_the_pipe(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path, {"case": "a"}, "2026-01-01", 3.0)
    for each in (files, replace(files, resume=tmp_path / "a", weights=tmp_path / "b")):
        assert TrainingFiles.from_json(each.to_json()) == each
