"""Which networks a selection means: variant, head, size, and the weights that each starts from.

A recipe may fix some of it; what it leaves open the user says, else the profile, else the weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.case import INITS, PRECISIONS, check_execution
from bench.core.errors import UserError, unknown
from bench.core.kinds import KINDS
from bench.networks import variants
from bench.networks.pretrained import Facts
from bench.networks.variants import HEADS
from bench.training import frameworks, recipes
from bench.training.defaults import NAMES
from bench.training.recipes.base import Recipe
from bench.training.tracks import TRACKS
from bench.weights.reading import Reading
from bench.weights.sources import open_weights

PUBLISHED = {"torchvision": "torchvision", "imagenet-lrn": "bvlc"}
"""Variants with the source of weights that is taken when none is named."""


EXECUTOR_NAMES = ("local", "ray", "slurm")
"""Rows of `bench.executors.registry`, whose import takes longer than that of these names."""
_MOST_SEEDS = 100_000
"""More are a slip: the matrix of so many cases takes minutes to make."""
_LARGEST_SIZE = 1_000_000
"""Of a batch or an input; no record can hold a number of more than 63 bits."""
AUTO_BATCH = 0
"""The batch size of ``--batch-sizes auto``, until one is found (`bench.harness.batch_sizes`)."""


@dataclass(frozen=True)
class Selection:
    """The part of the matrix that a user asks for; an empty tuple leaves it to the profile."""

    variants: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    weights: str | None = None
    """Weight source, a name or a file; naming one asks for pretrained networks."""
    key: str | None = None
    """See `bench.weights.reading.Reading`, as the next two."""
    channel_order: str | None = None
    partial: bool = False
    heads: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    executions: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    input_sizes: tuple[int, ...] = ()
    stages: tuple[str, ...] = ()
    """Of the ablation."""
    device: str = "cpu"
    """Canonical name (`bench.core.system.devices`)."""
    devices: tuple[int, ...] = ()
    """Numbers of devices that train together."""
    seeds: int | None = None
    budget: float = 1.0

    def check(self) -> None:
        """Raise UserError for the first name that does not exist or cannot run here."""
        for name in self.variants:
            variants.variant(name)
        for name in self.frameworks:
            self._check_framework(name)
        for name in self.recipes:
            recipes.recipe(name)
        _known("track", self.tracks, TRACKS)
        _known("stage", self.stages, NAMES)
        _known("kind", self.kinds, KINDS)
        _known("head", self.heads, HEADS)
        _known("precision", self.precisions, PRECISIONS)
        for name in self.executions:
            check_execution(name)
        _known("init", self.inits, INITS)
        if self.weights and self.inits and "pretrained" not in self.inits:
            raise UserError(
                f"--weights {self.weights}: --inits {','.join(self.inits)} starts from none; "
                "add pretrained"
            )
        if self.seeds is not None and not 1 <= self.seeds <= _MOST_SEEDS:
            raise UserError(
                f"--seeds {self.seeds}: must be at least 1 and at most {_MOST_SEEDS:,}; it is the "
                "number of seeds"
            )
        if not 0 < self.budget <= 1:
            raise UserError(f"--budget {self.budget:g}: must be above 0 and at most 1")
        if any(number < 1 for number in self.devices):
            raise UserError(f"--devices {_listed(self.devices)}: must all be at least 1")
        for option, sizes in (("batch", self.batch_sizes), ("input", self.input_sizes)):
            if option == "batch" and sizes == (AUTO_BATCH,):
                continue
            if not all(1 <= size <= _LARGEST_SIZE for size in sizes):
                raise UserError(
                    f"--{option}-sizes {_listed(sizes)}: must all be at least 1 and at most "
                    f"{_LARGEST_SIZE:,}"
                )

    def own_precision(self, name: str) -> str:
        """What a framework computes in, where it may choose and ``precisions`` is empty."""
        return frameworks.own_precision(name, self.device)

    def _check_framework(self, name: str) -> None:
        missing = frameworks.framework(name).missing()
        if missing:
            raise UserError(f"framework {name}: {missing}")


class SelectionElsewhere(Selection):
    """A selection that other machines measure: they are asked what they have installed."""

    def own_precision(self, name: str) -> str:
        """That of the framework's row, since the nodes' processors are not known here."""
        return frameworks.framework(name).precision_on(self.device)

    def _check_framework(self, name: str) -> None:
        frameworks.framework(name)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _known(what: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise unknown(what, name, known)


@dataclass(frozen=True)
class Network:
    """One network to be trained or timed, in any framework."""

    variant: str
    head: str
    input_size: int
    recipe: Recipe
    weights: str | None = None
    """Label of the pretrained weights; None starts from scratch."""
    file: Path | None = None
    """Where workers read them."""

    @property
    def init(self) -> str:
        """As a case calls it."""
        return "pretrained" if self.weights else "scratch"


def networks(selection: Selection, rows: Sequence[str], recipe: Recipe) -> Iterator[Network]:
    """Every network that is meant, trained by ``recipe``; ``rows`` are the profile's variants.

    Raises UserError where the selection contradicts the recipe or the weights.
    """
    for init in _inits(selection, recipe):
        if init == "scratch":
            yield from _scratch(selection, rows, recipe)
        else:
            yield from _pretrained(selection, rows, recipe)


def _inits(selection: Selection, recipe: Recipe) -> tuple[str, ...]:
    pretrained = selection.weights or recipe.starts_pretrained
    usual = ("pretrained",) if pretrained else ("scratch",)
    fixed = "pretrained" if recipe.frozen else recipe.init
    return _chosen(recipe, "init", selection.inits, fixed, usual)


def _chosen(
    recipe: Recipe, what: str, asked: tuple[str, ...], fixed: str | None, default: tuple[str, ...]
) -> tuple[str, ...]:
    if fixed is None:
        return asked or default
    if asked and fixed not in asked:
        raise UserError(f"recipe {recipe.name}: its {what} is {fixed}, not {', '.join(asked)}")
    return (fixed,)


def _scratch(selection: Selection, rows: Sequence[str], recipe: Recipe) -> Iterator[Network]:
    names = _chosen(recipe, "variant", selection.variants, recipe.variant, tuple(rows))
    heads = _chosen(recipe, "head", selection.heads, recipe.head, ("source",))
    for name in names:
        for head in heads:
            for size in _sizes(selection, recipe, variants.variant(name).input_size):
                yield Network(name, head, size, recipe)


def _pretrained(selection: Selection, rows: Sequence[str], recipe: Recipe) -> Iterator[Network]:
    _chosen(
        recipe, "variant", selection.variants, recipe.variant, ()
    )  # before weights are looked for
    named = selection.weights or recipe.weights
    for spec in [named] if named else _published(selection, rows, recipe):
        opened, file = open_weights(spec, reading=_reading(selection))
        facts = opened.facts
        _chosen(recipe, "variant", (facts.variant,), recipe.variant, ())
        if selection.variants and facts.variant not in selection.variants:
            raise UserError(
                f"weights {spec}: of {facts.variant}, which is not among --variants "
                f"{','.join(selection.variants)}"
            )
        # With a last layer of its own classes there, a new one takes its place.
        own = "source" if facts.classes is None else "replace-last"
        for head in _chosen(recipe, "head", selection.heads, recipe.head, (own,)):
            usual = facts.input_size or variants.variant(facts.variant).input_size
            for size in _sizes(selection, recipe, usual):
                _check_size(facts, head, size)
                yield Network(facts.variant, head, size, recipe, facts.label, file)


def _reading(selection: Selection) -> Reading:
    """What the options say about a file; the only network that is asked for decides what of a file
    is taken in part."""
    only = selection.variants[0] if selection.partial and len(selection.variants) == 1 else None
    return Reading(only, selection.key, selection.channel_order, selection.partial)


def _published(selection: Selection, rows: Sequence[str], recipe: Recipe) -> list[str]:
    names = _chosen(recipe, "variant", selection.variants, recipe.variant, tuple(rows))
    found = [PUBLISHED[name] for name in names if name in PUBLISHED]
    missing = [name for name in names if name not in PUBLISHED]
    if missing and (selection.variants or not found):
        raise UserError(
            f"init pretrained: no weights are published for {', '.join(missing)}; "
            f"name a file with --weights, or take {' or '.join(PUBLISHED)}"
        )
    return found


def _sizes(selection: Selection, recipe: Recipe, own: int) -> tuple[int, ...]:
    if recipe.input_size is None:
        return selection.input_sizes or (own,)
    if selection.input_sizes and recipe.input_size not in selection.input_sizes:
        asked = ", ".join(str(size) for size in selection.input_sizes)
        raise UserError(f"recipe {recipe.name}: its input size is {recipe.input_size}, not {asked}")
    return (recipe.input_size,)


def _check_size(facts: Facts, head: str, size: int) -> None:
    if head.startswith("pool-") or facts.input_size in (None, size):
        return
    raise UserError(
        f"weights {facts.name}: their dense layers fit images of {facts.input_size} pixels, "
        f"not {size}; heads pool-linear and pool-narrow stand on the last pool and take any size"
    )
