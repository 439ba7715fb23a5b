"""How a network is trained: optimiser, schedule, augmentation; a recipe is a row."""

from __future__ import annotations

from bench.core.errors import UserError, unknown
from bench.training.recipes import scratch, transfer, tutorials
from bench.training.recipes.base import Recipe

RECIPES: dict[str, Recipe] = {
    row.name: row for row in (*scratch.rows(), *transfer.rows(), *tutorials.rows())
}


def recipe(name: str) -> Recipe:
    """The row called ``name``, shortened when a ``@budget`` follows it."""
    base, _, budget = name.partition("@")
    if base not in RECIPES:
        raise unknown("recipe", base, RECIPES)
    try:
        return RECIPES[base].shortened(float(budget)) if budget else RECIPES[base]
    except ValueError as error:
        raise UserError(f"recipe {name!r}: {budget!r} is not a number") from error
