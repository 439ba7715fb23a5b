"""The design of the quick profile: narrow intervals, and equal programs are called equal."""

import pytest

from bench.cli.calibration import Noise
from tests.stats.quick_design import NOISES, quick_shape, row, simulate

IDIOMATIC, CLOSED, BUSY = NOISES
RUNS = 400


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_at_most_one_of_twenty_equal_programs_is_called_faster_or_slower(noise: Noise) -> None:
    assert simulate(noise, quick_shape(), RUNS).false <= 0.05


def test_intervals_are_as_narrow_as_the_documentation_says() -> None:
    found = {noise.name: simulate(noise, quick_shape(), RUNS) for noise in NOISES}
    assert found[IDIOMATIC.name].half_width(0.5) < 0.07
    assert found[IDIOMATIC.name].half_width(0.9) < 0.10
    assert found[CLOSED.name].half_width(0.5) < 0.09
    assert found[CLOSED.name].half_width(0.9) < 0.125
    assert found[BUSY.name].half_width(0.5) < 0.15


def test_two_processes_would_not_do() -> None:
    assert simulate(IDIOMATIC, (2, quick_shape()[1]), 100).half_width(0.5) > 0.08


def test_a_row_of_the_table_is_as_the_text_has_it() -> None:
    assert row(IDIOMATIC, (5, 4), 50).count("|") == 6
