"""What the arguments of the library's ``AlexNet`` mean, without a framework."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.download import file_checksum
from bench.core.errors import UserError
from bench.networks import library
from bench.networks.init import initial_weights
from bench.networks.library import Chosen
from bench.networks.preprocessing import Preprocessing
from bench.networks.variants import variant
from bench.weights.sources import SOURCES
from tests.support.weight_examples import weights, write

CONVOLUTIONS = tuple(f"conv{i}" for i in range(1, 6))


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of convolutions where the published one would be."""
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALEXBENCH_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    row = SOURCES["bvlc"]
    path = write(tmp_path / row.file, weights("imagenet-lrn", *CONVOLUTIONS))
    row = replace(row, checksum=file_checksum(path, "sha256:"))
    monkeypatch.setitem(SOURCES, "bvlc", row)


def chosen(name: str = "imagenet-lrn", weights: str = "bvlc", **changes: object) -> Chosen:
    given = {"include_top": True, "classes": None, "input_size": None, "head": "source"}
    return library.choose(name, weights, **(given | changes))  # type: ignore[arg-type]


def test_weights_without_dense_layers_warn_of_them_and_say_what_leaves_them_out() -> None:
    with pytest.warns(UserWarning, match="lack dense1, dense2, dense3, .*; include_top=False"):
        found = chosen()
    assert not found.whole
    assert found.architecture.classes == 1000
    assert {name.partition(".")[0] for name in found.weights} == set(CONVOLUTIONS)


@pytest.mark.parametrize(
    "changes", [{"include_top": False}, {"head": "pool-linear", "classes": 10}]
)
def test_weights_of_all_that_is_not_new_warn_of_nothing(changes: dict[str, object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chosen(**changes)
    assert found.whole == ("head" not in changes)
    assert found.preprocessing == SOURCES["bvlc"].preprocessing
    assert found.categories == ()


def test_weights_of_another_network_name_the_call_that_fits() -> None:
    rows = variant("cifar-lrn").architecture(10)
    model = Chosen("cifar-lrn", "source", rows, {})
    library.save(model, initial_weights(rows, 0), "mine.safetensors")
    with pytest.raises(UserError) as caught:
        chosen("torchvision", "mine.safetensors")
    assert str(caught.value) == (
        "weights mine.safetensors are those of 'cifar-lrn'. "
        "Take AlexNet('cifar-lrn', weights='mine.safetensors')"
    )


def test_weights_that_fit_another_head_alone_are_those_of_another_network() -> None:
    """PyTorch's CIFAR AlexNet has the shapes of torchvision's with one dense layer, and other pools
    and paddings."""
    own = weights("cifar-linear")
    names = dict(zip([f"conv{i}" for i in range(1, 6)], (0, 3, 6, 8, 10), strict=True))
    state = {
        f"features.{names[layer]}.{part}" if layer in names else f"classifier.{part}": array
        for layer, part, array in ((*name.split("."), array) for name, array in own.items())
    }
    write(Path("cifar.safetensors"), state)
    with pytest.raises(UserError, match=r"those of 'cifar-linear'\. Take AlexNet\('cifar-linear'"):
        chosen("torchvision", "cifar.safetensors")
    assert chosen("cifar-linear", "cifar.safetensors").whole


def test_a_head_that_is_asked_for_is_new_and_one_that_is_not_is_that_of_the_weights() -> None:
    rows = variant("cifar-linear").architecture(4, head="replace-last")
    own = initial_weights(rows, 0)
    library.save(Chosen("cifar-linear", "replace-last", rows, {}), own, "mine.safetensors")
    given = {"name": "cifar-linear", "weights": "mine.safetensors"}
    assert chosen(**given).whole
    with pytest.raises(UserError, match=r"have 4 classes\. Received: classes=5; head="):
        chosen(**given, classes=5)
    for classes in (4, 5):
        found = chosen(**given, head="replace-last", classes=classes)
        assert {name for name in own if name not in found.weights} == {"head.weight", "head.bias"}
    with pytest.raises(UserError, match="they fit images of 32 pixels"):
        chosen(**given, input_size=64)


def test_a_network_without_its_top_keeps_the_size_of_its_images() -> None:
    rows = variant("cifar-bn").architecture(10, input_size=64)
    model = chosen("cifar-bn", None, include_top=False, input_size=64)
    library.save(model, initial_weights(model.architecture, 0), "trunk.safetensors")
    found = chosen("cifar-bn", "trunk.safetensors", include_top=False)
    assert found.architecture.input_size == rows.input_size == 64
    assert found.preprocessing.size == 64


def test_weights_of_no_network_say_so() -> None:
    write(Path("other.safetensors"), {"a.weight": weights()["conv1.weight"]})
    with pytest.raises(UserError, match=r"other\.safetensors: of another network") as caught:
        chosen("torchvision", "other.safetensors")
    assert "Take AlexNet" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": "10"}, "classes must be a whole number, 1 or more. Received: '10'"),
        ({"classes": True}, "classes must be a whole number, 1 or more. Received: True"),
        ({"input_size": (224, 224)}, r"input_size must be .* Received: \(224, 224\)"),
        ({"input_size": 0}, "input_size must be .* Received: 0"),
        ({"weights": 3}, "weights must be None, 'imagenet', 'bvlc' or the path .* Received: 3"),
    ],
)
def test_arguments_of_another_type_are_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen(**changes)  # type: ignore[arg-type]


_BYTES = Preprocessing((0, 0, 0), (1, 1, 1), size=1, resize=1, pixel_range=255)


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.new("RGB", (1, 1), (1, 2, 3)), (1, 2, 3)),
        (Image.new("RGBA", (1, 1), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.fromarray(np.array([[32768]], np.uint16)), (128, 128, 128)),
        (Image.new("L", (1, 1), 7), (7, 7, 7)),
    ],
    ids=["RGB", "transparent", "16 bits", "grey"],
)
def test_an_image_in_memory_is_converted_as_predict_converts_it(
    image: Image.Image, pixel: tuple[int, int, int]
) -> None:
    assert library.prepared(image, _BYTES).ravel().tolist() == list(pixel)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Image.new("F", (1, 1)), "image: pixels of kind F; expected 8-bit RGB"),
        (np.zeros((4, 4, 3), np.uint8), "transforms take a Pillow image .* Received: ndarray"),
        ("cat.jpg", "transforms take a Pillow image .* Received: str"),
    ],
    ids=["floats", "array", "path"],
)
def test_what_is_no_image_is_one_line(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        library.prepared(given, _BYTES)


def test_a_new_last_layer_has_no_names_of_the_old_one() -> None:
    """With as many classes, predictions had the names of other ones."""
    rows = variant("cifar-linear").architecture(3)
    model = Chosen("cifar-linear", "source", rows, {})
    library.save(model, initial_weights(rows, 0), "named.safetensors", ["cat", "dog", "emu"])
    given = {"name": "cifar-linear", "weights": "named.safetensors"}
    assert chosen(**given).categories == ("cat", "dog", "emu")
    for classes in (None, 3):
        assert chosen(**given, head="replace-last", classes=classes).categories == ()
