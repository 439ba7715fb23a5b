"""Names of weights: those of published files to the core's, and back. Strings only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Tensor = TypeVar("Tensor")

TORCHVISION_NAMES = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "dense1",
    "classifier.4": "dense2",
    "classifier.6": "dense3",
}
"""torchvision/models/alexnet.py: module path -> row of the ``torchvision`` variant."""

# Prefixes of every name: of a model within DataParallel, and of a compiled one.
_WRAPPERS = ("module.", "_orig_mod.")
_COUNTER = ".num_batches_tracked"
"""PyTorch's BatchNorm counts its batches; nothing that is computed here depends on it."""


def core_names(theirs: Iterable[str], head: str = "source") -> dict[str, str]:
    """Name in a file -> name in the core, for all that is a weight or a statistic.

    Takes torchvision's names and the core's own, and either within a wrapper of PyTorch's. Unknown
    names stay as they are. ``head``: of the network, where the file states it; ``replace-last`` has
    its last layer under torchvision's name for it.
    """
    found = {name: name for name in theirs if not name.endswith(_COUNTER)}
    for wrapper in _WRAPPERS * 2:
        if found and all(ours.startswith(wrapper) for ours in found.values()):
            found = {name: ours.removeprefix(wrapper) for name, ours in found.items()}
    return {name: _renamed(ours, _table(head)) for name, ours in found.items()}


def published_names(ours: Iterable[str], variant: str, head: str) -> dict[str, str]:
    """Name in the core -> name under which the network's publisher has it; the same where it has
    none of its own."""
    own = {name: name for name in ours}
    if variant != "torchvision":
        return own
    table = {ours: theirs for theirs, ours in _table(head).items()}
    known = {name: _renamed(name, table) for name in own}
    return own if any(known[name] == name for name in known) else known


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors that ``names`` has, under their new names."""
    return {new: tensors[old] for old, new in names.items()}


def _table(head: str) -> dict[str, str]:
    last = {"classifier.6": "head"} if head == "replace-last" else {}
    return TORCHVISION_NAMES | last


def _renamed(name: str, table: Mapping[str, str]) -> str:
    layer, dot, part = name.rpartition(".")
    return f"{table.get(layer, layer)}{dot}{part}"
