"""Trainings of the real frameworks that are killed and resumed: as many bits as in one go.

One run trains a CIFAR network on a tiny data set in every framework that is installed; each kill
takes the run where it is, and `--resume` goes on from the checkpoint. The bits are compared where
the framework promises repeatable results.
"""

from __future__ import annotations

import random
import subprocess

from bench.harness.resumption.checkpoints import FOLDER
from bench.training.frameworks import FRAMEWORKS, installed
from tests.reliability import kills
from tests.reliability.support import Figures, Place, main, place, problem_with
from tests.support import fakes

TRAIN, TEST = 320, 40
"""Images: ten batches of 32 an epoch, two epochs."""
AT_A_CHECKPOINT = 0.5
"""Share of kills right after a checkpoint; the others are drawn over the whole run."""


def run(number: int, rng: random.Random, figures: Figures) -> None:
    """Kill the trainings until so many kills are done, then bring them to their end."""
    names = installed(tuple(FRAMEWORKS))
    if not names:
        figures.notes["real frameworks (none is installed)"] = 0
        return
    with place(images=fakes.images(TRAIN, TEST)) as here:
        there = _Trainings(**{**vars(here), "names": ",".join(names), "workers": 1})
        seconds = kills.undisturbed(there)
        killed, round_ = 0, 0
        while killed < number:
            round_ += 1
            for _ in range(rng.randint(3, 6)):
                if killed < number:
                    killed += _kill(there, f"real-{round_}", rng, seconds, figures)
            before = figures.notes["trainings gone on with from a checkpoint"]
            kills.complete(there, f"real-{round_}", figures)
            after = figures.notes["trainings gone on with from a checkpoint"]
            figures.notes["of them in real frameworks"] += after - before
            print(f"  {killed} kills of {', '.join(names)}", flush=True)


class _Trainings(Place):
    """The place whose runs train real frameworks."""

    names: str

    def __init__(self, names: str, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        object.__setattr__(self, "names", names)

    def first(self, name: str | None = None, *more: str) -> list[str]:
        """See `Place.first`."""
        named = ("--run", name) if name else ()
        what = ("--frameworks", self.names, "--variants", "cifar-bn", "--kinds", "accuracy")
        how = (
            "--profile",
            "tiny-patient",
            "--tracks",
            "closed",
            "--batch-sizes",
            "32",
            "--no-parity",
        )
        return self.command(*what, *how, "--data", str(self.data), *named, *more)


def _kill(here: Place, name: str, rng: random.Random, seconds: float, figures: Figures) -> bool:
    before = here.records(name)
    process = kills.begin(here, name)
    folder = here.results / name / FOLDER
    there = {path.name for path in folder.glob("*/step-*")}
    moment = rng.uniform(0, 0.6 * seconds)
    if rng.random() < AT_A_CHECKPOINT:
        new = lambda: bool({path.name for path in folder.glob("*/step-*")} - there)  # noqa: E731
        moment = rng.uniform(0, 0.5) if kills.await_phase(process, new) else 0.0
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    if process.poll() is not None:
        figures.notes["runs that ended before the kill"] += 1
        process.communicate()
        return False
    target = kills.kill(here, process, rng.choice(kills.TARGETS))
    here.finish(process)
    problem = problem_with(here.records(name), before)
    figures.lost += problem is not None
    figures.count(problem or here.left(), f"kills of {target}")
    figures.notes["kills of real trainings"] += 1
    return True


if __name__ == "__main__":
    main(lambda given, rng, figures: run(given.real, rng, figures), real=24)
