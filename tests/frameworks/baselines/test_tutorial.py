"""The commands in every framework against the torchvision tutorial's own code, on photographs.

With a .pth that torchvision's own network wrote: the same five classes and probabilities, and the
same 4096 features.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.frameworks.support.client import ask_reference, each_framework

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(module_folder: Path) -> Path:
    """Of prepared weights: reading the file takes a helper process, once."""
    return module_folder


def alexbench(monkeypatch: pytest.MonkeyPatch, cache: Path, framework: str, *arguments: str) -> str:
    """What the command prints for all photographs."""
    monkeypatch.setenv("ALEXBENCH_CACHE", str(cache))
    facts = ask_reference("tutorial").facts
    command = [sys.executable, "-m", "bench", *arguments, *facts["paths"]]
    command += ["--weights", facts["weights"], "--framework", framework, "--batch-size", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@each_framework
def test_predictions_are_the_tutorials(
    monkeypatch: pytest.MonkeyPatch, cache: Path, framework: str
) -> None:
    found = json.loads(alexbench(monkeypatch, cache, framework, "predict", "--json"))
    facts = ask_reference("tutorial").facts
    assert [row["image"] for row in found] == facts["paths"]
    for row, expected in zip(found, facts["predictions"], strict=True):
        shown = [(p["label"], p["class"], p["probability"]) for p in row["predictions"]]
        assert [entry[:2] for entry in shown] == [tuple(entry[:2]) for entry in expected]
        apart = np.subtract([p for *_, p in shown], [p for *_, p in expected])
        assert np.abs(apart).max() < 1e-5
        assert shown[0][2] > 2 * shown[4][2], "probabilities that distinguish classes"


@each_framework
def test_features_are_the_tutorials(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path, framework: str
) -> None:
    out = tmp_path / "features.npz"
    said = alexbench(monkeypatch, cache, framework, "embed", "-o", str(out))
    answer = ask_reference("tutorial")
    expected = answer.arrays["features"]
    assert said.startswith(f"{out}: {len(expected)} x 4096 after dense2_relu; ")
    with np.load(out) as arrays:
        found = arrays["embeddings"]
        assert arrays["images"].tolist() == answer.facts["paths"]
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (len(expected), 4096)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
