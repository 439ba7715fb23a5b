"""From a selection to the list of jobs: which cases, with which kinds, in which worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from bench.core.case import ALL_TRACKS, INITS, KINDS, PRECISIONS, WATERFALL, Case
from bench.core.errors import UserError
from bench.harness.profiles import Profile
from bench.harness.selection import Network, networks
from bench.networks import variants
from bench.networks.variants import HEADS
from bench.training import frameworks
from bench.training.defaults import NAMES, chain
from bench.training.recipes import recipe
from bench.training.tracks import peers_of

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
    weights: str | None = None
    """Weight source, a name or a file; naming one asks for pretrained networks."""
    heads: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    input_sizes: tuple[int, ...] = ()
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
        if self.weights and self.inits and "pretrained" not in self.inits:
            raise UserError(
                f"--weights {self.weights}: --inits {','.join(self.inits)} starts from none; "
                "add pretrained"
            )
        if self.seeds is not None and self.seeds < 1:
            raise UserError(f"--seeds {self.seeds}: must be at least 1")
        if not 0 < self.budget <= 1:
            raise UserError(f"--budget {self.budget:g}: must be above 0 and at most 1")
        for option, sizes in (("batch", self.batch_sizes), ("input", self.input_sizes)):
            if any(size < 1 for size in sizes):
                raise UserError(f"--{option}-sizes {sizes}: must all be at least 1")


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
    weights: Path | None = None
    """Where the worker reads pretrained weights from."""


def matches(found: Sequence[Job]) -> list[tuple[Job, ...]]:
    """Jobs apart by what is measured together: all frameworks of one network where it is timed,
    each training on its own."""
    groups: dict[object, list[Job]] = {}
    for job in found:
        timed = job.tasks[0].kind in TIMED
        groups.setdefault(peers_of(job.case) if timed else job.case, []).append(job)
    return [tuple(group) for group in groups.values()]


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
            yield replace(job, tasks=tasks)


def _timed_jobs(selection: Selection, profile: Profile, names: tuple[str, ...]) -> Iterator[Job]:
    if selection.recipes and not selection.kinds:
        return  # who names a recipe wants a training
    wanted = [kind for kind in TIMED if kind in (selection.kinds or KINDS)]
    if not wanted:
        return
    for case, file in _cases(selection, profile, names, "train_throughput", 0):
        tasks = [
            Task(_of_kind(case, kind), kind)
            for kind in wanted
            if _selected(selection, profile, case, kind)
        ]
        if tasks:
            yield Job(case, tuple(tasks), file)


def _of_kind(case: Case, kind: str) -> Case:
    """Latency is that of a single picture, and its record says so."""
    return replace(case, batch_size=1) if kind == "latency" else case


def _selected(selection: Selection, profile: Profile, case: Case, kind: str) -> bool:
    tracks = selection.tracks or profile.tracks[kind]
    named = selection.variants or case.init == "pretrained"
    if case.track != "closed" and case.variant in profile.closed_only and not named:
        return False
    return case.track in tracks and bool(named or case.variant in profile.variants[kind])


def _accuracy_jobs(selection: Selection, profile: Profile, names: tuple[str, ...]) -> Iterator[Job]:
    if "accuracy" not in (selection.kinds or KINDS):
        return
    for seed in range(selection.seeds or profile.seeds):
        for case, file in _cases(selection, profile, names, "accuracy", seed):
            yield Job(case, (Task(case, "accuracy"),), file)


def _cases(
    selection: Selection, profile: Profile, names: tuple[str, ...], kind: str, seed: int
) -> Iterator[tuple[Case, Path | None]]:
    """Every case of a kind, with the file of the weights that it starts from."""
    tracks = _tracks(selection, profile, kind)
    # Frameworks turn fastest: those that are compared are measured close together in time.
    for network, track, name in product(_networks(selection, profile, kind), tracks, names):
        case = Case(
            variant=network.variant,
            framework=name,
            track=track,
            init=network.init,
            weights=network.weights,
            head=network.head,
            frozen=network.recipe.frozen,
            recipe=network.recipe.name,
            input_size=network.input_size,
            seed=seed,
        )
        choices = product(
            _precisions(selection, track, name),
            _batch_sizes(selection, profile, network),
            _stages(selection, case),
        )
        for precision, batch, stage in choices:
            made = replace(case, precision=precision, batch_size=batch, defaults=stage)
            yield made, network.file


def _networks(selection: Selection, profile: Profile, kind: str) -> list[Network]:
    rows = selection.variants or profile.variants[kind]
    if kind != "accuracy":
        return list(networks(selection, rows, recipe(profile.timed_recipe)))
    if selection.recipes:
        named = [recipe(name) for name in selection.recipes]
        found = [network for row in named for network in networks(selection, rows, row)]
    else:
        found = list(_by_profile(selection, profile, rows))
    found = [replace(n, recipe=n.recipe.shortened(selection.budget)) for n in found]
    # By variant, as the profile has them; within one by recipe and head.
    return sorted(found, key=lambda network: _place(rows, network.variant))


def _by_profile(selection: Selection, profile: Profile, rows: Sequence[str]) -> Iterator[Network]:
    """Every start with the recipe that the profile has for it."""
    first = recipe(profile.recipe)
    usual = ("pretrained",) if selection.weights or first.starts_pretrained else ("scratch",)
    for init in selection.inits or usual:
        pretrained = init == "pretrained"
        wanted = replace(
            selection, inits=(init,), weights=selection.weights if pretrained else None
        )
        name = profile.pretrained_recipe if pretrained else profile.recipe
        yield from networks(wanted, rows, recipe(name))


def _place(rows: Sequence[str], name: str) -> int:
    return rows.index(name) if name in rows else len(rows)


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


def _batch_sizes(selection: Selection, profile: Profile, network: Network) -> tuple[int, ...]:
    asked, fixed, size = selection.batch_sizes, network.recipe.batch_size, network.input_size
    if fixed is not None:
        if asked and fixed not in asked:
            listed = ", ".join(map(str, asked))
            raise UserError(
                f"recipe {network.recipe.name}: its batch size is {fixed}, not {listed}"
            )
        return (fixed,)
    if asked:
        return asked
    if size not in profile.batch_sizes:
        raise UserError(
            f"variant {network.variant}: profile {profile.name} has no batch size for {size} "
            "pixels; give one with --batch-sizes"
        )
    return (profile.batch_sizes[size],)


def _precisions(selection: Selection, track: str, name: str) -> tuple[str, ...]:
    if track in ("closed", WATERFALL):
        return ("float32",)  # both are defined in float32
    return selection.precisions or (frameworks.framework(name).precision,)
