"""From a selection to the list of jobs: which cases, with which kinds, in which worker."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.kinds import ACCURACY, KINDS, TRAIN_THROUGHPUT, kind
from bench.harness.pretraining import wanted
from bench.harness.profiles import Profile
from bench.harness.selection import AUTO_BATCH, Network, Selection, networks
from bench.networks import variants
from bench.training import frameworks
from bench.training.defaults import NAMES, SHARED_EPS, WEIGHT_DECAY, chain
from bench.training.recipes import recipe
from bench.training.tracks import ABLATION, track
from bench.weights.sources import available


@dataclass(frozen=True)
class Task:
    """A case and a kind of measurement: one record, once it is measured."""

    case: Case
    kind: str

    @property
    def key(self) -> tuple[str, str]:
        """(case id, kind)."""
        return self.case.id, self.kind


@dataclass(frozen=True)
class Job:
    """The tasks of one worker process: all of one network in one framework."""

    case: Case
    tasks: tuple[Task, ...]
    weights: Path | None = None
    """Where the worker reads pretrained weights from."""


def jobs(selection: Selection, profile: Profile) -> list[Job]:
    """All jobs in the order of measuring; UserError when the selection is empty."""
    selection.check()
    names = selection.frameworks or tuple(frameworks.installed(profile.frameworks))
    if not names:
        raise UserError(
            f"none of {', '.join(profile.frameworks)} is installed; "
            "pip install 'alexbench[torch,tensorflow]'"
        )
    named = [
        *_timed_jobs(selection, profile, names),
        *_accuracy_jobs(selection, profile, names),
    ]
    found = list(_once([*named, *_pretraining_jobs(selection, profile, names)]))
    trained = any(kind(task.kind).trained for job in found for task in job.tasks)
    if named:
        _check_read(selection, named)
    if found and not trained:
        _check_not_trained(selection)
    if found and selection.recipes and not trained:
        raise UserError(
            f"--recipes {','.join(selection.recipes)}: recipes are of trainings to an accuracy, "
            f"and --kinds {','.join(selection.kinds)} has none; add accuracy to it"
        )
    if found and selection.weights and all(job.case.init != "pretrained" for job in found):
        raise UserError(
            f"--weights {selection.weights}: all that is selected starts from scratch; give "
            "--inits pretrained, or a recipe that starts from weights"
        )
    if selection.stages and not any(job.case.defaults for job in found):
        raise UserError(
            f"--stages {','.join(selection.stages)}: no case here has one of them; only the track "
            f"{ABLATION} has stages (--profile {ABLATION})"
        )
    there = {job.case.precision for job in found}
    if found and (ignored := [name for name in selection.precisions if name not in there]):
        shared = ", ".join(dict.fromkeys(job.case.track for job in found))
        raise UserError(
            f"--precisions {','.join(ignored)}: no case here has it; track {shared} is defined in "
            "float32 (--tracks idiomatic and tuned take others)"
        )
    if not found:
        raise UserError(f"nothing to measure: {selection} selects no case of {profile.name}")
    return found


def _check_read(selection: Selection, named: Sequence[Job]) -> None:
    """Raise UserError for options about reading weights where none are read."""
    options = {
        "--key": selection.key,
        "--channel-order": selection.channel_order,
        "--partial": selection.partial,
    }
    given = [name for name, value in options.items() if value]
    if given and all(job.case.init != "pretrained" for job in named):
        raise UserError(
            f"{', '.join(given)}: how a file of weights is read, and none is; give --weights FILE"
        )


def _check_not_trained(selection: Selection) -> None:
    """Raise UserError for options about trainings where there is none."""
    options = {"--seeds": selection.seeds, "--budget": selection.budget != 1}
    if given := [name for name, value in options.items() if value]:
        raise UserError(
            f"{', '.join(given)}: for trainings to an accuracy, and nothing here is trained; add "
            "accuracy to --kinds"
        )


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
        return  # a recipe is named for a training
    # One worker takes them one after the other: they need the same network and no training.
    wanted = [row.name for row in KINDS.values() if row.timed and row.name in _kinds(selection)]
    if not wanted:
        return
    for case, file in _cases(selection, profile, names, TRAIN_THROUGHPUT, 0):
        tasks = [
            Task(_of_kind(case, name), name)
            for name in wanted
            if _selected(selection, profile, case, name) and _on_devices(case, name)
        ]
        if tasks:
            yield Job(case, tuple(tasks), file)


def _kinds(selection: Selection) -> Collection[str]:
    return selection.kinds or KINDS


def _of_kind(case: Case, name: str) -> Case:
    """Latency is that of a single image, and its record says so."""
    batch = kind(name).batch_size
    return case if batch is None else replace(case, batch_size=batch)


def _selected(selection: Selection, profile: Profile, case: Case, name: str) -> bool:
    tracks = selection.tracks or profile.tracks.get(name, ())
    named = selection.variants or case.init == "pretrained"
    own = profile.tracks_of.get(case.variant, tracks)
    if case.track not in own and not named:
        return False
    return case.track in tracks and bool(named or case.variant in profile.variants.get(name, ()))


def _on_devices(case: Case, name: str) -> bool:
    """Whether a kind is measured on so many devices: several of them only train."""
    return case.devices == 1 or kind(name).parallel


def _accuracy_jobs(selection: Selection, profile: Profile, names: tuple[str, ...]) -> Iterator[Job]:
    if ACCURACY not in _kinds(selection):
        return
    for seed in range(selection.seeds or profile.seeds):
        for case, file in _cases(selection, profile, names, ACCURACY, seed):
            yield Job(case, (Task(case, ACCURACY),), file)


def _pretraining_jobs(
    selection: Selection, profile: Profile, names: tuple[str, ...]
) -> Iterator[Job]:
    """The profile's pair of trainings, pretrained and from scratch, in one framework."""
    pair = profile.pretraining
    if pair is None or not wanted(selection, profile):
        return
    source = available(pair.sources)
    if source is None:
        return
    for name, weights in ((pair.recipe, source.name), (pair.scratch_recipe, None)):
        chosen = replace(
            selection,
            variants=(source.variant,),
            tracks=(pair.track,),
            recipes=(name,),
            weights=weights,
            key=None,
            channel_order=None,
            partial=False,
        )
        for seed in range(selection.seeds or profile.seeds):
            for case, file in _cases(chosen, profile, (one_of(names),), ACCURACY, seed):
                yield Job(case, (Task(case, ACCURACY),), file)


def one_of(names: Sequence[str]) -> str:
    """The framework of what is measured in one alone: the reference, or the first."""
    return frameworks.REFERENCE if frameworks.REFERENCE in names else names[0]


def _cases(
    selection: Selection, profile: Profile, names: tuple[str, ...], of_kind: str, seed: int
) -> Iterator[tuple[Case, Path | None]]:
    """Every case of a kind, with the file of the weights that it starts from."""
    tracks = _tracks(selection, profile, of_kind)
    if not tracks:  # nor any network that may be refused
        return
    # Frameworks turn fastest: those that are compared are measured close together in time.
    for network, on, name in product(_networks(selection, profile, of_kind), tracks, names):
        named = selection.variants or selection.weights
        alone = network.variant in profile.in_one_framework and not named
        if alone and name != one_of(names):
            continue
        case = Case(
            variant=network.variant,
            framework=name,
            track=on,
            device=selection.device,
            init=network.init,
            weights=network.weights,
            head=network.head,
            frozen=network.recipe.frozen,
            recipe=network.recipe.name,
            input_size=network.input_size,
            seed=seed,
        )
        choices = product(
            _precisions(selection, on, name),
            _batch_sizes(selection, profile, network),
            _stages(selection, case),
            selection.executions or (frameworks.execution_of(case),),
            selection.devices or (1,),
        )
        for precision, batch, stage, execution, devices in choices:
            settings = {"precision": precision, "batch_size": batch, "defaults": stage}
            made = replace(case, **settings, execution=execution, devices=devices)  # type: ignore[arg-type]
            yield made, network.file


def _networks(selection: Selection, profile: Profile, of_kind: str) -> list[Network]:
    rows = selection.variants or profile.variants.get(of_kind, ())
    if not kind(of_kind).trained:
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


def _tracks(selection: Selection, profile: Profile, of_kind: str) -> tuple[str, ...]:
    """The ablation has accuracy cases only: their images/s come with them."""
    tracks = selection.tracks or profile.tracks.get(of_kind, ())
    return tuple(name for name in tracks if kind(of_kind).trained or not track(name).stages)


def _stages(selection: Selection, case: Case) -> tuple[str, ...]:
    """What ``Case.defaults`` takes: the stages of the ablation; one empty one elsewhere."""
    if not track(case.track).stages:
        return ("",)
    if recipe(case.recipe).optimizer != "adam":
        raise UserError(
            f"recipe {case.recipe!r}: the {ABLATION} track switches Adam's defaults; "
            "take a recipe with Adam, as --recipes ablation"
        )
    eps = recipe(case.recipe).eps
    if eps != SHARED_EPS:
        raise UserError(
            f"recipe {case.recipe!r}: its eps is {eps:g} in every framework, and the {ABLATION} "
            f"track switches from each framework's own to {SHARED_EPS:g}"
        )
    architecture = variants.variant(case.variant).architecture()
    stages = chain(architecture, case.framework)
    if not recipe(case.recipe).weight_decay:
        stages = [stage for stage in stages if stage != WEIGHT_DECAY]  # it would switch nothing
    wanted = [stage for stage in stages if stage in (selection.stages or NAMES)]
    # Every other seed in the other direction: a machine that drifts favours no stage.
    return tuple(reversed(wanted) if case.seed % 2 else wanted)


def _batch_sizes(selection: Selection, profile: Profile, network: Network) -> tuple[int, ...]:
    asked, fixed, size = selection.batch_sizes, network.recipe.batch_size, network.input_size
    if fixed is not None:
        if asked not in ((), (AUTO_BATCH,)) and fixed not in asked:
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


def _precisions(selection: Selection, on: str, name: str) -> tuple[str, ...]:
    if track(on).shared_precision:
        return ("float32",)  # such tracks are defined in float32
    return selection.precisions or (selection.own_precision(name),)
