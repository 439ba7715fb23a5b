"""Which networks a selection means: variant, head, size, and the weights that each starts from.

A recipe may fix some of it; what it leaves open the user says, else the profile, else the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.core.errors import UserError
from bench.networks import variants
from bench.networks.pretrained import Facts
from bench.training.recipes.base import Recipe
from bench.weights.sources import open_weights

PUBLISHED = {"torchvision": "torchvision", "imagenet-lrn": "bvlc"}
"""Variants with the source of weights that is taken when none is named."""


class Wanted(Protocol):
    """The part of a selection that is decided here; empty means not said."""

    @property
    def variants(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def inits(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def weights(self) -> str | None: ...  # noqa: D102
    @property
    def heads(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def input_sizes(self) -> tuple[int, ...]: ...  # noqa: D102


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


def networks(wanted: Wanted, rows: Sequence[str], recipe: Recipe) -> Iterator[Network]:
    """Every network that is meant, trained by ``recipe``; ``rows`` are the profile's variants.

    Raises UserError where the selection contradicts the recipe or the weights.
    """
    for init in _inits(wanted, recipe):
        if init == "scratch":
            yield from _scratch(wanted, rows, recipe)
        else:
            yield from _pretrained(wanted, rows, recipe)


def _inits(wanted: Wanted, recipe: Recipe) -> tuple[str, ...]:
    pretrained = wanted.weights or recipe.starts_pretrained
    usual = ("pretrained",) if pretrained else ("scratch",)
    fixed = "pretrained" if recipe.frozen else recipe.init
    return _chosen(recipe, "init", wanted.inits, fixed, usual)


def _chosen(
    recipe: Recipe, what: str, asked: tuple[str, ...], fixed: str | None, default: tuple[str, ...]
) -> tuple[str, ...]:
    if fixed is None:
        return asked or default
    if asked and fixed not in asked:
        raise UserError(f"recipe {recipe.name}: its {what} is {fixed}, not {', '.join(asked)}")
    return (fixed,)


def _scratch(wanted: Wanted, rows: Sequence[str], recipe: Recipe) -> Iterator[Network]:
    names = _chosen(recipe, "variant", wanted.variants, recipe.variant, tuple(rows))
    heads = _chosen(recipe, "head", wanted.heads, recipe.head, ("source",))
    for name in names:
        for head in heads:
            for size in _sizes(wanted, recipe, variants.variant(name).input_size):
                yield Network(name, head, size, recipe)


def _pretrained(wanted: Wanted, rows: Sequence[str], recipe: Recipe) -> Iterator[Network]:
    _chosen(recipe, "variant", wanted.variants, recipe.variant, ())  # before weights are looked for
    named = wanted.weights or recipe.weights
    for spec in [named] if named else _published(wanted, rows, recipe):
        opened, file = open_weights(spec)
        facts = opened.facts
        _chosen(recipe, "variant", (facts.variant,), recipe.variant, ())
        if wanted.variants and facts.variant not in wanted.variants:
            raise UserError(
                f"weights {spec}: of {facts.variant}, which is not among --variants "
                f"{','.join(wanted.variants)}"
            )
        # With a last layer of its own classes there, a new one takes its place.
        own = "source" if facts.classes is None else "replace-last"
        for head in _chosen(recipe, "head", wanted.heads, recipe.head, (own,)):
            for size in _sizes(wanted, recipe, variants.variant(facts.variant).input_size):
                _check_size(facts, head, size)
                yield Network(facts.variant, head, size, recipe, facts.label, file)


def _published(wanted: Wanted, rows: Sequence[str], recipe: Recipe) -> list[str]:
    names = _chosen(recipe, "variant", wanted.variants, recipe.variant, tuple(rows))
    found = [PUBLISHED[name] for name in names if name in PUBLISHED]
    if not found:
        raise UserError(
            f"init pretrained: no weights are published for {', '.join(names)}; "
            f"name a file with --weights, or take {' or '.join(PUBLISHED)}"
        )
    return found


def _sizes(wanted: Wanted, recipe: Recipe, own: int) -> tuple[int, ...]:
    if recipe.input_size is None:
        return wanted.input_sizes or (own,)
    if wanted.input_sizes and recipe.input_size not in wanted.input_sizes:
        asked = ", ".join(str(size) for size in wanted.input_sizes)
        raise UserError(f"recipe {recipe.name}: its input size is {recipe.input_size}, not {asked}")
    return (recipe.input_size,)


def _check_size(facts: Facts, head: str, size: int) -> None:
    if head.startswith("pool-") or facts.input_size in (None, size):
        return
    raise UserError(
        f"weights {facts.name}: their dense layers fit images of {facts.input_size} pixels, "
        f"not {size}; heads pool-linear and pool-narrow stand on the last pool and take any size"
    )
