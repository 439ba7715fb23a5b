"""Verdicts: different, equivalent, or inconclusive with the reason."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.estimates import UNKNOWN, Estimate, Ratio, paired, unpaired
from bench.stats.verdicts import (
    ACCURACY,
    EQUIVALENT_ACCURACY,
    EQUIVALENT_SPEED,
    SPEED,
    Margin,
    speed_verdict,
    verdict,
)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.1, 1.2, "faster"),
        (1.001, 1.002, "faster"),
        (0.8, 0.9, "slower"),
        (0.95, 1.05, "tie"),
        (1.0, 1.05, "tie"),
        (1 / 1.1, 1.1, "tie"),
        (0.9, 1.05, "inconclusive"),
        (1.0, 1.2, "inconclusive"),
        (0.8, 1.0, "inconclusive"),
        (0.363, 3.535, "inconclusive"),
        (None, None, "inconclusive"),
        (math.nan, math.nan, "inconclusive"),
    ],
)
def test_a_speed_is_different_equivalent_or_inconclusive(low, high, word):
    found = verdict(Estimate(1.0, low, high), SPEED, 2)
    assert found.word == word
    assert bool(found.reason) == (word == "inconclusive")


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.01, 0.02, "higher"),
        (-0.02, -0.01, "lower"),
        (-0.01, 0.01, "tie"),
        (0.0, 0.005, "tie"),
        (-0.02, 0.02, "inconclusive"),
        (0.0, 0.02, "inconclusive"),
        (-0.02, 0.0, "inconclusive"),
        (None, None, "inconclusive"),
    ],
)
def test_an_accuracy_is_different_equivalent_or_inconclusive(low, high, word):
    assert verdict(Estimate(0.0, low, high), ACCURACY, 3).word == word


@pytest.mark.parametrize("margin", [SPEED, ACCURACY])
def test_one_run_gives_no_verdict_whatever_its_interval(margin):
    for interval in ((25.0, 24.0, 26.0), (1.0, 1.0, 1.0), (-3.0, -3.1, -2.9)):
        found = verdict(Estimate(*interval), margin, 1)
        assert found.word == "inconclusive"
        assert found.reason.startswith(f"one {margin.run} on a side")


def test_what_was_not_measured_has_no_verdict():
    assert verdict(UNKNOWN, SPEED, 2) == ("", None)


def test_a_busy_machine_cannot_make_one_process_faster():
    """Planted: three pairs of one process, of which the other's blocks took four times as long."""
    found = paired([[4.06, 4.0, 4.1]])
    assert found.ratio.low > 2
    assert speed_verdict(found).word == "inconclusive"
    assert speed_verdict(paired([[4.06, 4.0, 4.1]] * 2)).word == "faster"


@pytest.mark.parametrize(
    ("share", "word"), [(0.0, "faster"), (0.2, "faster"), (0.21, "inconclusive")]
)
def test_a_disturbed_pair_gives_no_verdict(share, word):
    found = paired([[4.06, 4.0, 4.1]] * 3)._replace(disturbed=share)
    verdict = speed_verdict(found)
    assert verdict.word == word
    if share > 0.2:
        assert verdict.reason == "disturbed: others used the CPUs in 21 % of the blocks"


def test_what_was_not_measured_is_not_disturbed():
    assert speed_verdict(Ratio(UNKNOWN, None, None, 2, disturbed=1.0)).word == ""


def test_the_side_with_fewer_processes_counts():
    found = unpaired([[2.0, 2.1], [2.0, 2.1]], [[1.0, 1.1]])
    assert found.processes == 1
    assert speed_verdict(found).word == "inconclusive"


@given(st.floats(0.2, 5), st.floats(1, 3), st.floats(1, 3))
def test_a_ratio_turned_round_has_the_opposite_verdict(value, down, up):
    there = verdict(Estimate(value, value / down, value * up), SPEED, 2).word
    back = verdict(Estimate(1 / value, 1 / (value * up), down / value), SPEED, 2).word
    turned = {"faster": "slower", "slower": "faster"}
    assert back == turned.get(there, there)


def test_margins_are_the_stated_ones():
    assert (EQUIVALENT_SPEED, EQUIVALENT_ACCURACY) == (0.10, 0.01)
    assert (SPEED.low, SPEED.high) == (1 / 1.1, 1.1)
    assert Margin.of_speed(0.05).low == 1 / 1.05
