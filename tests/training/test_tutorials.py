"""The tutorials as recipes: what they fix is what their sources say, and can be built."""

import dataclasses

import pytest

from bench.core.case import INITS
from bench.data.batching import Augmentation
from bench.data.dataset import SIDE
from bench.networks import variants
from bench.networks.variants import HEADS
from bench.training.recipes import RECIPES, recipe

TUTORIALS = {name: row for name, row in RECIPES.items() if name.startswith("tutorial-")}


def test_all_are_there_by_name() -> None:
    assert set(TUTORIALS) == {
        "tutorial-keras-bn",
        "tutorial-transfer",
        "tutorial-transfer-dropout",
        "tutorial-transfer-whole",
        "tutorial-transfer-pixels",
        "tutorial-transfer-ours",
        "tutorial-transfer-speed",
        "tutorial-torch-scratch",
        "tutorial-torch-scratch-augmented",
        "tutorial-replace-last",
    }


@pytest.mark.parametrize("name", sorted(TUTORIALS))
def test_each_says_which_network_it_trains_from_what_and_how(name: str) -> None:
    row = TUTORIALS[name]
    assert row.variant in variants.VARIANTS
    assert row.head in HEADS
    assert row.init in INITS
    assert (row.weights is not None) == (row.init == "pretrained")
    assert row.batch_size is not None
    network = variants.variant(row.variant).architecture(
        10, head=row.head, input_size=row.input_size
    )
    assert network.parameters > 0
    assert network.input_size == row.input_size


def test_other_recipes_leave_all_of_that_to_the_user() -> None:
    for name in ("steady", "short", "standard", "ablation"):
        row = recipe(name)
        found = (row.variant, row.head, row.init, row.weights, row.input_size, row.batch_size)
        assert found == (None,) * 6
        assert not row.frozen


def test_the_keras_article_takes_as_many_steps_as_its_35_000_images_do() -> None:
    row = recipe("tutorial-keras-bn")
    assert row.batch_size is not None
    assert row.epochs * 50_000 / row.batch_size == 100 * 35_000 / 100
    assert (row.optimizer, row.learning_rate, row.eps) == ("adam", 1e-3, 1e-7)
    assert row.augmentation == Augmentation(flip=True, rotation=2)
    assert (row.variant, row.input_size) == ("cifar-bn", SIDE)


def test_the_transfer_article() -> None:
    row = recipe("tutorial-transfer")
    assert (row.optimizer, row.learning_rate, row.momentum) == ("sgd", 0.001, 0.9)
    assert (row.nesterov, row.weight_decay, row.schedule) == (False, 0, "constant")
    assert (row.batch_size, row.epochs, row.input_size) == (4, 10, 224)
    assert (row.variant, row.head, row.init) == ("torchvision", "narrow", "pretrained")
    assert not row.frozen
    assert row.augmentation == Augmentation()
    assert (row.dropout, row.resize, row.pixels) == (False, 256, "imagenet")


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [("dropout", "dropout", True), ("whole", "resize", None), ("pixels", "pixels", "data")],
)
def test_each_choice_of_the_transfer_article_has_a_row_without_it(
    name: str, setting: str, value: object
) -> None:
    article, other = recipe("tutorial-transfer"), recipe(f"tutorial-transfer-{name}")
    assert getattr(other, setting) == value
    named = {"name": other.name, "description": other.description, setting: value}
    assert dataclasses.replace(article, **named) == other  # type: ignore[arg-type]


def test_settings_of_before_are_recorded_as_before() -> None:
    """Records of the committed runs compare equal to new ones."""
    assert not {"dropout", "resize", "pixels"} & recipe("tutorial-transfer-speed").to_json().keys()
    assert not {"dropout", "resize", "pixels"} & recipe("standard").to_json().keys()
    assert recipe("tutorial-transfer").to_json()["dropout"] is False


def test_the_one_for_speed_differs_in_where_it_starts_alone() -> None:
    whole, speed = (recipe(f"tutorial-transfer{name}").to_json() for name in ("-ours", "-speed"))
    assert {k for k in whole if whole[k] != speed[k]} == {"name", "description", "init", "weights"}
    assert (speed["init"], speed["weights"]) == ("scratch", None)


def test_the_two_from_scratch_differ_in_augmentation_alone() -> None:
    plain, augmented = (
        recipe(f"tutorial-torch-scratch{name}").to_json() for name in ("", "-augmented")
    )
    assert (plain["optimizer"], plain["learning_rate"]) == ("adam", 1e-3)
    assert (plain["batch_size"], plain["epochs"], plain["input_size"]) == (64, 5, 224)
    assert (plain["variant"], plain["init"]) == ("torchvision", "scratch")
    differing = {key for key in plain if plain[key] != augmented[key]}
    assert differing == {"name", "description", "augmentation"}
    assert not any(plain["augmentation"].values())
    assert all(augmented["augmentation"][part] for part in ("padding", "rotation", "colour"))


def test_replace_last_trains_the_last_layer_alone() -> None:
    row = recipe("tutorial-replace-last")
    assert (row.head, row.frozen, row.init) == ("replace-last", True, "pretrained")
    assert row.augmentation == Augmentation()  # what is frozen can then be computed once


@pytest.mark.parametrize("name", sorted(TUTORIALS))
def test_shortened_ones_keep_everything_but_the_epochs(name: str) -> None:
    whole, short = recipe(name).to_json(), recipe(f"{name}@0.01").to_json()
    assert short["epochs"] == pytest.approx(whole["epochs"] / 100)
    assert {key for key in whole if whole[key] != short[key]} == {"name", "epochs"}
