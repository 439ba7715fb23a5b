"""Fixtures of the tests that start frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.worker.client import shared_workers
from tests.support import weight_examples as examples
from tests.weights.conftest import mixed, unproven

__all__ = ["mixed", "shared_frameworks", "unproven", "weight_examples"]


@pytest.fixture
def weight_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The small network of the examples, a cache and a working folder of the test's own."""
    examples.install(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def shared_frameworks(module_folder: Path) -> Iterator[None]:
    """One worker per framework for the whole module: each takes seconds to start."""
    with pytest.MonkeyPatch.context() as monkeypatch, shared_workers():
        examples.install(monkeypatch, module_folder / "cache")
        yield
