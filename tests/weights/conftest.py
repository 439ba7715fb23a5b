"""What tests of weight files share, here and in `tests.frameworks`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.weights import convert
from tests.support import weight_examples as examples


@pytest.fixture(autouse=True)
def weight_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The small network of the examples, a cache and a working folder of the test's own."""
    examples.install(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """No outputs are computed: for what does not concern them, since frameworks start slowly."""
    monkeypatch.setattr(convert, "check_outputs", lambda *_: [])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A file of the small network."""
    return examples.write_mixed(tmp_path)
