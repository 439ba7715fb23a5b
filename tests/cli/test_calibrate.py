"""Error rates of the comparison, from A/A tests and injected slowdowns."""

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bench.cli import calibration
from bench.cli.calibration import NOISES, Count, Noise, counted, ratios, simulate
from bench.cli.commands.calibrate import calibrate
from bench.core import extensions
from bench.training import frameworks
from bench.training.interfaces import StepInput
from bench.worker import slowdown
from tests.support import fakes

QUIET = Noise("none", between_processes=0.0, within=0.0, disturbed=0.0)


def test_an_injected_slowdown_is_in_the_ratios_and_nothing_else_is() -> None:
    made = ratios(QUIET, (3, 4), 0.05, np.random.default_rng(0))
    assert np.shape(made) == (3, 4)
    np.testing.assert_allclose(made, 1 / 1.05)


def test_noise_between_processes_is_one_factor_for_all_their_pairs() -> None:
    noise = Noise("processes", between_processes=0.1, within=0.0, disturbed=0.0)
    made = np.log(ratios(noise, (500, 3), 0.0, np.random.default_rng(0)))
    assert np.allclose(made, made[:, :1])
    assert np.std(made[:, 0]) == pytest.approx(0.1, rel=0.1)


def test_equals_are_ties_and_an_injected_slowdown_is_found_in_small_noise() -> None:
    counts = list(simulate(20))
    assert len(counts) == len(NOISES) * len(calibration.SHAPES) * 2
    quiet = [c for c in counts if c.source == "quiet" and c.processes >= 5]
    assert all(count.correct >= 18 for count in quiet)


def test_a_share_has_the_interval_of_a_count() -> None:
    share = Count("x", 5, 8, 0.0, 95, 100).share
    assert share.value == 0.95
    # Wilson's interval for 95 of 100.
    assert share.low == pytest.approx(0.888, abs=1e-3)
    assert share.high == pytest.approx(0.978, abs=1e-3)


def test_real_verdicts_are_counted_by_what_was_injected() -> None:
    rows = [
        {"framework": f"fake{suffix}", "kind": "inference", "verdict": verdict}
        | {"processes": 2, "pairs": 6, "stopped": "precision"}
        for suffix, verdict in (("-twin", "tie"), ("-twin", "slower"), ("-slowed", "slower"))
    ]
    copy, slow = counted(rows)
    assert (copy.correct, copy.total, copy.injected, copy.pairs) == (1, 2, 0.0, 3)
    assert (slow.correct, slow.total, slow.injected) == (1, 1, slowdown.SLOWDOWN)


class Clock:
    """A clock that advances by a hundredth of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


class Steps:
    """A trainer that takes one second per step and three per call."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        for _ in range(steps):
            self.clock.now += 1.0
            after_step()

    def predict(self, images: Any) -> str:
        self.clock.now += 3.0
        return "logits"

    def sync(self) -> None:
        """Nothing is queued."""

    def settings(self) -> dict[str, Any]:
        return {"of": "the original"}


def test_the_slowed_copy_takes_that_much_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(slowdown, "perf_counter", clock)
    slow = slowdown.SlowedTrainer(Steps(clock))  # type: ignore[arg-type]
    ends: list[float] = []

    def after_step() -> None:
        ends.append(clock.now)
        clock.now += 100.0  # waiting for a slot is no part of a step

    slow.train(iter([]), 3, after_step)
    steps = [ends[0], *(b - a - 100.0 for a, b in pairwise(ends))]
    assert steps == [pytest.approx(1.05, abs=0.06)] * 3
    assert min(steps) > 1.04
    before = clock.now
    assert slow.predict(None) == "logits"  # type: ignore[arg-type,comparison-overlap]
    assert clock.now - before == pytest.approx(3.15, abs=0.06)
    assert slow.settings() == {"of": "the original"}


@pytest.fixture
def real_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], tuple[Result, Path]]:
    """Calibrates with a real run of a fake framework and its copies; where the files are."""
    fakes.install(monkeypatch, tmp_path / "cache")
    # Workers register the copies of the fakes; here monkeypatch removes them after the test.
    monkeypatch.setenv("ALEXBENCH_EXTENSIONS", "tests.support.plugins.fake_framework")
    monkeypatch.setattr(extensions, "load", lambda: None)

    def call(name: str) -> tuple[Result, Path]:
        original = frameworks.FRAMEWORKS[name]
        for suffix in ("-twin", "-slowed"):
            row = {**vars(original), "name": f"{name}{suffix}"}
            monkeypatch.setitem(frameworks.FRAMEWORKS, row["name"], frameworks.Framework(**row))
        data = fakes.write_batches(tmp_path / "data", fakes.images())
        options = ["--simulations", "0", "--runs", "1", "--framework", name, "--variant", "tiny"]
        more = ["--profile", "tiny", "--data", str(data), "-o", str(tmp_path / "out")]
        done = CliRunner().invoke(calibrate, [*options, *more], standalone_mode=False)
        assert done.exception is None
        return done, tmp_path / "out"

    return call


def test_real_runs_are_measured_and_counted(
    real_runs: Callable[[str], tuple[Result, Path]],
) -> None:
    """The framework is of a module that the user names: workers import it, too."""
    done, folder = real_runs("fake")
    assert done.return_value == 0
    found = json.loads((folder / "real.json").read_text("utf-8"))
    assert {row["framework"] for row in found} == {"fake-twin", "fake-slowed"}
    assert {row["kind"] for row in found} == {"train_throughput"}
    assert [row["stopped"] for row in found].count(calibration.POOLED) == 2
    text = (folder / "real.md").read_text("utf-8")
    assert "| no difference " in text
    assert "| slower " in text


def test_what_fails_in_every_run_costs_no_file_and_is_said(
    real_runs: Callable[[str], tuple[Result, Path]],
) -> None:
    """It ended in "a median needs a sample", and nothing was written."""
    done, folder = real_runs("fake-raise")
    assert done.return_value == 1
    assert "3 measurements failed and are in no count" in done.stderr
    assert json.loads((folder / "real.json").read_text("utf-8")) == []
