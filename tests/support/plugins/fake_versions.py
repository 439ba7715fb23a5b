"""The fakes, and one whose package a node has in the version that its PYTHONPATH says."""

from __future__ import annotations

from pathlib import Path

from bench.training import frameworks
from tests.support import fakes
from tests.support.fakes import FakeTrainer


def register() -> None:
    """The rows, in this process."""
    fakes.register()
    frameworks.register(fakes._row("fake-versioned", FakeTrainer, modules=("fake_package",)))


def install(folder: Path, version: str) -> Path:
    """A folder for PYTHONPATH that has the package in a version."""
    package, facts = folder / "fake_package", folder / f"fake_package-{version}.dist-info"
    for part in (package, facts):
        part.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: fake_package\nVersion: {version}\n"
    )
    return folder
