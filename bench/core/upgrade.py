"""The upgrade of records in older versions of the format.

Version 2 (November 2026) changed words, not figures: the track ``idiomatic`` of version 1, which
ran our own kernels, is ``tuned``; ``waterfall`` is ``ablation``; a case says its ``execution``; a
record may have ``caveats``; and some keys of ``metrics`` have other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.core.case import Case

SCHEMA_VERSION = 2
"""Raised with every change of what a field means or of how a result is obtained."""

_TRACKS = {"idiomatic": "tuned", "waterfall": "ablation"}
_RECIPES = {"waterfall": "ablation"}
_EXECUTIONS = {"eager": "eager", "tf.function": "compiled", "jax.jit": "compiled"}
"""By what settings said in version 1; of ``fit`` it is the framework's default."""
_INTERLEAVING = {"match": "group", "match_seconds": "group_seconds"}
_FEATURES = {"kept": "cached", "anew": "recomputed"}


def upgraded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record's JSON object in the present version; as it is where its version is unknown.

    Raises:
        UserError: The case of an older record is none.
    """
    version = value.get("schema_version")
    while type(version) is int and version in _STEPS:
        value = _STEPS[version](value)
        version = value["schema_version"]
    return value


def _from_1(value: Mapping[str, Any]) -> dict[str, Any]:
    found = {**value, "schema_version": 2, "caveats": []}
    if "case" in value:
        found["case"] = _case_from_1(value["case"], _objects(value).get("settings", {}))
    for name, part in _objects(value).items():
        if name == "metrics":
            found["metrics"] = _metrics_from_1(part)
        elif name == "settings":
            found["settings"] = _settings_from_1(part)
    return found


def _objects(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those parts that are objects; what is not is refused when the record is read."""
    return {name: part for name, part in value.items() if isinstance(part, dict)}


def _case_from_1(value: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    case = Case.from_json(value)  # also checks the id of before
    found = case.to_json()
    del found["id"]
    recipe, at, budget = case.recipe.partition("@")
    found["track"] = _TRACKS.get(case.track, case.track)
    found["recipe"] = _RECIPES.get(recipe, recipe) + at + budget
    recorded = settings.get("execution")
    found["execution"] = _EXECUTIONS.get(str(recorded), case.execution)
    return Case.from_json(found).to_json()


def _metrics_from_1(metrics: Mapping[str, Any]) -> dict[str, Any]:
    found = {("interleaving" if name == "turns" else name): of for name, of in metrics.items()}
    for name, words in (("interleaving", _INTERLEAVING), ("features", _FEATURES)):
        if isinstance(found.get(name), dict):
            found[name] = {words.get(key, key): of for key, of in found[name].items()}
    return found


def _settings_from_1(settings: Mapping[str, Any]) -> dict[str, Any]:
    recipe = settings.get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("name"), str):
        return dict(settings)
    name, at, budget = recipe["name"].partition("@")
    return {**settings, "recipe": {**recipe, "name": _RECIPES.get(name, name) + at + budget}}


_STEPS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}
"""By the version that each of them reads."""
