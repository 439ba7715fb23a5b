"""The learning rate over a training, and the names of recipes."""

import itertools
import math

import pytest

from bench.core.errors import UserError
from bench.training.recipes import RECIPES, recipe
from bench.training.recipes.base import Recipe

COSINE = Recipe("cosine", "", learning_rate=0.4, schedule="cosine", warmup=0.1)


def rates(recipe: Recipe, steps: int) -> list[float]:
    return [recipe.rate(step, steps) for step in range(steps)]


def test_constant_rate() -> None:
    assert set(rates(Recipe("c", "", learning_rate=0.3, warmup=0.5), 50)) == {0.3}


def test_warm_up_rises_in_equal_parts_and_ends_on_the_full_rate() -> None:
    found = rates(COSINE, 100)
    assert found[:11] == pytest.approx([0.4 * (i + 1) / 11 for i in range(11)])
    assert found[0] > 0
    assert max(found) == found[10] == pytest.approx(0.4)


def test_cosine_falls_from_the_peak_to_nearly_nothing() -> None:
    found = rates(COSINE, 100)
    falling = found[10:]
    assert all(a > b for a, b in itertools.pairwise(falling))
    assert found[55] == pytest.approx(0.2)  # half way between the end of the warm-up and the end
    assert found[10 + 30] == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi / 3)))
    assert 0 < found[-1] < 0.4 * 1e-3


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    found = rates(Recipe("c", "", learning_rate=0.4, schedule="cosine"), 20)
    assert found[0] == pytest.approx(0.4)
    assert found[10] == pytest.approx(0.2)


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 101, 6250])
def test_every_step_of_every_recipe_moves_and_none_exceeds_the_peak(name: str, steps: int) -> None:
    found = rates(recipe(name), steps)
    assert all(0 < rate <= recipe(name).learning_rate * (1 + 1e-12) for rate in found)


@pytest.mark.parametrize("steps", [7, 15, 33, 40])
def test_warm_up_of_a_broken_number_of_steps_never_jumps(steps: int) -> None:
    """0.1 of 15 steps is one and a half: no step may leap over the peak or fall short of it."""
    found = rates(COSINE, steps)
    peak = found.index(max(found))
    assert peak == math.floor(0.1 * steps)
    # At most half a step past the peak of a cosine.
    assert found[peak] > 0.4 * 0.97
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)


def test_shortened() -> None:
    short = recipe("standard").shortened(0.25)
    assert (short.name, short.epochs) == ("standard@0.25", 4)
    assert short.learning_rate == recipe("standard").learning_rate
    assert recipe("standard").shortened(1) is RECIPES["standard"]
    assert short.shortened(0.5) == recipe("standard@0.125")


def test_name_with_a_budget_gives_the_same_recipe() -> None:
    short = recipe("standard").shortened(0.25)
    assert recipe(short.name) == short
    assert recipe("standard") is RECIPES["standard"]


@pytest.mark.parametrize("budget", [0, -0.5, 1.01, math.nan, math.inf])
def test_budget_out_of_range(budget: float) -> None:
    with pytest.raises(UserError, match="above 0 and at most 1"):
        recipe("standard").shortened(budget)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quickest", r"unknown recipe 'quickest'.*steady.*standard"),
        ("quickest@0.5", r"unknown recipe 'quickest'"),
        ("standard@half", r"'half' is not a number"),
        ("standard@2", r"at most 1"),
    ],
)
def test_unknown_names(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        recipe(name)


def test_rows_are_known_by_their_names_and_go_into_a_record() -> None:
    for name, row in RECIPES.items():
        assert row.name == name
        written = row.to_json()
        assert written["learning_rate"] == row.learning_rate
        assert written["augmentation"] == {
            "padding": row.augmentation.padding,
            "flip": row.augmentation.flip,
            "rotation": row.augmentation.rotation,
            "colour": row.augmentation.colour,
            # Records from before there was one have recipes with equal settings.
            **({"cutout": row.augmentation.cutout} if row.augmentation.cutout else {}),
        }
