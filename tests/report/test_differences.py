"""Differences in accuracy between frameworks and between normalisations, and the plot of seeds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from bench.analysis.comparison.pairing import accuracy_difference
from bench.report.charts.accuracy_seeds import seeds as draw_seeds
from bench.report.plot_style import style
from bench.report.tables import TABLES, frame, sections
from bench.stats.seeds import mean_of_seeds, paired_difference, welch_difference
from tests.support.parts import part_of, row_names
from tests.support.synthetic_records.synthetic import FAILED_PARITY, make_failure, make_record
from tests.support.synthetic_records.synthetic_normalisation import make_trained

TABLE = {table.name: table for table in TABLES}["accuracy_differences"]
FRACTIONS = st.lists(st.floats(0, 1), min_size=2, max_size=8)
QUICK = settings(max_examples=30, deadline=None)  # scipy's first call takes its time
T2 = 4.302653
"""Student's t at 97.5 % with 2 degrees of freedom (any printed table)."""


def rows(records, **wanted):
    """The rows whose columns are as wanted, in order."""
    found = frame(TABLE, records).to_dict("records")
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def cells(records):
    """Rows of all sections as dicts from header to text."""
    return [
        dict(zip(section.headers, row, strict=True))
        for section in sections(TABLE, records)
        for row in section.cells
    ]


def diverge(record):
    return replace(record, samples=(0.1,), metrics={**record.metrics, "diverged": True})


def test_the_closed_track_takes_pairs_of_seeds():
    records = [
        *make_trained("cifar-bn", (0.60, 0.70, 0.80)),
        *make_trained("cifar-bn", (0.62, 0.71, 0.83), framework="keras-jax"),
    ]
    (row,) = rows(records)
    # Differences 2, 1 and 3 points: mean 2, standard deviation 1.
    assert row["difference"] == pytest.approx(0.02)
    reach = T2 * 0.01 / math.sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx((0.02 - reach, 0.02 + reach), abs=1e-6)
    assert (row["framework"], row["reference"], row["pairs"]) == ("keras-jax", "pytorch", 3)
    assert row["verdict"] == "inconclusive"
    (shown,) = cells(records)
    assert shown["difference (points)"] == "+2.0 [-0.5, +4.5]"
    assert shown["method"] == "paired by seed"


def test_the_idiomatic_track_takes_welch():
    records = [
        *make_trained("cifar-bn", (0.60, 0.62), track="idiomatic"),
        *make_trained("cifar-bn", (0.71, 0.73), track="idiomatic", framework="keras-jax"),
    ]
    (row,) = rows(records)
    # Two equal spreads of two values each: variance 2e-4, and Welch has 2 degrees of freedom.
    reach = T2 * math.sqrt(2e-4 / 2 + 2e-4 / 2)
    assert row["difference"] == pytest.approx(0.11)
    assert (row["low"], row["high"]) == pytest.approx((0.11 - reach, 0.11 + reach), abs=1e-6)
    assert (row["method"], row["verdict"]) == ("Welch", "higher")
    assert row["pairs"] is None


def test_a_single_seed_has_no_interval_and_is_inconclusive():
    for track in ("closed", "idiomatic"):
        records = [
            *make_trained("cifar-bn", (0.60,), track=track),
            *make_trained("cifar-bn", (0.65,), track=track, framework="keras-jax"),
        ]
        (shown,) = cells(records)
        assert (shown["difference (points)"], shown["verdict"]) == ("+5.0", "inconclusive")


def test_a_failed_seed_is_counted_and_takes_its_pair_along():
    records = [
        *make_trained("cifar-bn", (0.60, 0.70, 0.80)),
        *make_trained("cifar-bn", (0.62, 0.72), framework="keras-jax"),
        make_failure(framework="keras-jax", seed=2),
    ]
    (row,) = rows(records)
    assert (row["pairs"], row["failed"], row["against_failed"]) == (2, 1, 0)
    assert row["difference"] == pytest.approx(0.02)
    (shown,) = cells(records)
    assert (shown["seeds"], shown["its seeds"]) == ("2 of 3 (1 failed)", "3")


def test_a_diverged_seed_counts_in_the_mean():
    ours = make_trained("cifar-bn", (0.60, 0.62), framework="keras-jax")
    records = [*make_trained("cifar-bn", (0.60, 0.60)), ours[0], diverge(ours[1])]
    (row,) = rows(records)
    assert row["difference"] == pytest.approx((0.0 - 0.5) / 2)
    assert row["diverged"] == 1
    assert cells(records)[0]["seeds"] == "2 (1 diverged)"


def test_a_framework_without_a_result_stands_there():
    records = [*make_trained("cifar-bn", (0.6,)), make_failure(framework="keras-jax")]
    (shown,) = cells(records)
    assert (shown["framework"], shown["verdict"]) == ("keras-jax", "no result")
    assert shown["difference (points)"] == "—"


def test_seeds_that_are_not_shared_are_independent():
    records = [
        *make_trained("cifar-bn", (0.6, 0.61)),
        make_record(kind="accuracy", framework="keras-jax", seed=7, samples=(0.7,)),
    ]
    (row,) = rows(records)
    assert (row["method"], row["verdict"]) == ("Welch", "inconclusive")
    assert row["difference"] == pytest.approx(0.7 - 0.605)


def test_what_may_not_be_compared_is_refused_in_words():
    other = make_trained("cifar-bn", (0.7, 0.8), framework="keras-jax")
    settings = {**other[0].settings, "threads": {"intra_op": 1, "inter_op": 1}}
    records = [
        *make_trained("cifar-bn", (0.6, 0.6)),
        *(replace(record, settings=settings) for record in other),
    ]
    (row,) = rows(records)
    assert row["verdict"] == "not comparable"
    assert np.isnan(row["difference"])
    (section,) = sections(TABLE, records)
    assert any("threads.intra_op 1 against 2" in note for note in section.notes)


def test_what_is_uncertified_is_held_against_nobody():
    other = make_trained("cifar-bn", (0.7, 0.8), framework="keras-jax", parity=FAILED_PARITY)
    records = [*make_trained("cifar-bn", (0.6, 0.6)), *other]
    (row,) = rows(records)
    assert (row["framework"], row["verdict"]) == ("keras-jax", "uncertified")
    (section,) = sections(TABLE, records)
    assert not section.certified


def test_normalisations_are_held_against_the_same_frameworks_own_network_without():
    records = [
        *make_trained("cifar-plain", (0.50, 0.52, 0.54)),
        *make_trained("cifar-bn", (0.58, 0.61, 0.61)),
        *make_trained("cifar-lrn", (0.50, 0.51, 0.54)),
        *make_trained("cifar-bn", (0.7, 0.7, 0.7), framework="keras-jax"),
    ]
    bn, lrn = rows(records, framework="pytorch")
    assert (bn["variant"], bn["reference"]) == ("cifar-bn", "its own cifar-plain")
    assert bn["difference"] == pytest.approx(0.08)
    assert bn["verdict"] == "higher"
    assert lrn["difference"] == pytest.approx(-0.01 / 3)
    assert lrn["verdict"] == "inconclusive"
    (jax,) = rows(records, framework="keras-jax")  # no plain network of its own
    assert jax["reference"] == "pytorch"


@pytest.mark.parametrize(
    "changes", [{"recipe": "short"}, {"batch_size": 64}, {"track": "idiomatic"}]
)
def test_everything_else_of_a_case_must_be_equal(changes):
    records = [
        *make_trained("imagenet-lrn", (0.5, 0.5), **changes),
        *make_trained("imagenet-bn", (0.6, 0.6)),
    ]
    assert rows(records) == []


def test_seeds_of_pretrained_and_random_weights_are_no_pairs():
    """Where the framework draws initial weights, neither side has a digest of them."""
    fractions = (0.5, 0.6, 0.7)
    scratch = make_trained("torchvision", fractions, track="tuned")
    weights = {"init": "pretrained", "weights": "torchvision@01234567"}
    pretrained = make_trained("torchvision", fractions[:2], track="tuned", **weights)
    assert accuracy_difference(pretrained, scratch).pairs is None
    frozen = make_trained("torchvision", fractions, track="tuned", frozen=True, **weights)
    assert accuracy_difference(pretrained, frozen).pairs is None
    assert accuracy_difference(scratch[:2], scratch).pairs == 2


def test_two_networks_may_start_from_weights_of_their_own():
    records = [
        replace(record, settings={**record.settings, "initial_weights_sha256": variant * 8})
        for variant in ("imagenet-lrn", "imagenet-bn")
        for record in make_trained(variant, (0.5, 0.6))
    ]
    (row,) = rows(records)
    assert row["not_compared"] is None
    assert (row["method"], row["verdict"]) == ("paired by seed", "tie")


def test_two_networks_on_other_batches_are_refused():
    records = [
        replace(record, settings={**record.settings, "batch_plan_sha256": variant * 8})
        for variant in ("imagenet-lrn", "imagenet-bn")
        for record in make_trained(variant, (0.5, 0.6))
    ]
    (row,) = rows(records)
    assert "batch_plan_sha256" in row["not_compared"]
    assert row["verdict"] == "not comparable"


@given(FRACTIONS, FRACTIONS)
@QUICK
def test_the_paired_interval_is_scipys(ours, theirs):
    number = min(len(ours), len(theirs))
    differences = np.subtract(ours[:number], theirs[:number])
    found = paired_difference(dict(enumerate(ours)), dict(enumerate(theirs)))
    assert found.value == pytest.approx(differences.mean(), abs=1e-12)
    if np.ptp(differences) > 1e-9:  # scipy divides by the spread
        wanted = ttest_rel(ours[:number], theirs[:number]).confidence_interval(0.95)
        assert found[1:] == pytest.approx((wanted.low, wanted.high), abs=1e-9)


@given(FRACTIONS, FRACTIONS)
@QUICK
def test_a_difference_turned_round_is_its_negative(ours, theirs):
    there, back = welch_difference(ours, theirs), welch_difference(theirs, ours)
    if there.low is None:  # two equal values of a side
        assert there == (-back.value, None, None)
        return
    assert there.low <= there.value + 1e-12
    assert there.value <= there.high + 1e-12
    assert there == pytest.approx((-back.value, -back.high, -back.low), abs=1e-9)


def test_no_spread_at_all_is_exact():
    assert welch_difference([0.75] * 3, [0.5] * 3) == (0.25, 0.25, 0.25)
    assert welch_difference([0.5] * 2, [0.5] * 2) == (0.0, 0.0, 0.0)
    assert math.isnan(welch_difference([], [0.5]).value)


@pytest.mark.parametrize(
    "sides",
    [([0.75] * 2, [0.5] * 2), ([0.75] * 3, [0.5] * 2), ([0.75] * 2, [0.51, 0.5, 0.49])],
)
def test_two_seeds_that_happen_to_be_equal_give_no_interval(sides):
    assert welch_difference(*sides) == (pytest.approx(0.25), None, None)
    assert mean_of_seeds([0.75] * 2) == (0.75, None, None)
    assert mean_of_seeds([0.75] * 3) == (0.75, 0.75, 0.75)


@pytest.fixture
def axes():
    """The one panel of three seeds of pytorch and two of jax, a third failed, one diverged."""
    jax = make_trained("cifar-bn", (0.66, 0.1), framework="keras-jax")
    records = [
        *make_trained("cifar-bn", (0.60, 0.62, 0.64)),
        jax[0],
        diverge(jax[1]),
        make_failure(framework="keras-jax", seed=2),
    ]
    with style():
        drawing = draw_seeds(part_of(records))
    (panel,) = drawing.figure.axes
    return panel


def test_the_plot_of_seeds_has_every_seed_and_marks_the_diverged(axes):
    marks = {}
    for line in axes.lines:
        marks.setdefault(line.get_marker(), []).extend(line.get_xdata())
    assert marks["D"] == [0.60, 0.62, 0.64, 0.66]  # the mark of BatchNorm, in two colours
    tints = {line.get_color() for line in axes.lines if line.get_marker() == "D"}
    assert len(tints) == 2
    assert marks["X"] == [0.1]
    assert marks["|"] == pytest.approx([0.62, 0.38])  # means: of jax with the diverged seed
    names = row_names(axes)
    assert names == ["pytorch\n3 seeds", "keras-jax\n2 of 3 seeds, 1 failed, 1 diverged"]


def test_the_plot_of_seeds_has_the_interval_and_says_where_it_is_cut(axes):
    lines = [line for line in axes.lines if line.get_marker() == "None"]
    reach = T2 * 0.02 / math.sqrt(3)
    assert list(lines[0].get_xdata()) == pytest.approx([0.62 - reach, 0.62 + reach], abs=1e-6)
    assert list(lines[1].get_xdata()) == [0.0, 1.0]  # two seeds, far apart: ±356 points


def test_the_plot_of_seeds_cuts_the_interval_of_two_with_its_value():
    with style():
        drawing = draw_seeds(part_of(make_trained("cifar-bn", (0.60, 0.63))))
    (axes,) = drawing.figure.axes
    low, high = axes.get_xlim()
    (line,) = [line for line in axes.lines if line.get_marker() == "None"]
    assert list(line.get_xdata()) == [low, high]  # ±19 points
    assert {"<", ">"} <= {line.get_marker() for line in axes.lines}
    assert {"42.4 %", "80.6 %"} <= {text.get_text() for text in axes.texts}
