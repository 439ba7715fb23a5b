"""``alexbench embed`` on servers for tests, and what of a network it takes."""

import csv
import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.core.errors import UserError
from bench.networks.architecture import Dense
from bench.networks.inference import embedding_layer, embedding_network, prediction_network
from bench.networks.pretrained import Pretrained
from bench.networks.variants import HEADS, VARIANTS, variant
from tests.support.images_cli import Call, caller, features, write_images
from tests.support.plugins import fake_server

COUNT = 7


@pytest.fixture(autouse=True)
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    fake_server.install(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets another one
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    fake_server.pretrained().save(Path("w.safetensors"))
    return caller(monkeypatch)


@pytest.fixture
def paths() -> list[Path]:
    return write_images(Path(), COUNT)


def embed(call: Call, *arguments: object, framework: str = "served") -> int:
    return call("embed", *arguments, "--framework", framework, "--weights", "w.safetensors")


@pytest.mark.parametrize("size", [1, 3, 32])
def test_npz_has_the_features_of_every_image_in_order(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str], size: int
) -> None:
    mixed = [paths[i] for i in (5, 0, 6, 1, 5)]
    assert embed(call, *mixed, "-o", "out.npz", "--batch-size", size) == 0
    with np.load("out.npz") as arrays:
        assert set(arrays) == {"embeddings", "images"}
        assert arrays["images"].tolist() == [str(path) for path in mixed]
        assert arrays["embeddings"].dtype == np.float32
        assert arrays["embeddings"].shape == (5, fake_server.FEATURES)
        np.testing.assert_allclose(arrays["embeddings"], features(mixed), rtol=1e-6)
        assert len(np.unique(arrays["embeddings"], axis=0)) == 4
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out == (
        "out.npz: 5 x 6 after dense2_relu; slice and whole network agree bit for bit\n"
    )


def test_csv_and_json_have_the_same_numbers(call: Call, paths: list[Path]) -> None:
    for ending in ("json", "csv", "npz"):
        assert embed(call, *paths, "-o", f"out.{ending}", "--batch-size", 2) == 0
    with np.load("out.npz") as arrays:
        wanted = arrays["embeddings"]
    rows = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert [row["image"] for row in rows] == [str(path) for path in paths]
    np.testing.assert_array_equal(np.float32([row["embedding"] for row in rows]), wanted)
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["image", *(f"f{i}" for i in range(fake_server.FEATURES))]
    assert [line[0] for line in lines] == [str(path) for path in paths]
    np.testing.assert_array_equal(np.float32([line[1:] for line in lines]), wanted)


def test_different_ways_to_an_embedding_are_an_error_and_no_file(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(call, *paths, "-o", "out.npz", framework="served-parting") == 1
    message = capsys.readouterr().err
    assert "access to dense2_relu do not agree: they differ by 1.0e-05, allowed is 1e-06" in message
    assert message.count("\n") == 1
    assert not list(Path().glob("*out*"))


def test_a_worker_that_dies_in_the_first_batch_leaves_no_file(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    # Two ways on the first batch are two calls; it dies when there was one only.
    assert embed(call, *paths, "-o", "out.npz", "--batch-size", 3, framework="served-dying") == 1
    assert "worker killed by SIGKILL; no image is done" in capsys.readouterr().err
    assert not list(Path().glob("*out*"))


def test_a_worker_that_dies_later_keeps_the_finished_batches(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended in a traceback after the line."""
    options = ("-o", "out.npz", "--batch-size", 3)
    assert embed(call, *paths, *options, framework="served-dying-later") == 1
    shown = capsys.readouterr()
    assert f"worker killed by SIGKILL; 3 of {COUNT} images done" in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out.startswith("out.npz: 3 x 6 after dense2_relu; slice and whole network agree")
    with np.load("out.npz") as arrays:
        assert arrays["images"].tolist() == [str(path) for path in paths[:3]]


def test_the_output_option_is_required(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(call, "x.png") == 2
    assert "Missing option '-o'" in capsys.readouterr().err


def test_an_existing_output_stays_until_the_new_one_is_complete(
    call: Call, paths: list[Path]
) -> None:
    Path("out.npz").write_text("old")
    Path("bad.png").write_text("no image")
    assert embed(call, "bad.png", "-o", "out.npz") == 2
    assert Path("out.npz").read_text(encoding="utf-8") == "old"
    assert embed(call, "bad.png", *paths[:1], "-o", "out.npz") == 2
    with np.load("out.npz") as arrays:
        assert arrays["images"].tolist() == [str(paths[0])]


def test_a_source_without_the_last_layer_still_has_features(call: Call, paths: list[Path]) -> None:
    part = fake_server.pretrained(layers=("conv1", "dense1", "dense2"), classes=None)
    part.save(Path("w.safetensors"))
    assert embed(call, *paths, "-o", "out.npz") == 0
    with np.load("out.npz") as arrays:
        np.testing.assert_allclose(arrays["embeddings"], features(paths), rtol=1e-6)


def test_missing_layers_are_named(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    part = fake_server.pretrained(layers=("conv1", "dense1"), classes=None)
    part.save(Path("w.safetensors"))
    assert embed(call, *paths, "-o", "out.npz") == 2
    assert "without dense2, which embed needs" in capsys.readouterr().err


SHORT = ("cifar-3x3", "cifar-3x3-wide", "cifar-linear")
"""Networks without a second hidden layer."""


@pytest.mark.parametrize("name", [n for n in VARIANTS if n not in ("served", *SHORT)])
@pytest.mark.parametrize("head", ["source", "replace-last", "narrow"])
def test_features_are_those_after_the_second_hidden_layer(name: str, head: str) -> None:
    architecture = variant(name).architecture(head=head)
    # The narrow head takes the place of the last two dense layers: of dense2 among three.
    three = sum(isinstance(row, Dense) for row in variant(name).architecture().layers) == 3
    new = head == "narrow" and three
    layer, width = ("head1_relu", 1024) if new else ("dense2_relu", 4096)
    assert embedding_layer(architecture) == layer
    after = {step.layer.name: step.after for step in architecture.steps()}
    assert after[layer] == (width,)


@pytest.mark.parametrize("head", ["pool-linear", "pool-narrow"])
def test_a_head_without_a_second_hidden_layer_has_no_features(head: str) -> None:
    with pytest.raises(UserError, match="torchvision with this head has no second hidden layer"):
        embedding_layer(variant("torchvision").architecture(head=head))


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("head", HEADS)
def test_a_network_without_two_hidden_layers_has_no_features(name: str, head: str) -> None:
    with pytest.raises(UserError, match=rf"{name} .* no second .*all but cifar-3x3, cifar-3x3-w"):
        embedding_layer(variant(name).architecture(head=head))


def test_the_network_is_cut_only_where_the_weights_end() -> None:
    whole, part = Path("whole"), Path("part")
    assert (
        embedding_network(fake_server.pretrained(), whole).architecture.layers[-1].name == "dense3"
    )
    shorter = fake_server.pretrained(layers=("conv1", "dense1", "dense2"), classes=None)
    served = embedding_network(shorter, part)
    assert served.architecture.layers[-1].name == served.embedding == "dense2_relu"
    assert (served.width, served.file) == (fake_server.FEATURES, part)
    assert prediction_network(fake_server.pretrained(), whole).width == fake_server.CLASSES


def test_weights_of_another_shape_or_size_are_refused() -> None:
    source = fake_server.pretrained()
    wrong = {**source.tensors, "dense2.weight": source.tensors["dense2.weight"].T.copy()}
    with pytest.raises(UserError, match=r"weight dense2\.weight: expected the shape \(6, 8\)"):
        prediction_network(Pretrained(source.facts, wrong), Path())
    facts = dataclasses.replace(source.facts, input_size=20)
    with pytest.raises(UserError, match="images of 20 pixels, and their preprocessing gives 16"):
        prediction_network(Pretrained(facts, source.tensors), Path())


def test_weights_of_no_network_say_what_differs_and_name_no_option_that_is_not_there(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Layers are taken in part here: that nothing fits even so is not the whole answer."""
    save_file({"stem.weight": np.zeros((7, 3, 3, 3), np.float32)}, "other.safetensors")
    arguments = ("-o", "out.npz", "--framework", "served", "--weights", "other.safetensors")
    assert call("embed", *paths, *arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "other.safetensors: of another network; " in said
    assert "alexbench convert --partial takes the layers that fit" in said
