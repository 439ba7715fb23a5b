"""The examples of docs/library.md run as they stand there."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.training.frameworks import FRAMEWORKS, REFERENCE
from tests.frameworks.support import photos
from tests.frameworks.support.client import ROOT, environment
from tests.support import weight_examples

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "library.md").read_text("utf-8")
PYTORCH, KERAS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(SCRIPT,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)

_IMAGENET = """
# Freshly drawn weights in the place of torchvision's, which are 244 MB on the network.
import dataclasses
from bench.core.download import file_checksum
from bench.weights import sources
row = sources.SOURCES["torchvision"]
checksum = file_checksum(row.path(), "sha256:")
sources.SOURCES["torchvision"] = dataclasses.replace(row, checksum=checksum)
"""


@pytest.fixture(scope="module")
def cache(module_folder: Path) -> Path:
    """A cache with a file of torchvision's network where its own would be."""
    if why := FRAMEWORKS[REFERENCE].missing():
        pytest.skip(why)
    downloads = module_folder / "downloads"
    downloads.mkdir()
    (downloads / "alexnet-owt-7be5be79.pth").symlink_to(weight_examples.torchvision_state())
    return module_folder


def run(
    command: list[str], folder: Path, cache: Path, framework: str, path: str = ""
) -> subprocess.CompletedProcess[str]:
    photos.photograph().save(folder / "cat.jpg")
    given = environment(FRAMEWORKS[framework]) | {"ALEXBENCH_CACHE": str(cache)}
    given["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}" if path else os.environ["PATH"]
    return subprocess.run(
        command, cwd=folder, env=given, capture_output=True, text=True, check=False
    )


def test_the_example_in_pytorch(tmp_path: Path, cache: Path) -> None:
    done = run([sys.executable, "-c", _IMAGENET + PYTORCH], tmp_path, cache, REFERENCE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r".+: 0\.\d{4}", line) for line in lines)


@pytest.mark.parametrize("framework", ["keras-tensorflow", "keras-jax", "keras-torch"])
def test_the_example_in_keras(framework: str, tmp_path: Path, cache: Path) -> None:
    if why := FRAMEWORKS[framework].missing():
        pytest.skip(why)
    done = run([sys.executable, "-c", _IMAGENET + KERAS], tmp_path, cache, framework)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if re.fullmatch(r".+: 0\.\d{4}", line)]
    assert len(lines) == 5


_ALONE = """
import keras, numpy as np
keras.config.set_image_data_format("channels_first")  # as a keras.json of the user's may say
from bench import UserError
from models_keras import AlexNet, decode_predictions, preprocess_input
model = AlexNet("cifar-lrn", classes=3)
images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
logits = model.predict(images, verbose=0)
model.save("lrn.keras")
again = keras.models.load_model("lrn.keras").predict(images, verbose=0)
assert logits.shape == (2, 3) and np.abs(again - logits).max() < 1e-6
for call in (
    lambda: decode_predictions(logits, top=0, categories="abc"),
    lambda: preprocess_input(images, model=keras.Sequential([keras.layers.Flatten()])),
):
    try:
        call()
    except UserError as error:
        print(error)
"""


@pytest.mark.parametrize("framework", ["keras-tensorflow", "keras-jax", "keras-torch"])
def test_a_script_that_imports_nothing_else(framework: str, tmp_path: Path, cache: Path) -> None:
    if why := FRAMEWORKS[framework].missing():
        pytest.skip(why)
    done = run([sys.executable, "-c", _ALONE], tmp_path, cache, framework)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "top must be a whole number, 1 or more. Received: 0",
        "model must be what AlexNet returned, whose preprocessing is known",
    ]


@pytest.mark.long  # 100 s; make check tests each step by itself
def test_from_training_to_keras_alone(tmp_path: Path, cache: Path) -> None:
    weight_examples.needs_modules("onnx", "onnxscript", "onnxruntime", "pytorch_grad_cam")
    if why := FRAMEWORKS["keras-tensorflow"].missing():
        pytest.skip(why)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in (("alexbench", "-m bench "), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n', "utf-8")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
    done = run(["sh", "-e", "-c", SCRIPT], tmp_path, cache, "keras-tensorflow", str(programs))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "equal in Keras and onnxruntime"
    (weights,) = (tmp_path / "results" / "mine" / "weights").glob("*.safetensors")
    assert str(weights.relative_to(tmp_path)) in done.stdout
    page = weights.with_suffix(".md").read_text("utf-8")
    assert "## Certificate" in page
    assert "generated" in page
    assert "airplane" not in done.stdout  # the names are those of the synthetic shapes
    assert "onnxruntime" in done.stdout
    assert {path.name for path in (tmp_path / "explained").iterdir()} == {
        "filters.png",
        "cat-gradcam.png",
    }
