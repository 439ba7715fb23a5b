"""Frameworks that must not be in a process: to it they are as if they were not installed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Without:
    """A finder of `sys.meta_path` that does not find some packages."""

    def __init__(self, finder: Any, packages: frozenset[str]) -> None:
        self._finder, self._packages = finder, packages

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self._packages:
            return None
        spec: ModuleSpec | None = self._finder.find_spec(name, path, target)
        return spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def block(packages: Collection[str]) -> None:
    """Make every later import of these packages fail with ModuleNotFoundError.

    ``sys.modules["torch"] = None`` would do that too, but libraries ask whether ``"torch"`` is in
    `sys.modules` and then use what stands there: SciPy 1.18 fails at its import.
    """
    if packages:
        sys.meta_path[:] = [_Without(finder, frozenset(packages)) for finder in sys.meta_path]
