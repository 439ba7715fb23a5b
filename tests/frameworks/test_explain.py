"""Grad-CAM of real frameworks: one map, the place that decides, and the command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from bench.cli.main import cli
from bench.core.errors import UserError
from bench.inference.explanation import (
    Explainer,
    class_called,
    explainable_layer,
    filters,
    overlay,
    shown,
)
from bench.networks.inference import InferenceNetwork, prediction_network
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import variant
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.training.interfaces import Explanation
from tests.frameworks.support.client import ROOT, each_framework
from tests.frameworks.support.networks import seeded_weights
from tests.support.weight_examples import needs_modules

PLAIN = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), size=96, resize=96)
HEAD = "pool-narrow"
"""A hidden layer and a dropout after the last pool, in place of three dense layers of 30 million
weights."""


@pytest.fixture(scope="module")
def network(module_folder: Path) -> InferenceNetwork:
    """`cifar-lrn` for images of 96 pixels, whose last maps have 6 × 6 places."""
    rows = variant("cifar-lrn").architecture(5, head=HEAD, input_size=96)
    facts = Facts(
        "seeded",
        "0" * 64,
        "cifar-lrn",
        tuple(s.layer.name for s in rows.steps() if s.layer.weights(s.before)),
        PLAIN,
        head=HEAD,
        classes=5,
        input_size=96,
        categories=("a", "b", "c", "d", "e"),
    )
    source = Pretrained(facts, seeded_weights(rows))
    path = module_folder / "seeded.safetensors"
    source.save(path)
    return prediction_network(source, path)


def images() -> NDArray[np.float32]:
    return np.random.default_rng(8).normal(size=(2, 3, 96, 96)).astype(np.float32)


def explained(framework: str, network: InferenceNetwork) -> dict[int | None, Explanation]:
    """For the most probable class of each image and for class 3, by one worker."""
    if framework == REFERENCE:
        needs_modules("pytorch_grad_cam")
    with Explainer(network, FRAMEWORKS[framework], "conv3_relu") as explainer:
        return {wanted: explainer.explain(images(), wanted) for wanted in (None, 3)}


@pytest.fixture(scope="module")
def expected(network: InferenceNetwork) -> dict[int | None, Explanation]:
    if FRAMEWORKS[REFERENCE].missing():
        pytest.skip("nothing to compare with")
    return explained(REFERENCE, network)


@each_framework
def test_every_framework_gives_the_maps_of_the_library_for_pytorch(
    framework: str, network: InferenceNetwork, expected: dict[int | None, Explanation]
) -> None:
    for wanted, found in explained(framework, network).items():
        theirs = expected[wanted]
        assert found.maps.shape == (2, 96, 96)
        assert found.classes.tolist() == theirs.classes.tolist()
        best = found.logits.argmax(axis=1).tolist()
        assert found.classes.tolist() == (best if wanted is None else [3, 3])
        assert np.abs(found.logits - theirs.logits).max() < 1e-5 * np.abs(theirs.logits).max()
        assert found.maps.max() == pytest.approx(1, abs=1e-4)
        assert found.maps.std() > 0.1, "a map that distinguishes places"
        assert np.abs(found.maps - theirs.maps).max() < 1e-4


def test_the_layer_is_the_last_relu_among_the_convolutions_or_the_one_asked_for() -> None:
    rows = variant("torchvision").architecture()
    assert explainable_layer(rows) == "conv5_relu"
    assert explainable_layer(rows, "conv2_relu") == "conv2_relu"
    with pytest.raises(UserError, match="--layer dense1_relu: Grad-CAM takes one of conv1_relu"):
        explainable_layer(rows, "dense1_relu")


def test_the_pixels_are_those_that_the_network_was_given() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), np.uint8)
    mean, std = (np.array(each, np.float32) for each in PLAIN.in_unit)
    given = ((stored / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    assert np.array_equal(shown(given, PLAIN), stored)


def test_a_sheet_has_the_image_and_the_image_under_its_map() -> None:
    pixels = np.full((32, 32, 3), 100, np.uint8)
    heat = np.zeros((32, 32), np.float32)
    heat[:, 16:] = 1
    sheet = np.asarray(overlay(pixels, heat, "cat: 50 %"))
    assert sheet.shape[1] > 2 * 256  # small images are enlarged
    row = sheet[sheet.shape[0] // 2].astype(int)
    assert np.array_equal(row[100], [100, 100, 100])
    left, right = row[256 + 16 + 60], row[256 + 16 + 200]
    assert right.sum() > left.sum() + 100  # bright where the map is 1


def test_filters_have_grey_for_zero_and_the_extremes_for_the_largest() -> None:
    rows = variant("torchvision").architecture()
    kernels = np.zeros((64, 3, 11, 11), np.float32)
    kernels[0, :, 0, 0], kernels[1, :, 0, 0] = 2, -1
    sheet = filters(rows, {"conv1.weight": kernels}, "x")
    pixels = np.asarray(sheet)
    assert {tuple(p) for p in pixels.reshape(-1, 3).tolist()} >= {
        (255, 255, 255),
        (0, 0, 0),
        (128, 128, 128),
    }


def test_the_command_writes_a_sheet_for_each_image(
    network: InferenceNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [row.name for row in FRAMEWORKS.values() if not row.missing()]
    if not names:
        pytest.skip("no framework is installed")
    name = names[-1]
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.effect_noise((120, 100), 60).convert("RGB").save(tmp_path / folder / "x.png")
    (tmp_path / "no.png").write_text("none")
    command = [sys.executable, "-m", "bench", "explain", "a", "b", "no.png", "--framework", name]
    command += [
        "--weights",
        str(network.file),
        "--class",
        "c",
        "--layer",
        "conv1_relu",
        "-o",
        "out",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2  # one image was refused
    assert done.stderr.startswith("alexbench: no.png: not an image")
    lines = done.stdout.splitlines()
    assert lines[0] == "out/filters.png"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "out/x-gradcam.png",
        "out/x-gradcam-2.png",
    ]
    assert all(line.partition(": ")[2].startswith("c ") for line in lines[1:])
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_an_unknown_class_is_refused_with_those_there_are(network: InferenceNetwork) -> None:
    assert class_called(network, "B") == class_called(network, "1") == 1
    with pytest.raises(UserError, match="--class zebra: no such class; known: a, b, c, d, e"):
        class_called(network, "zebra")


def test_a_name_that_is_a_number_is_the_class_called_so(network: InferenceNetwork) -> None:
    """Folders called 1 to 5 are the classes 0 to 4."""
    names = replace(network.facts, categories=("1", "2", "3", "4", "10"))
    numbered = replace(network, facts=names)
    assert [class_called(numbered, name) for name in ("1", "3", "10", "0")] == [0, 2, 4, 0]


def test_what_is_refused_writes_nothing(
    network: InferenceNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if all(row.missing() for row in FRAMEWORKS.values()):
        pytest.skip("no framework is installed")
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("x.png")
    command = [*("explain", "x.png", "-o", "out"), "--weights", str(network.file)]
    done = CliRunner().invoke(cli, [*command, "--class", "zebra"], standalone_mode=False)
    assert "--class zebra: no such class" in str(done.exception)
    assert not Path("out").exists()
