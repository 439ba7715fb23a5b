"""The time plan: what is left is for the interleaved groups, and the run ends in time."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from bench.harness.interleaving.grouping import groups
from bench.harness.matrix import Job, Task, jobs
from bench.harness.plan import CERTIFICATES, PEAKS, REPORT, Missing, Stage, TimePlan, name_of
from bench.harness.profiles import PROFILES, StageSeconds
from bench.harness.resumption.run_settings import Begun, RunSettings
from bench.harness.run import open_run, run_all
from bench.harness.selection import Selection
from tests.support import fakes


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plan(clock: Clock) -> TimePlan:
    stages = [
        Stage(CERTIFICATES, 50),
        Stage("training", 30),
        Stage("wide", 0, weight=3),
        Stage("narrow", 0, weight=1),
        Stage(REPORT, 20),
    ]
    return TimePlan(stages, total=500, began=0.0, clock=clock)


def spend(made: TimePlan, clock: Clock, name: str, seconds: float) -> None:
    with made.stage(name):
        clock.now += seconds


def test_groups_share_what_the_other_stages_leave_by_their_weights() -> None:
    made = plan(Clock())
    _, _, wide, narrow, _ = made.stages
    assert (made.share(wide), made.share(narrow)) == (300, 100)


def test_time_that_a_stage_takes_more_or_less_is_the_groups() -> None:
    clock = Clock()
    made = plan(clock)
    wide, narrow = made.stages[2:4]
    spend(made, clock, CERTIFICATES, 130)
    assert (made.share(wide), made.share(narrow)) == (240, 80)
    spend(made, clock, "training", 10)
    assert made.share(wide) == 255
    spend(made, clock, "wide", 100)  # it was precise early
    assert made.share(narrow) == 500 - 240 - 20
    spend(made, clock, "narrow", 300)
    assert made.left == -40
    assert [stage.actual for stage in made.stages] == [130, 10, 100, 300, None]


def test_a_run_that_is_late_leaves_groups_nothing_and_no_less() -> None:
    clock = Clock()
    made = plan(clock)
    spend(made, clock, CERTIFICATES, 600)
    assert made.share(made.stages[2]) == 0.0


def test_the_line_says_what_runs_what_remains_and_the_time_left() -> None:
    clock = Clock()
    made = plan(clock)
    shown = []
    made.entered = lambda: shown.append(made.line())
    spend(made, clock, CERTIFICATES, 45)
    spend(made, clock, "training", 35)
    spend(made, clock, "an unknown stage", 5)
    assert shown == [
        "8:20 left · parity certificates · then training and 3 more",
        "7:35 left · training · then wide and 2 more",
    ]
    clock.now = 600
    assert made.line() == "0:20 left · then wide and 2 more"
    made.stages[2].least = 12.0
    assert made.line() == "0:32 left · then wide and 2 more"
    made.stages[-1].planned = 0.0  # it takes no time
    assert made.line() == "0:12 left · then wide and 1 more"
    spend(made, clock, "wide", 9)
    assert shown[-1] == "0:12 left · wide · then narrow"
    assert made.line() == "0:00 left · then narrow"


def test_on_a_slow_machine_what_remains_takes_as_much_longer_as_what_is_over() -> None:
    clock = Clock()
    made = plan(clock)
    made.stages[2].least, made.stages[3].least = 200.0, 150.0
    assert made.line().startswith("8:20 left")
    spend(made, clock, CERTIFICATES, 100)
    assert made.expected == 2 * (30 + 200 + 150 + 20)  # twice as long as planned
    spend(made, clock, "training", 20)
    assert made.expected == 1.5 * (200 + 150 + 20)
    entered = []
    made.entered = lambda: entered.append(made.expected)
    spend(made, clock, "wide", 400)  # a group's seconds are not fixed: they say nothing of the pace
    assert entered == [1.5 * 370]
    assert made.expected == 1.5 * 170


def test_plan_and_outcome_are_shown_and_kept() -> None:
    clock = Clock()
    made = plan(clock)
    kept = []
    made.changed = lambda: kept.append(made.to_json())
    for stage in made.stages[2:4]:
        stage.planned = made.share(stage)
    assert [line.split() for line in made.lines()[1:]][2] == ["wide", "300", "s"]
    spend(made, clock, CERTIFICATES, 44.25)
    (content,) = kept
    assert content["stages"][0] == {"name": CERTIFICATES, "planned": 50, "actual": 44.2}
    assert content["stages"][1]["actual"] is None
    assert [line.split()[-2:] for line in made.outcome()][:2] == [
        ["planned", "actual"],
        ["50", "44"],
    ]


@pytest.fixture
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


@pytest.mark.usefixtures("_fakes")
def test_the_plan_of_quick_has_time_for_its_groups() -> None:
    quick = PROFILES["quick"]
    began = perf_counter()
    found = groups(jobs(Selection(frameworks=("pytorch", "fake")), quick), quick.together, 1 << 40)
    made = TimePlan.of(quick, found, began, Missing(certificates=4, peaks=2))
    assert made is not None
    names = [stage.name for stage in made.stages]
    assert len(set(names)) == len(names)
    assert names[:2] == [CERTIFICATES, PEAKS]
    assert names[-1] == REPORT
    speeds = [stage for stage in made.stages if stage.weight]
    assert [stage.name for stage in speeds] == [
        "speed, closed: cifar-bn, cifar-lrn, cifar-plain",
        "speed, idiomatic: cifar-bn",
    ]
    # Of each worker: its start and its kinds. `cifar-lrn` and `cifar-plain` take part in three of
    # five rounds and are trained alone, as `cifar-bn` is in the closed track.
    closed, idiomatic = 2 * (1 + 1) + 2 * (1 + 1) * 3 / 5, 2 * (1 + 4)
    assert [stage.weight for stage in speeds] == pytest.approx([2 + closed, 2 + idiomatic])
    assert sum(stage.planned for stage in speeds) > 0.4 * quick.run_seconds
    assert quick.run_seconds < 600
    assert made.total == quick.run_seconds
    assert TimePlan.of(PROFILES["full"], found, began, Missing()) is None


@pytest.mark.usefixtures("_fakes")
def test_a_selection_of_more_than_the_profiles_own_takes_longer() -> None:
    quick = PROFILES["quick"]
    selection = Selection(
        frameworks=("pytorch", "fake"), variants=("cifar-bn", "cifar-lrn", "cifar-plain")
    )
    found = groups(jobs(selection, quick), quick.together, 1 << 40)
    made = TimePlan.of(quick, found, perf_counter(), Missing(certificates=12, peaks=2))
    assert made is not None
    fixed = sum(stage.planned for stage in made.stages if not stage.weight)
    speeds = [stage for stage in made.stages if stage.weight]
    # six workers in a round of each track
    assert [stage.least for stage in speeds] == [3 * 6 * 12, 3 * 6 * 12]
    assert made.total == pytest.approx(fixed + 2 * 3 * 6 * 12, abs=1)
    assert made.total > quick.run_seconds


@pytest.mark.usefixtures("_fakes")
@pytest.mark.parametrize(
    "selection",
    [
        {"kinds": ("train_throughput",), "batch_sizes": (64, 128)},
        {"kinds": ("accuracy",), "tracks": ("closed", "idiomatic")},
        {"kinds": ("accuracy",), "recipes": ("quick", "short")},
    ],
)
def test_every_group_has_a_stage_of_its_own(selection: dict[str, Any]) -> None:
    quick = PROFILES["quick"]
    asked = Selection(frameworks=("fake",), variants=("cifar-bn",), **selection)
    found = groups(jobs(asked, quick), quick.together, 1 << 40)
    made = TimePlan.of(quick, found, perf_counter(), Missing())
    assert made is not None
    assert len(found) > 1
    assert len({stage.name for stage in made.stages}) == len(made.stages)
    for group in found:
        with made.stage(group):
            pass
    own = [stage for stage in made.stages if stage.name not in (CERTIFICATES, PEAKS, REPORT)]
    assert len(own) == len(found)
    assert all(stage.actual is not None for stage in own)


@pytest.mark.usefixtures("_fakes")
def test_trainings_alone_are_planned_as_long_as_they_take() -> None:
    quick = PROFILES["quick"]

    def planned(*recipes: str) -> TimePlan:
        asked = Selection(
            frameworks=("fake",), variants=("cifar-bn",), kinds=("accuracy",), recipes=recipes
        )
        found = groups(jobs(asked, quick), quick.together, 1 << 40)
        made = TimePlan.of(quick, found, perf_counter(), Missing())
        assert made is not None
        return made

    alone = planned("quick")
    assert alone.total < 0.3 * quick.run_seconds  # nothing fills the rest
    assert alone.expected == pytest.approx(alone.total, abs=1)
    whole, tenth = (planned(name).stages[2].planned for name in ("quick", "quick@0.1"))
    assert tenth == pytest.approx(whole / 10)
    assert planned("standard").stages[2].planned == pytest.approx(16 * whole)
    known = quick.stage_seconds
    assert known is not None
    case = replace(fakes.case("fake"), recipe="transfer-frozen", frozen=True)
    made = TimePlan.of(quick, [[Job(case, (Task(case, "accuracy"),))]], perf_counter(), Missing())
    assert made is not None
    longest = max(known.trainings.values())
    assert made.stages[2].planned == longest  # each image goes through the trunk once


def test_a_training_is_named_by_what_it_is() -> None:
    case = replace(fakes.case("fake"), init="pretrained", weights="bvlc@1", input_size=99)
    job = Job(case, (Task(case, "accuracy"),))
    assert name_of([job]) == f"training tiny from pretrained, fake, {case.recipe}, seed 0"


@pytest.mark.usefixtures("_fakes")
def test_a_run_follows_its_plan_and_keeps_it(tmp_path: Path) -> None:
    seconds = StageSeconds(certificate=1, peaks=1, trainings={}, worker=0, report=1)
    limits = replace(fakes.LIMITS, processes=2, precision=1e-9)
    profile = replace(fakes.PROFILE, limits=limits, run_seconds=9.0, stage_seconds=seconds)
    data = str(fakes.write_batches(tmp_path / "small", fakes.images()))
    todo = jobs(Selection(frameworks=("fake", "fake-two"), kinds=("train_throughput",)), profile)
    run, _ = open_run(tmp_path / "results", "planned", False, profile, data, begun=Begun("x", {}))
    shown: list[TimePlan] = []

    class Quiet:
        """Remembers the plan."""

        def planned(self, found: TimePlan) -> None:
            shown.append(found)

        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    with run:
        run_all(run, todo, Quiet(), parity=False)  # type: ignore[arg-type]
    (made,) = shown
    settings = RunSettings.read(run.folder)
    assert settings is not None
    assert settings.plan == made.to_json()
    speeds = [stage for stage in made.stages if stage.weight]
    assert len(speeds) == 2
    assert all(stage.actual for stage in speeds)
    first, *_ = run.store.read()
    # The goal cannot be reached: the group ends with its share of the time.
    assert first.metrics["interleaving"]["stopped"] == "time limit"
    assert 1.0 <= first.metrics["interleaving"]["group_seconds"] <= 8.0
