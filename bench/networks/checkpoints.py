"""The sets of weights within a checkpoint: mappings of names to tensors under any key.

Framework-free: the caller decides what counts as a tensor. Nothing of a checkpoint is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.errors import UserError
from bench.core.text import with_article

_DEEPEST = 4
"""Of mappings within mappings; Lightning's checkpoints have two levels."""
_OF_TRAINING = ("optim", "scheduler", "lr_sched", "scaler", "callbacks", "loops", "amp")
"""Beginnings of keys under which trainers keep tensors that are no weights: moments, say."""


@dataclass(frozen=True)
class Chosen:
    """The set of weights that was taken from a checkpoint.

    Attributes:
        tensors: By the names in the file.
        key: Where it was, such as ``state_dict`` or ``model.ema``; empty at the top.
        passed_over: Entries next to the tensors that were not read, as ``epoch (int)``.
    """

    tensors: dict[str, Any]
    key: str
    passed_over: tuple[str, ...]


def chosen_set(
    found: object, axes_of: Callable[[object], int | None], where: str, key: str | None = None
) -> Chosen:
    """The one mapping of names to tensors in a checkpoint.

    Args:
        found: What the file holds.
        axes_of: Number of axes of a tensor; None for anything else.
        where: The file, for errors.
        key: The mapping that is meant, where the file has several.

    Raises:
        UserError: There is none, or several and no ``key``; the message names them.
    """
    sets = {".".join(path): own for path, own in _sets(found, axes_of, ())}
    if not sets:
        raise UserError(
            f"{where}: no tensors by name in it ({_contents(found)}); save model.state_dict() and "
            "give that file"
        )
    if key and (below := _below(sets, key)):
        return below
    name = _wanted(sets, where, key) if key else _only(sets, axes_of, where)
    passed = tuple(_passed_over(found, axes_of, name))
    return Chosen(sets[name], name, passed)


def _below(sets: Mapping[str, Mapping[str, Any]], key: str) -> Chosen | None:
    """The tensors whose names begin with ``key``, of a set that holds several networks."""
    if any(key in (name, name.rpartition(".")[2]) for name in sets):
        return None
    for own in sets.values():
        if tensors := {name: v for name, v in own.items() if name.startswith(f"{key}.")}:
            return Chosen(tensors, key, ())
    return None


def _sets(
    found: object, axes_of: Callable[[object], int | None], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every mapping with a matrix or a kernel among its values: its path and its tensors."""
    if not isinstance(found, Mapping) or len(path) > _DEEPEST:
        return
    own = {
        str(name): value
        for name, value in found.items()
        if isinstance(name, str) and axes_of(value) is not None
    }
    if any((axes_of(value) or 0) >= 2 for value in own.values()):
        yield path, own
    for name, value in found.items():
        if isinstance(name, str) and not name.lower().startswith(_OF_TRAINING):
            yield from _sets(value, axes_of, (*path, name))


def _wanted(sets: Mapping[str, Any], where: str, key: str) -> str:
    matching = [name for name in sets if key in (name, name.rpartition(".")[2])]
    if len(matching) != 1:
        known = ", ".join(name or "(top)" for name in sets)
        raise UserError(f"{where}: --key {key}: no set of weights of that name; known: {known}")
    return matching[0]


def _only(
    sets: Mapping[str, Mapping[str, Any]], axes_of: Callable[[object], int | None], where: str
) -> str:
    """The name of the only set; of several, the only one with a convolution."""
    conv = [name for name, own in sets.items() if any(axes_of(v) == 4 for v in own.values())]
    names = conv or list(sets)
    if len(names) > 1:
        each = ", ".join(f"{name or '(top)'} ({len(sets[name])} tensors)" for name in names)
        raise UserError(
            f"{where}: holds several sets of weights: {each}; choose one with --key "
            f"{next(name for name in names if name)}"
        )
    return names[0]


def _passed_over(
    found: object, axes_of: Callable[[object], int | None], name: str
) -> Iterator[str]:
    if not isinstance(found, Mapping):
        return
    for key, value in found.items():
        if axes_of(value) is None and str(key) != name.partition(".")[0]:
            yield f"{str(key)[:40]} ({type(value).__name__})"


def _contents(found: object) -> str:
    """What a file holds instead, in a few words."""
    if not isinstance(found, Mapping):
        return f"it holds {with_article(type(found).__name__)}"
    entries = [
        f"{str(key)[:40]!r} is {with_article(type(value).__name__)}" for key, value in found.items()
    ]
    return ", ".join(entries[:4]) + (", …" if len(entries) > 4 else "") or "it is empty"
