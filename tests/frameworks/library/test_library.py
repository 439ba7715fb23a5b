"""`models_torch.AlexNet` and `models_keras.AlexNet`: one signature, one network, one error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.networks.variants import VARIANTS
from tests.frameworks.support.client import Answer, ask, ask_reference, each_framework


@pytest.fixture(scope="module")
def reference() -> Answer:
    return ask_reference("library")


def ours(framework: str) -> Answer:
    """After the reference, which writes the file that all read."""
    ask_reference("library")
    return ask(framework, "library")


@each_framework
def test_the_arguments_are_the_same(framework: str, reference: Answer) -> None:
    found = ours(framework).facts["signature"]
    assert found == reference.facts["signature"]
    assert [name for name, _ in found] == [
        "variant",
        "weights",
        "include_top",
        "classes",
        "input_size",
        "head",
    ]


@each_framework
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_row_can_be_built_and_has_its_layers(framework: str, name: str) -> None:
    found = ours(framework).facts["built"][name]
    row = VARIANTS[name].architecture()
    assert found["parameters"] == row.parameters
    wanted = [s.layer.name for s in row.steps() if s.layer.weights(s.before)]
    assert found["weighted"] == wanted


@each_framework
def test_saved_weights_give_the_same_logits_in_every_framework(
    framework: str, reference: Answer
) -> None:
    """A file that PyTorch's `save_weights` wrote."""
    found = ours(framework)
    one, other = (answer.arrays["loaded"] for answer in (reference, found))
    assert np.abs(one - other).max() < 1e-5 * np.abs(one).max()
    assert found.facts["categories"] == reference.facts["categories"] == ["a", "b", "c", "d"]


@each_framework
def test_the_own_file_is_read_back_with_equal_bits(framework: str) -> None:
    found = ours(framework)
    assert np.array_equal(found.arrays["before"], found.arrays["after"])


@each_framework
def test_without_the_top_it_gives_the_map_of_the_last_pool(
    framework: str, reference: Answer
) -> None:
    found = ours(framework).arrays["map"]
    assert found.shape == (2, 256, 1, 1)
    expected = reference.arrays["map"]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


ERRORS: dict[str, str] = {
    "unknown variant": "unknown variant 'alexnet'; known: cifar-bn",
    "unknown head": "unknown head 'new'; known: source",
    "no such file": "no such file",
    "classes of weights": "have 4 classes. Received: classes=10; head='replace-last'",
    "no imagenet weights": "weights 'imagenet' are those of 'torchvision'; there are none for",
    "size of weights": "fit images of 32 pixels",
    "no class": "classes must be a whole number, 1 or more. Received: 0",
    "other suffix": "saved as .safetensors alone",
    "other names": "3 categories for 4 logits",
}


@each_framework
@pytest.mark.parametrize("what", sorted(ERRORS))
def test_errors_are_one_line_that_says_what_would_be_right(framework: str, what: str) -> None:
    message: Any = ours(framework).facts["errors"][what]
    assert ERRORS[what] in message
    assert "\n" not in message


@each_framework
def test_a_network_of_the_harness_has_equal_outputs(framework: str) -> None:
    """`AlexNet` and the trainers of the closed track build with the same function."""
    found = ours(framework).arrays
    assert np.abs(found["library"] - found["harness"]).max() < 1e-5 * np.abs(found["library"]).max()


def test_a_head_of_the_users_own_is_saved_as_it_is_now() -> None:
    facts = ask_reference("library").facts
    assert facts["replaced in place"] == ["source", 7]
    assert facts["replaced by two"] == ["narrow", 5]
    assert facts["replaced inside"] == ["source", 6]
    assert facts["replaced as a whole"] == ["pool-linear", 3]
    assert "no longer those of cifar-plain" in facts["of no row"]
    assert "of conv1_bn is of the type GroupNorm now" in facts["of another type"]


def test_images_of_another_shape_or_type_are_refused_in_one_line() -> None:
    """224 pixels for 227 ended in "mat1 and mat2 shapes cannot be multiplied"; int64 was black."""
    facts = ask_reference("library").facts
    assert "(B, 3, 32, 32), channels first. Received: (2, 3, 64, 64)" in facts["size"]
    assert "Received: (2, 32, 32, 3)" in facts["channels last"]
    assert "uint8, or floats of 0 to 1. Received: torch.int64" in facts["whole numbers"]


def test_a_tensor_is_prepared_as_the_same_image_for_weights_trained_here() -> None:
    """Brought to the size of the training images, then enlarged without antialiasing; where it is
    made smaller first, by at most a grey level of a Pillow image."""
    same, halved = ask_reference("library").facts["tensors"]
    assert same < 1e-5
    assert halved < 1.01 / 255 / 0.25
