"""From a selection to the list of jobs: which cases, with which kinds, in which worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from bench import frameworks, variants
from bench.case import ALL_TRACKS, INITS, KINDS, PRECISIONS, WATERFALL, Case
from bench.defaults import NAMES, chain
from bench.errors import UserError
from bench.profiles import Profile
from bench.recipes import recipe
from bench.variants import HEADS

TIMED = ("startup", "train_throughput", "inference", "latency")
"""Kinds that one worker takes one after the other: they need the same network and no training."""


@dataclass(frozen=True)
class Selection:
    """What a user asked for; an empty tuple means what the profile says."""

    variants: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    stages: tuple[str, ...] = ()
    """Of the waterfall."""
    seeds: int | None = None
    budget: float = 1.0

    def check(self) -> None:
        """Raise UserError for the first name that does not exist or cannot run here."""
        for name in self.variants:
            variants.variant(name)
        for name in self.frameworks:
            missing = frameworks.framework(name).missing()
            if missing:
                raise UserError(f"framework {name}: {missing}")
        for name in self.recipes:
            recipe(name)
        _known("track", self.tracks, ALL_TRACKS)
        _known("stage", self.stages, NAMES)
        _known("kind", self.kinds, KINDS)
        _known("head", self.heads, HEADS)
        _known("precision", self.precisions, PRECISIONS)
        _known("init", self.inits, INITS)
        if "pretrained" in self.inits:
            raise UserError("init 'pretrained': no weight source is registered; use scratch")
        if self.seeds is not None and self.seeds < 1:
            raise UserError(f"--seeds {self.seeds}: must be at least 1")
        if not 0 < self.budget <= 1:
            raise UserError(f"--budget {self.budget:g}: must be above 0 and at most 1")
        if any(size < 1 for size in self.batch_sizes):
            raise UserError(f"--batch-sizes {self.batch_sizes}: must all be at least 1")


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}; known: {', '.join(known)}")


@dataclass(frozen=True)
class Task:
    """One record to be: a case and what is measured of it."""

    case: Case
    kind: str

    @property
    def key(self) -> tuple[str, str]:
        """(case id, kind)."""
        return self.case.id, self.kind


@dataclass(frozen=True)
class Job:
    """What one worker process does: all tasks share one network in one framework."""

    case: Case
    tasks: tuple[Task, ...]


def jobs(selection: Selection, profile: Profile) -> list[Job]:
    """All jobs in the order of measuring; UserError when the selection is empty."""
    selection.check()
    names = selection.frameworks or tuple(frameworks.installed(profile.frameworks))
    if not names:
        raise UserError(
            f"none of {', '.join(profile.frameworks)} is installed; "
            "pip install 'alexbench[torch,tensorflow]'"
        )
    every = [*_timed_jobs(selection, profile, names), *_accuracy_jobs(selection, profile, names)]
    found = list(_once(every))
    if selection.stages and not any(job.case.defaults for job in found):
        raise UserError(
            f"--stages {','.join(selection.stages)}: no case here has one of them; only the track "
            f"{WATERFALL} has stages (--profile waterfall)"
        )
    if not found:
        raise UserError(f"nothing to measure: {selection} selects no case of {profile.name}")
    return found


def _once(found: Sequence[Job]) -> Iterator[Job]:
    """Each (case, kind) in its first job only: two batch sizes share one latency, for example."""
    seen: set[tuple[str, str]] = set()
    for job in found:
        tasks = tuple(task for task in job.tasks if task.key not in seen)
        seen.update(task.key for task in tasks)
        if tasks:
            yield Job(job.case, tasks)


def _timed_jobs(selection: Selection, profile: Profile, names: tuple[str, ...]) -> Iterator[Job]:
    wanted = [kind for kind in TIMED if kind in (selection.kinds or KINDS)]
    for case in _cases(selection, profile, names, "train_throughput", ("steady",), seeds=1):
        tasks = [
            Task(_of_kind(case, kind), kind)
            for kind in wanted
            if _selected(selection, profile, case, kind)
        ]
        if tasks:
            yield Job(case, tuple(tasks))


def _of_kind(case: Case, kind: str) -> Case:
    """Latency is that of a single picture, and its record says so."""
    return dataclasses.replace(case, batch_size=1) if kind == "latency" else case


def _selected(selection: Selection, profile: Profile, case: Case, kind: str) -> bool:
    tracks = selection.tracks or profile.tracks[kind]
    names = selection.variants or profile.variants[kind]
    return case.track in tracks and case.variant in names


def _accuracy_jobs(selection: Selection, profile: Profile, names: tuple[str, ...]) -> Iterator[Job]:
    if "accuracy" not in (selection.kinds or KINDS):
        return
    recipes = tuple(
        recipe(name).shortened(selection.budget).name
        for name in selection.recipes or (profile.recipe,)
    )
    seeds = selection.seeds or profile.seeds
    for case in _cases(selection, profile, names, "accuracy", recipes, seeds=seeds):
        yield Job(case, (Task(case, "accuracy"),))


def _cases(
    selection: Selection,
    profile: Profile,
    names: tuple[str, ...],
    kind: str,
    recipes: tuple[str, ...],
    *,
    seeds: int,
) -> Iterator[Case]:
    rows = selection.variants or profile.variants[kind]
    tracks = _tracks(selection, profile, kind)
    heads = selection.heads or ("source",)
    # Frameworks turn fastest: those that are compared are measured close together in time.
    for seed, row, head, name_of_recipe, track in product(
        range(seeds), rows, heads, recipes, tracks
    ):
        size = variants.variant(row).input_size
        for name in names:
            choices = product(
                _precisions(selection, track, name),
                selection.batch_sizes or (_batch_size(profile, row, size),),
                _stages(selection, Case(row, name, track, recipe=name_of_recipe, seed=seed)),
            )
            for precision, batch, stage in choices:
                yield Case(
                    variant=row,
                    framework=name,
                    track=track,
                    head=head,
                    recipe=name_of_recipe,
                    input_size=size,
                    precision=precision,
                    batch_size=batch,
                    seed=seed,
                    defaults=stage,
                )


def _tracks(selection: Selection, profile: Profile, kind: str) -> tuple[str, ...]:
    """The waterfall has accuracy cases only: their images/s come with them."""
    tracks = selection.tracks or profile.tracks[kind]
    return tuple(track for track in tracks if track != WATERFALL or kind == "accuracy")


def _stages(selection: Selection, case: Case) -> tuple[str, ...]:
    """What ``Case.defaults`` takes: the stages of the waterfall; one empty one elsewhere."""
    if case.track != WATERFALL:
        return ("",)
    if recipe(case.recipe).optimizer != "adam":
        raise UserError(
            f"recipe {case.recipe!r}: the {WATERFALL} track switches Adam's defaults; "
            "take a recipe with Adam, as --recipes waterfall"
        )
    architecture = variants.variant(case.variant).architecture()
    stages = chain(architecture, case.framework)
    wanted = [stage for stage in stages if stage in (selection.stages or NAMES)]
    # Every other seed in the other direction: a machine that drifts favours no stage.
    return tuple(reversed(wanted) if case.seed % 2 else wanted)


def _batch_size(profile: Profile, row: str, size: int) -> int:
    if size not in profile.batch_sizes:
        raise UserError(
            f"variant {row}: profile {profile.name} has no batch size for {size} pixels; "
            "give one with --batch-sizes"
        )
    return profile.batch_sizes[size]


def _precisions(selection: Selection, track: str, name: str) -> tuple[str, ...]:
    if track in ("closed", WATERFALL):
        return ("float32",)  # both are defined in float32
    return selection.precisions or (frameworks.framework(name).idiomatic_precision,)
