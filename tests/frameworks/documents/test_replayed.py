"""The four documents that this project was made from, replayed with the library.

``probes.documents.reference`` has their own computations, written again; each test compares one of
them with `models_torch.AlexNet` and `models_keras.AlexNet`. Figures may differ by 1e-5 of the
largest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import recipe
from tests.frameworks.probes import documents
from tests.frameworks.support.client import Answer, ask, ask_reference, each_framework, each_keras

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def theirs() -> Answer:
    return ask_reference("documents.reference")


def ours(framework: str) -> Answer:
    """The documents with the library of a framework; the reference has written its files before."""
    ask_reference("documents.reference")
    keras = "keras" in FRAMEWORKS[framework].modules
    return ask(framework, f"documents.{'in_keras' if keras else 'in_torch'}")


def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    wide = one.astype(np.float64)
    assert np.abs(wide).max() > 0.01, "something that distinguishes"
    return float(np.abs(wide - other).max() / np.abs(wide).max())


@each_framework
@pytest.mark.parametrize(
    "what",
    [
        "batch",  # preprocess(image), three images
        "scores",  # of one image
        "slice",  # classifier[:6] on the flattened, pooled features
        "hook",  # the ReLU after the second dense layer
        "mini-batch",
        "new head",  # the last layer replaced for ten classes
        "frozen loss",  # one step with everything else frozen
        "frozen weight",
        "lrn",  # the class with local response normalisation
        "lrn inside",
        "narrow",  # the transfer article's two new layers
        "guide",  # the guide's class
    ],
)
def test_equal_to_the_documents_own_code(framework: str, what: str, theirs: Answer) -> None:
    assert apart(theirs.arrays[what], ours(framework).arrays[what]) < TOLERANCE


@each_framework
def test_probabilities_are_the_softmax_of_the_scores(framework: str, theirs: Answer) -> None:
    """Of either's own scores: a softmax makes a score's absolute error a relative one."""
    for answer in (theirs, ours(framework)):
        scores = answer.arrays["scores"].astype(np.float64)
        wanted = np.exp(scores - scores.max())
        assert apart(wanted / wanted.sum(), answer.arrays["probabilities"]) < 1e-6


@each_framework
def test_top_five_with_labels(framework: str, theirs: Answer) -> None:
    found, wanted = ours(framework).facts["top5"], theirs.facts["top5"]
    assert [entry[:2] for entry in found] == [entry[:2] for entry in wanted]
    own = ours(framework).arrays["probabilities"]
    assert [share for *_, share in found] == pytest.approx([own[at] for _, at, _ in found])
    assert wanted[0][2] > 2 * wanted[4][2], "probabilities that distinguish classes"


@each_framework
def test_only_the_new_head_is_trained(framework: str) -> None:
    trained = ours(framework).facts["trained"]
    assert len(trained) == 2
    assert all("classifier.6" in name or name.startswith("head/") for name in trained)


def test_the_preprocessing_is_torchvisions_to_the_bit(theirs: Answer) -> None:
    found = ours("pytorch").arrays["batch"]
    assert np.array_equal(found, theirs.arrays["batch"])
    # The hub page's own list of transforms: the same.
    assert np.array_equal(theirs.arrays["hub input"], theirs.arrays["batch"])


@pytest.mark.parametrize("what", ["of a tensor", "of a batch of floats"])
def test_the_preprocessing_takes_tensors_as_torchvisions_does(what: str, theirs: Answer) -> None:
    assert np.array_equal(ours("pytorch").arrays[what], theirs.arrays[what])


def test_the_modules_are_printed_as_torchvisions(theirs: Answer) -> None:
    assert ours("pytorch").facts["printed"] == theirs.facts["printed"]


def test_random_weights_of_a_seed_are_torchvisions(theirs: Answer) -> None:
    assert np.array_equal(ours("pytorch").arrays["scratch"], theirs.arrays["scratch"])


def test_the_state_has_torchvisions_names_and_loads_both_ways(theirs: Answer) -> None:
    found = ours("pytorch").facts
    assert found["state names"] == theirs.facts["state names"]
    assert found["categories"] == 1000
    assert found["lrn loads"] == found["narrow loads"] == "<All keys matched successfully>"


def test_a_head_that_is_replaced_in_place_works_as_well(theirs: Answer) -> None:
    found = ours("pytorch").arrays["new head in place"]
    assert apart(theirs.arrays["new head"], found) < TOLERANCE


def test_the_articles_network_has_as_many_weights(theirs: Answer) -> None:
    assert theirs.facts["article parameters"] == ours("pytorch").facts["article parameters"]
    assert theirs.facts["article parameters"] == 44_428_106


def test_a_step_of_the_guide_with_its_dropout_has_equal_bits(theirs: Answer) -> None:
    found = ours("pytorch").arrays
    assert np.array_equal(found["guide loss"], theirs.arrays["guide loss"])
    assert np.array_equal(found["guide last"], theirs.arrays["guide last"])


@each_framework
def test_the_recipe_takes_the_articles_steps(framework: str, theirs: Answer) -> None:
    """Two steps of the recipe in every framework's trainer, against the article's loop."""
    found = ask(framework, "documents.article_steps")
    assert found.facts["losses"] == pytest.approx(theirs.facts["article losses"], rel=1e-5)
    names = [name for name in theirs.arrays if name.startswith("article/")]
    assert len(names) == 16
    for name in names:
        assert apart(theirs.arrays[name], found.arrays[name]) < TOLERANCE, name


@each_framework
def test_accuracies_by_class_are_those_of_the_articles_loop(framework: str, theirs: Answer) -> None:
    wanted = theirs.facts["accuracy by class"]
    found = ask(framework, "documents.classes_and_masks").facts
    assert found["by class"] == pytest.approx(wanted["table"])
    assert np.mean(found["by class"]) == pytest.approx(wanted["average"])
    assert found["accuracy"] == pytest.approx(wanted["whole"])
    counts = np.bincount(wanted["predicted"], minlength=documents.CLASSES)
    assert found["predicted"] == counts.tolist()
    assert (counts > 0).sum() > 1, "images that the network tells apart"


@each_framework
def test_a_step_of_the_guide_with_the_masks_of_pytorchs_dropout(
    framework: str, theirs: Answer
) -> None:
    found = ask(framework, "documents.classes_and_masks")
    loss = float(theirs.arrays["masked loss"])
    assert found.facts["losses"] == pytest.approx([loss], rel=1e-5)
    gradient = np.abs(theirs.arrays["masked gradient"])
    # Adam's first step is the gradient's sign: where the gradient is near 0, rounding decides it.
    clear = (gradient > 1e-6) | (gradient == 0)
    assert clear.mean() > 0.9
    one, other = theirs.arrays["masked last"], found.arrays["last"]
    assert apart(np.where(clear, one, 0), np.where(clear, other, 0)) < TOLERANCE


@each_framework
def test_the_recipes_images_are_the_articles_but_for_pillows_rounding(
    framework: str, theirs: Answer
) -> None:
    """Pillow rounds each of its two passes to whole bytes; nothing else differs."""
    found = ask(framework, "documents.article_steps").arrays["input"]
    assert apart(documents.enlarged_and_cut(documents.step_images()), found) < TOLERANCE
    step = 1 / 255 / min(documents.STD)
    assert np.abs(found - theirs.arrays["article input"]).max() <= 1.01 * step
    assert np.abs(found - theirs.arrays["article input"]).mean() < 0.5 * step


def test_the_recipe_has_the_articles_settings() -> None:
    row = recipe("tutorial-transfer")
    assert (row.learning_rate, row.momentum) == (documents.RATE, documents.MOMENTUM)
    assert (row.dropout, row.resize, row.input_size, row.pixels) == (False, 256, 224, "imagenet")


@each_keras
def test_the_keras_model_of_the_document(framework: str) -> None:
    found = ask(framework, "documents.keras_model")
    assert apart(found.arrays["theirs"], found.arrays["ours"]) < TOLERANCE
    assert found.facts["parameters"] == found.facts["own"]


def test_the_keras_model_of_the_document_in_pytorch() -> None:
    if why := FRAMEWORKS["keras-tensorflow"].missing():
        pytest.skip(why)
    wanted = ask("keras-tensorflow", "documents.keras_model").arrays["theirs"]
    found = ask_reference("documents.keras_file_in_torch")
    assert found.facts["eps"] == 1e-3  # Keras's, carried over from the file
    assert apart(wanted, found.arrays["shares"]) < TOLERANCE
