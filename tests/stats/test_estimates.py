import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import estimates as stats
from bench.stats import intervals
from bench.stats.seeds import paired_difference
from tests.stats.coverage import coverage

SECONDS = st.floats(1e-6, 1e4)
SAMPLES = st.lists(SECONDS, min_size=1, max_size=40)


def test_a_rate_without_images_is_refused():
    with pytest.raises(ValueError, match="images_per_sample"):
        stats.rates([1.0], None)


@given(SAMPLES)
def test_interval_holds_the_median_and_stays_within_the_samples(samples):
    value, low, high = stats.median_estimate([samples])
    assert value == np.median(samples)
    if len(samples) == 1:
        assert low is None
        assert high is None
    else:
        assert min(samples) <= low <= value <= high <= max(samples)


@given(SECONDS, st.integers(2, 20))
def test_equal_samples_have_an_interval_of_no_width(sample, number):
    assert stats.median_estimate([[sample] * number]) == (sample, sample, sample)


def test_median_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="needs a sample"):
        stats.median_estimate([[], []])


@pytest.mark.parametrize("number", [4, 5, 12, 31])
def test_resampled_medians_are_those_of_drawn_resamples(number):
    samples = np.sort(np.random.default_rng(1).lognormal(0, 0.5, number))
    drawn = np.random.default_rng(2).choice(samples, (20_000, number))
    expected = np.percentile(np.median(drawn, axis=1), (2.5, 25, 75, 97.5))
    fast = intervals.Level.of([samples.tolist()]).resampled
    spread = samples.std()
    assert np.percentile(fast, (2.5, 25, 75, 97.5)) == pytest.approx(expected, abs=0.1 * spread)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    estimates = [stats.median_estimate([rng.normal(10, 1, 25).tolist()]) for _ in range(200)]
    covered = sum(e.low <= 10 <= e.high for e in estimates)
    assert 180 <= covered <= 199


def test_interval_covers_the_spread_between_processes():
    """Five processes that differ by 5 %, each with ten samples that hardly do."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        levels = rng.normal(1.0, 0.05, 5)
        processes = [list(level + rng.normal(0, 0.001, 10)) for level in levels]
        value, low, high = stats.median_estimate(processes)
        assert low <= value <= high
        held += low <= 1.0 <= high
    assert held >= 0.9 * 200


def test_processes_are_given_what_they_do_not_know_of_their_spread():
    """Student's t over five processes: 2.776 standard errors to each side."""
    logarithms = (-0.01, -0.005, 0.0, 0.005, 0.01)
    found = stats.paired([[math.exp(x)] * 4 for x in logarithms])
    error = np.std(logarithms, ddof=1) / math.sqrt(5)
    assert found.ratio.value == pytest.approx(1)
    assert math.log(found.ratio.high) == pytest.approx(2.776 * error, rel=0.1)
    assert math.log(found.ratio.low) == pytest.approx(-2.776 * error, rel=0.1)
    # Four times out of five: 0.941 standard errors more.
    assert math.log1p(found.detectable) == pytest.approx((2.776 + 0.941) * error, rel=0.01)
    assert (found.pairs, found.processes) == (20, 5)
    assert found.precision == pytest.approx(math.expm1(2.776 * error), rel=0.1)


def test_a_spread_of_few_processes_is_held_against_the_usual_one():
    """Three that happen to agree: one degree of the usual 4 %, and two of their own."""
    found = stats.paired([[1.0] * 4] * 3)
    error = math.sqrt(intervals.PROCESS_SPREAD**2 / 3 / 3)
    assert math.log(found.ratio.high) == pytest.approx(3.182 * error, rel=0.01)
    assert stats.paired([[1.0] * 4] * 4).ratio.high == pytest.approx(1)


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.01, 0.03, 0.06])
def test_intervals_of_few_processes_hold_the_truth(processes, spread):
    """However much processes differ: what is assumed of their spread must not narrow intervals."""
    assert coverage(spread, processes, 300) >= 0.93


def test_more_processes_show_smaller_differences():
    sizes = [
        stats.paired([[1.0 + 0.01 * (i % 3), 1.01] for i in range(number)]).detectable
        for number in (2, 6, 12, 24)
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_one_process_is_given_a_spread_it_cannot_know():
    found = stats.paired([[1.0] * 10])
    assert math.log(found.ratio.high) == pytest.approx(12.706 * intervals.PROCESS_SPREAD, rel=0.01)
    assert math.log(found.ratio.low) == pytest.approx(-12.706 * intervals.PROCESS_SPREAD, rel=0.01)


def test_one_pair_has_no_interval():
    found = stats.paired([[1.3]])
    assert found.ratio == (pytest.approx(1.3), None, None)
    assert found.detectable is None
    assert found.precision == math.inf


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), min_size=1, max_size=6))
def test_a_paired_ratio_turned_round_is_its_inverse(processes):
    there = stats.paired(processes)
    back = stats.paired([[1 / ratio for ratio in process] for process in processes])
    assert there.ratio.value * back.ratio.value == pytest.approx(1)
    if there.ratio.low is not None:
        assert there.ratio.low <= there.ratio.value * (1 + 1e-9)
        assert there.ratio.high >= there.ratio.value * (1 - 1e-9)
        assert there.detectable >= 0


@pytest.mark.parametrize("processes", [[], [[]], [[1.0, 0.0]], [[-1.0]]])
def test_what_is_no_ratio_is_an_error(processes):
    with pytest.raises(ValueError, match=r"sample|positive"):
        stats.paired(processes)


@given(st.lists(SECONDS, min_size=2, max_size=20))
def test_samples_against_themselves_have_a_ratio_of_one(samples):
    found = stats.unpaired([samples] * 2, [samples] * 2)
    assert found.ratio.value == 1
    assert found.ratio.low <= 1 <= found.ratio.high
    assert found.detectable > 0
    assert found.processes == 2
    assert found.pairs is None


@given(st.lists(st.floats(0.99, 1.01), min_size=3, max_size=20), st.floats(1.4, 10))
def test_ratio_of_scaled_samples_is_the_scale(samples, scale):
    value, low, high = stats.unpaired([[scale * s for s in samples]], [samples]).ratio
    assert value == pytest.approx(scale)
    assert 1 < low <= value * (1 + 1e-9)
    assert high >= value * (1 - 1e-9)


@given(SAMPLES, SAMPLES)
def test_ratio_turned_round_is_its_inverse(one, other):
    ratio = stats.unpaired([one], [other]).ratio.value
    assert ratio * stats.unpaired([other], [one]).ratio.value == pytest.approx(1)


def test_ratio_of_single_samples_has_no_interval():
    found = stats.unpaired([[3.0]], [[2.0]])
    assert found == ((pytest.approx(1.5), None, None), None, None, 1, 0.0, "")


def test_ratio_to_nothing_is_an_error():
    with pytest.raises(ValueError, match="positive"):
        stats.unpaired([[1.0]], [[0.0]])


def test_pairs_take_out_what_both_saw():
    bare = [1.0, 5.0, 2.0, 9.0]
    harness = [seconds / 0.98 for seconds in bare]
    assert stats.paired_ratio(bare, harness) == pytest.approx((0.98, 0.98, 0.98))


def test_pairs_of_unequal_number_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        stats.paired_ratio([1.0, 2.0], [1.0])


def test_mean_over_seeds_has_the_t_interval():
    # Student's t at 97.5 % with 2 degrees of freedom is 4.3027 (any printed table).
    mean, low, high = stats.mean_estimate([0.6, 0.7, 0.8])
    assert mean == pytest.approx(0.7)
    reach = 4.3027 * 0.1 / math.sqrt(3)
    assert (low, high) == pytest.approx((0.7 - reach, 0.7 + reach), abs=1e-4)


def test_one_seed_has_no_interval():
    assert stats.mean_estimate([0.6]) == (0.6, None, None)


def test_equal_seeds_are_exact():
    assert stats.mean_estimate([0.1, 0.1, 0.1]) == (0.1, 0.1, 0.1)


def test_mean_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="needs a value"):
        stats.mean_estimate([])


def test_two_seeds_that_differ_by_one_image_say_nothing_of_the_spread():
    one_image = paired_difference({0: 0.6, 1: 0.61}, {0: 0.5995, 1: 0.6095})
    assert one_image.value == pytest.approx(0.0005)
    assert one_image[1:] == (None, None)
    assert paired_difference({0: 0.6, 1: 0.61}, {0: 0.6, 1: 0.61}) == (0.0, 0.0, 0.0)
