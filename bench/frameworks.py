"""The frameworks, a row each. Strings only: nothing is imported before a worker needs it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from bench.errors import UserError
from bench.own_defaults import KERAS, TORCH, Own


@dataclass(frozen=True)
class Framework:
    """How to reach one implementation in a fresh process."""

    name: str
    trainer: str
    """``module:function`` that takes a :class:`bench.trainer.Setup` and gives a Trainer."""
    extra: str
    """``pip install 'alexbench[extra]'`` brings what it needs."""
    modules: tuple[str, ...]
    """Top-level modules that must be there."""
    blocked: tuple[str, ...] = ()
    """Modules the worker must not import: Keras takes in whatever backend it finds, and two
    frameworks in one process fight over threads or abort."""
    environment: dict[str, str] = field(default_factory=dict)
    idiomatic_precision: str = "float32"
    """What its users would choose on this kind of device because it is faster there."""
    own: Own | None = None
    """What it does when its user sets nothing: where the waterfall starts."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose versions belong in a record."""
        return self.modules

    def missing(self) -> str | None:
        """Why it cannot run here, or None when it can."""
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if not absent:
            return None
        return f"{', '.join(absent)} not installed; pip install 'alexbench[{self.extra}]'"

    def versions(self) -> dict[str, str]:
        """Installed versions of its packages, read from their metadata."""
        found = {}
        for package in self.packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found


def _keras(backend: str, extra: str, **changes: object) -> Framework:
    others = tuple(name for name in ("tensorflow", "jax", "torch") if name != backend)
    return Framework(
        name=f"keras-{backend}",
        trainer="models_keras.trainer:create",
        extra=extra,
        modules=("keras", backend),
        blocked=others,
        environment={"KERAS_BACKEND": backend},
        own=KERAS,
        **changes,  # type: ignore[arg-type]
    )


FRAMEWORKS: dict[str, Framework] = {
    row.name: row
    for row in (
        Framework(
            "pytorch",
            trainer="models_torch.trainer:create",
            extra="torch",
            modules=("torch", "torchvision"),
            blocked=("tensorflow", "jax", "keras"),
            idiomatic_precision="bfloat16",
            own=TORCH,
        ),
        _keras("tensorflow", "tensorflow"),
        _keras("jax", "jax"),
        _keras("torch", "keras-torch", idiomatic_precision="bfloat16"),
    )
}

REFERENCE = "pytorch"
"""Ratios are taken to this one."""


def framework(name: str) -> Framework:
    """The row called ``name``; UserError with the known names when there is none."""
    if name not in FRAMEWORKS:
        raise UserError(f"unknown framework {name!r}; known: {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name]


def installed(names: tuple[str, ...]) -> list[str]:
    """Those of ``names`` that can run here, in their order."""
    return [name for name in names if framework(name).missing() is None]


def register(row: Framework) -> Framework:
    """Add a row at run time (for extensions and tests); its name must be new."""
    if row.name in FRAMEWORKS:
        raise UserError(f"framework {row.name!r} exists already; give the new one another name")
    FRAMEWORKS[row.name] = row
    return row
