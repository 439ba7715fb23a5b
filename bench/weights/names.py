"""Names of tensors in files of the world, brought to ``layer.part``; what was dropped is said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bench.networks.weight_names import TORCHVISION_NAMES

Tensors = Mapping[str, NDArray[Any]]

_WRAPPERS = ("module", "_orig_mod")
"""Parts of names that PyTorch's DataParallel and compiler put anywhere."""
COUNTER = ".num_batches_tracked"
"""PyTorch's BatchNorm counts its batches; nothing that is computed here depends on it."""
_PARTS = {
    "w": "weight", "weights": "weight", "kernel": "weight", "filters": "weight", "gamma": "weight",
    "b": "bias", "biases": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var", "moving_var": "running_var",
}  # fmt: skip
_CORE = ("weight", "bias", "running_mean", "running_var")
_KNOWN = {name.partition(".")[0] for name in TORCHVISION_NAMES}
"""First parts of torchvision's names, which are no prefixes."""


@dataclass(frozen=True)
class Named:
    """Tensors as ``layer.part``.

    Attributes:
        theirs: Name in the file by the new name, in the file's order.
        sentences: What was dropped or reshaped, for a reader.
    """

    theirs: dict[str, str]
    sentences: tuple[str, ...] = ()


def plain_names(names: list[str]) -> Named:
    """The names without wrappers, without a prefix that all share, and with the core's parts."""
    said: list[str] = []
    found = {name: name for name in names if not name.endswith(COUNTER)}
    found = {old: _with_core_part(new) for old, new in found.items()}
    unwrapped = {old: without_wrappers(new) for old, new in found.items()}
    if unwrapped != found:
        said.append(f"{_dropped(found, unwrapped)} dropped from names")
    found = unwrapped
    while prefix := _common_prefix(list(found.values())):
        said.append(f"{prefix}. dropped from every name")
        found = {old: new.removeprefix(f"{prefix}.") for old, new in found.items()}
    if len(set(found.values())) < len(found):  # two names became one: leave all as they are
        return Named({name: name for name in names if not name.endswith(COUNTER)})
    return Named({new: old for old, new in found.items()}, tuple(said))


def first_part(name: str, *, numbered: bool = False) -> str:
    """The part of a name that may be a prefix: none of torchvision's parts, and a number only with
    ``numbered``."""
    first, dot, _ = without_wrappers(name).partition(".")
    if first.isdecimal() and not numbered:
        return ""
    return "" if not dot or first in _KNOWN else first


def _with_core_part(name: str) -> str:
    """``conv1/kernel:0``, ``conv1_W`` and ``conv1.weights`` as ``conv1.weight``."""
    clean = re.sub(r":\d+$", "", name).replace("/", ".")
    layer, dot, part = clean.rpartition(".")
    if dot and part.lower() in _PARTS:
        return f"{layer}.{_PARTS[part.lower()]}"
    if not dot or part not in _CORE:
        layer, dash, part = clean.rpartition("_")
        if dash and layer and part.lower() in (*_PARTS, *_CORE):
            return f"{layer}.{_PARTS.get(part.lower(), part.lower())}"
    return clean


def without_wrappers(name: str) -> str:
    """The name without the parts that PyTorch's DataParallel and compiler put anywhere."""
    *parts, last = name.split(".")
    return ".".join([part for part in parts if part not in _WRAPPERS] + [last])


def _dropped(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    changed = [old for key, old in before.items() if after[key] != old]
    found = [each for each in _WRAPPERS if any(each in name.split(".") for name in changed)]
    return " and ".join(f"{each}." for each in found)


def _common_prefix(names: list[str]) -> str:
    """The first part of all names, where each has a layer and a part after it."""
    first = names[0].partition(".")[0] if names else ""
    if not first or first in _KNOWN or len(names) < 2:
        return ""
    shared = all(name.startswith(f"{first}.") and name.count(".") >= 2 for name in names)
    layers = {name.rpartition(".")[0] for name in names}
    return first if shared and len(layers) > 1 else ""
