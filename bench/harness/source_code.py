"""Digests of source code: runs, checkpoints and certificates of other code are not reused."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_BENCH = Path(__file__).resolve().parents[1]


@cache
def digest_of(packages: tuple[str, ...], modules: tuple[str, ...]) -> str:
    """sha256 (hex) over the source files of packages of ``bench`` and of further modules."""
    digest = hashlib.sha256()
    for path in files_of(packages, modules):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def code_digest(trainer: str, packages: tuple[str, ...]) -> str:
    """sha256 (hex) over packages of ``bench`` and a trainer's package (``module:function``)."""
    return digest_of(packages, modules_of(trainer))


def modules_of(trainer: str) -> tuple[str, ...]:
    """What a trainer's code is in: its package, or its module where that is in none."""
    module = trainer.partition(":")[0]
    # Keras's torch backend trains with the optimiser of models_torch.
    return tuple(dict.fromkeys(["models_torch", module.rpartition(".")[0] or module]))


def files_of(packages: Iterable[str], modules: Iterable[str]) -> Iterator[Path]:
    """Source files of packages of ``bench`` and of further modules, in the order of their names."""
    for package in packages:
        yield from sorted((_BENCH / package).rglob("*.py"))
    for name in modules:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue
        origin = Path(found.origin)
        yield from (
            sorted(origin.parent.rglob("*.py")) if found.submodule_search_locations else [origin]
        )
