"""The optimizer of a recipe in words, and the settings that it does not use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.training.recipes.base import Recipe

_NAMES = {"sgd": "SGD", "adam": "Adam"}
_NOT_USED = {"sgd": ("eps",), "adam": ("momentum", "nesterov")}
"""Settings of a recipe that only other optimizers have."""


def optimizer_of(recipe: Recipe) -> str:
    """``SGD with Nesterov momentum 0.9``, ``SGD`` or ``Adam``."""
    name = _NAMES.get(recipe.optimizer, recipe.optimizer)
    if "momentum" in _NOT_USED.get(recipe.optimizer, ()) or not recipe.momentum:
        return name
    return f"{name} with {'Nesterov ' * recipe.nesterov}momentum {recipe.momentum:g}"


def used_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings in force without those that the optimizer of their recipe does not use."""
    recipe = settings.get("recipe")
    if not isinstance(recipe, Mapping):
        return settings
    unused = _NOT_USED.get(str(recipe.get("optimizer")), ())
    if not unused:
        return settings
    return {**settings, "recipe": {k: v for k, v in recipe.items() if k not in unused}}
