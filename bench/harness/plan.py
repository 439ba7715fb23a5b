"""The time plan of a run: its stages, the seconds planned for each, and what they took.

A profile with `run_seconds` ends in time on a slow machine, too: stages whose work is fixed
(certificates, trainings, report) take what they take, and the interleaved groups share what is
left, so that on a fast machine they take more processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from statistics import mean
from time import perf_counter
from typing import Any

from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.system.resources import usable_cpus
from bench.harness.interleaving.grouping import in_round
from bench.harness.matrix import Job
from bench.harness.profiles import Profile, StageSeconds
from bench.training.recipes import recipe

CERTIFICATES = "parity certificates"
PEAKS = "peak FLOP/s"
REPORT = "report"


@dataclass
class Stage:
    """A stage of a run.

    Attributes:
        name: As the terminal has it.
        planned: Seconds, when the run began.
        weight: Of an interleaved group: its share of what the other stages leave; 0 where the work
            is fixed.
        least: Of an interleaved group: seconds for the fewest processes that it takes
            (`Limits.least_processes`).
        actual: Seconds, once it is over.
    """

    name: str
    planned: float
    weight: float = 0.0
    actual: float | None = None
    least: float = 0.0


@dataclass
class TimePlan:
    """The stages of a run, in their order.

    Attributes:
        stages: All of them.
        total: Seconds for the run, from `began`: the profile's, or more where the selection takes
            longer even with the fewest processes.
        began: When the run began, on the clock of `clock`.
        clock: Seconds that only rise.
        changed: Called when a stage is over.
        entered: Called when a stage begins.
    """

    stages: list[Stage]
    total: float
    began: float
    clock: Callable[[], float] = perf_counter
    changed: Callable[[], None] = lambda: None
    entered: Callable[[], None] = lambda: None
    of_groups: dict[Hashable, Stage] = field(default_factory=dict)
    """Those of the groups, by `_key`."""
    _running: Stage | None = field(default=None, init=False)
    _entered: float = field(default=0.0, init=False)
    """When that stage began."""

    @classmethod
    def of(
        cls, profile: Profile, groups: Sequence[Sequence[Job]], began: float, missing: Missing
    ) -> TimePlan | None:
        """The plan of a run, made when it begins; None for a profile without a limit for the run.

        Args:
            profile: Its `run_seconds` and `stage_seconds`.
            groups: What is measured, in its order.
            began: When the run began, on the clock of `perf_counter`.
            missing: What is not cached.
        """
        if not profile.run_seconds or profile.stage_seconds is None:
            return None
        known = profile.stage_seconds
        cores = max(1, min(missing.certificates, len(usable_cpus())))
        certificates = math.ceil(missing.certificates / cores) * known.certificate
        stages = [Stage(CERTIFICATES, certificates), Stage(PEAKS, missing.peaks * known.peaks)]
        own = {
            _key(group): _stage_of(group, name, known, profile.limits)
            for group, name in zip(groups, _names(groups), strict=True)
        }
        stages += own.values()
        stages.append(Stage(REPORT, known.report))
        least = sum(stage.least if stage.weight else stage.planned for stage in stages)
        plan = cls(stages, profile.run_seconds, began, of_groups=own)
        needed = plan.total - plan.left + least
        fills = any(stage.weight for stage in stages)
        plan.total = max(plan.total, needed) if fills else needed
        shares = [plan.share(stage) for stage in stages]
        for stage, share in zip(stages, shares, strict=True):
            stage.planned = share if stage.weight else stage.planned
        return plan

    @contextmanager
    def stage(self, of: str | Sequence[Job]) -> Iterator[None]:
        """Count the seconds of a stage, by its name or its group; those of a second visit are
        added."""
        if isinstance(of, str):
            found = next((stage for stage in self.stages if stage.name == of), None)
        else:
            found = self.of_groups.get(_key(of))
        if found is None:
            yield
            return
        began, self._running = self.clock(), found
        self._entered = began
        self.entered()
        try:
            yield
        finally:
            self._running = None
            found.actual = (found.actual or 0.0) + self.clock() - began
            self.changed()

    def share(self, stage: Stage) -> float:
        """Seconds for an interleaved group: of what the fixed stages that are to come leave, as
        much as its weight among the groups that are to come."""
        to_come = [one for one in self.stages if one.actual is None]
        fixed = sum(one.planned for one in to_come if not one.weight)
        weights = sum(one.weight for one in to_come)
        return max(0.0, self.left - fixed) * stage.weight / weights if weights else 0.0

    def seconds_for(self, group: Sequence[Job]) -> float:
        """Seconds for an interleaved group now."""
        found = self.of_groups.get(_key(group))
        return self.share(found) if found else 0.0

    @property
    def left(self) -> float:
        """Seconds until the run is to be over."""
        return self.total - (self.clock() - self.began)

    @property
    def expected(self) -> float:
        """Seconds until the run is over: those that are left while a group is to fill them, or more
        where it is late or the machine is slower than the one that the plan was made for."""
        to_come = [one for one in self.stages if one.actual is None]
        pace = self._pace
        seconds = pace * sum(one.least if one.weight else one.planned for one in to_come)
        if (now := self._running) is not None and now.actual is None:
            seconds -= min(pace * (now.least or now.planned), self.clock() - self._entered)
        return max(self.left, seconds) if any(one.weight for one in to_come) else seconds

    @property
    def _pace(self) -> float:
        """Seconds per planned one, of the stages of fixed work that are over; 1 at least."""
        fixed = [one for one in self.stages if one.planned and not one.weight]
        over = [one for one in fixed if one.actual is not None]
        planned = sum(one.planned for one in over)
        return max(1.0, sum(one.actual or 0.0 for one in over) / planned) if planned else 1.0

    def lines(self) -> list[str]:
        """The plan, a line each, when the run begins."""
        planned = [stage for stage in self.stages if round(stage.planned)]
        width = max(len(stage.name) for stage in planned)
        head = f"Plan: about {self.total:.0f} s, {self.total - self.left:.0f} s of them over"
        return [head, *(f"  {one.name:<{width}} {one.planned:>4.0f} s" for one in planned)]

    def outcome(self) -> list[str]:
        """Planned and actual seconds, a line each."""
        there = [stage for stage in self.stages if stage.actual is not None or stage.weight]
        if not there:
            return []
        width = max(len(stage.name) for stage in there)
        lines = [f"{'seconds':<{width}} planned actual"]
        for stage in there:
            actual = "-" if stage.actual is None else f"{stage.actual:.0f}"
            lines.append(f"{stage.name:<{width}} {stage.planned:>7.0f} {actual:>6}")
        return lines

    def line(self) -> str:
        """What runs, what remains, and how long it still takes: ``0:12 left · report``."""
        # What is cached takes no time and is not announced.
        to_come = [
            one.name for one in self.stages if one.actual is None and (one.weight or one.planned)
        ]
        now = self._running.name if self._running else ""
        after = [name for name in to_come if name != now]
        then = f"then {after[0]}" if after else ""
        more = f" and {len(after) - 1} more" if len(after) > 1 else ""
        parts = [f"{_clock_time(self.expected)} left", now, f"{then}{more}"]
        return " · ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """As ``run.json`` has it."""
        stages = [asdict(one) for one in self.stages]
        for stage in stages:
            stage["planned"] = round(stage["planned"], 1)
            stage["actual"] = None if stage["actual"] is None else round(stage["actual"], 1)
            del stage["weight"], stage["least"]
        return {"seconds": self.total, "stages": stages}


@dataclass(frozen=True)
class Missing:
    """What a run has to make first: numbers of certificates and of frameworks without a peak."""

    certificates: int = 0
    peaks: int = 0


def _key(group: Sequence[Job]) -> Hashable:
    """What a group is, and no other one."""
    return tuple(task.key for job in group for task in job.tasks)


def _names(groups: Sequence[Sequence[Job]]) -> list[str]:
    """The names of the groups, each once: with what tells it from others of its name."""
    alike: dict[str, list[Case]] = {}
    for group in groups:
        alike.setdefault(name_of(group), []).append(group[0].case)
    return [
        ", ".join([name, *_telling(group[0].case, alike[name])])
        for group, name in zip(groups, map(name_of, groups), strict=True)
    ]


def _telling(case: Case, among: Sequence[Case]) -> Iterator[str]:
    """What tells a case from others, in words: ``batch size 64``."""
    for name in (each.name for each in fields(Case)):
        if len({getattr(other, name) for other in among}) > 1:
            yield f"{name.replace('_', ' ')} {getattr(case, name)}"


def name_of(group: Sequence[Job]) -> str:
    """The name of a group: its track and networks, or the training."""
    case = group[0].case
    if kind(group[0].tasks[0].kind).timed:
        networks = ", ".join(dict.fromkeys(job.case.variant for job in group))
        return f"speed, {case.track}: {networks}"
    start = "" if case.init == "scratch" else f" from {case.init}"
    recipe = f", {case.recipe}" if case.input_size != 32 else ""
    return f"training {case.variant}{start}, {case.framework_label}{recipe}, seed {case.seed}"


def _weight(group: Sequence[Job], limits: Limits) -> float:
    """Of a round, on average: starting a worker takes about as long as each kind that it measures,
    and what does not depend on the workers as long as two."""
    rounds = _rounds(group, limits, limits.processes)
    return 2.0 + mean(sum(1.0 + len(job.tasks) for job in one) for one in rounds)


def _rounds(group: Sequence[Job], limits: Limits, number: int) -> list[list[Job]]:
    """The jobs of each of the first rounds."""
    cases = [job.case for job in group]
    there = [in_round(cases, limits, process) for process in range(number)]
    return [[job for job in group if job.case in one] for one in there]


def _stage_of(group: Sequence[Job], name: str, known: StageSeconds, limits: Limits) -> Stage:
    case = group[0].case
    if kind(group[0].tasks[0].kind).timed:
        least = known.worker * sum(map(len, _rounds(group, limits, limits.least_processes)))
        return Stage(name, 0.0, weight=_weight(group, limits), least=least)
    whole, _, fraction = case.recipe.partition("@")
    seconds = known.trainings.get(whole)
    if seconds is None:  # the longest of the known ones is of one epoch
        # Through a frozen trunk each image goes once.
        epochs = 1 if recipe(whole).frozen else recipe(whole).epochs
        seconds = max(known.trainings.values(), default=0.0) * epochs
    return Stage(name, seconds * float(fraction or 1))


def _clock_time(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02}"
