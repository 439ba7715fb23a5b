"""What the arguments of the library's ``AlexNet`` mean, without a framework."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.download import file_checksum
from bench.core.errors import UserError
from bench.networks import library
from bench.networks.init import initial_weights
from bench.networks.library import Chosen
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


def test_weights_of_no_network_say_so() -> None:
    write(Path("other.safetensors"), {"a.weight": weights()["conv1.weight"]})
    with pytest.raises(UserError, match=r"other\.safetensors: of another network") as caught:
        chosen("torchvision", "other.safetensors")
    assert "Take AlexNet" not in str(caught.value)
