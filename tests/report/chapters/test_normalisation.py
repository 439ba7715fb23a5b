"""What a normalisation costs in images/s and brings in accuracy: rows, table and plot."""

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.experiments import Data
from bench.report.chapters.normalisation import normalisation
from bench.report.plot_style import style
from bench.report.tables import TABLES, frame, sections
from tests.support.parts import part_of, row_names
from tests.support.synthetic_records.synthetic import FAILED_PARITY, make_record
from tests.support.synthetic_records.synthetic_normalisation import (
    make_normalisations,
    make_trained,
)

TABLE = {table.name: table for table in TABLES}["normalisation"]
DATA = Data("cifar10", "0a1b2c3d4e5f")


def rows(records):
    return frame(TABLE, records).to_dict("records")


def cells(records):
    found = sections(TABLE, records)
    return [dict(zip(s.headers, row, strict=True)) for s in found for row in s.cells]


def timed(variant, seconds, group="one", **changes):
    record = make_record(
        variant, kind="train_throughput", samples=(seconds,) * 4, images_per_sample=100, **changes
    )
    blocks = [[process, turn, 1] for process in (0, 1) for turn in (0, 1)]
    turns = {"group": group, "blocks": blocks}
    return replace(record, metrics={**record.metrics, "interleaving": turns})


def both(variant, fractions, seconds, group="one", **changes):
    trained = make_trained(variant, fractions, **changes)
    return [*trained, timed(variant, seconds, group, **changes)]


PLAIN = both("cifar-plain", (0.50, 0.52, 0.54), 1.0)


def test_cost_and_benefit_are_those_of_the_same_framework():
    records = [
        *PLAIN,
        *both("cifar-bn", (0.58, 0.60, 0.62), 1.25),
        *both("cifar-bn", (0.9, 0.9, 0.9), 0.1, framework="keras-jax"),  # no plain network
    ]
    (row,) = rows(records)
    assert (row["framework"], row["normalisation"]) == ("pytorch", "9 BN over none")
    assert row["difference"] == pytest.approx(0.08)
    assert (row["ratio"], row["speed_verdict"]) == (pytest.approx(0.8), "slower")
    assert (row["pairs"], row["accuracy_verdict"]) == (3, "higher")
    (shown,) = cells(records)
    assert shown["images/s (%)"] == "-20.0 [-26.6, -12.8]"
    assert shown["accuracy (points)"].startswith("+8.0 [")


def test_each_normalisation_has_its_line_and_its_base():
    records = [
        *PLAIN,
        *both("cifar-lrn", (0.5, 0.5, 0.5), 2.0),
        *both("imagenet-lrn", (0.5, 0.5), 2.0),
        *both("imagenet-bn", (0.6, 0.7), 1.0),
    ]
    lrn, over = rows(records)
    assert (lrn["normalisation"], lrn["ratio"]) == ("2 LRN over none", pytest.approx(0.5))
    assert (over["normalisation"], over["base"]) == ("2 BN over 2 LRN", "imagenet-lrn")
    assert over["ratio"] == pytest.approx(2)
    assert over["difference"] == pytest.approx(0.15)


def test_only_networks_of_one_interleaved_group_get_a_verdict_on_their_speed():
    apart = [
        *PLAIN,
        *both("cifar-bn", (0.58, 0.60, 0.62), 1.25, group="another"),
    ]
    (row,) = rows(apart)
    assert row["ratio"] == pytest.approx(0.8)
    assert row["ratio_low"] is None
    assert row["speed_verdict"] == "no verdict (not interleaved)"
    assert row["accuracy_verdict"] == "higher"
    (shown,) = cells(apart)
    assert shown["images/s (%)"] == "-20.0"
    with style():
        assert normalisation(part_of(apart)) is None  # no mark without a verdict
    (row,) = rows([*PLAIN, *both("cifar-bn", (0.58, 0.60, 0.62), 1.25)])
    assert (row["speed_pairs"], row["speed_verdict"]) == (4, "slower")


def test_the_cost_is_the_median_of_paired_blocks_not_of_both_medians():
    """The machine slows down threefold while both are measured: a pair has its share of it."""
    drift = (1.0, 1.5, 2.0, 3.0)
    records = []
    for variant, factor in (("cifar-plain", 1.0), ("cifar-lrn", 1.25)):
        record = timed(variant, 1.0)
        records.append(replace(record, samples=tuple(factor * slow for slow in drift)))
    (row,) = rows(records)
    assert row["ratio"] == pytest.approx(0.8)
    assert row["ratio_low"] > 0.7
    assert row["speed_verdict"] == "slower"


def test_one_for_one_has_a_line_of_its_own():
    records = [
        *both("cifar-lrn", (0.5, 0.5, 0.5), 2.0),
        *both("cifar-bn2", (0.6, 0.6, 0.6), 1.0),
    ]
    (row,) = rows(records)
    assert (row["normalisation"], row["base"]) == ("2 BN over 2 LRN", "cifar-lrn")
    assert row["ratio"] == pytest.approx(2)


def test_tracks_stay_apart():
    found = sections(TABLE, [*make_normalisations(), *make_normalisations("idiomatic")])
    assert [section.track for section in found] == ["closed", "idiomatic"]
    assert [len(section.cells) for section in found] == [4, 4]
    assert rows([*PLAIN, *both("cifar-bn", (0.6,), 1.0, track="idiomatic")]) == []


def test_speed_belongs_to_accuracy_of_any_recipe():
    records = [
        *make_trained("cifar-plain", (0.5, 0.5), recipe="long"),
        *make_trained("cifar-bn", (0.6, 0.6), recipe="long"),
        timed("cifar-plain", 1.0),
        timed("cifar-bn", 2.0),
    ]
    (row,) = rows(records)
    assert (row["recipe"], row["ratio"]) == ("long", pytest.approx(0.5))


def test_a_row_with_one_of_the_two_shows_that_and_is_in_no_plot():
    speed = [timed("cifar-plain", 1.0), timed("cifar-bn", 2.0)]
    accuracy = [*make_trained("cifar-plain", (0.5,)), *make_trained("cifar-bn", (0.6,))]
    (shown,) = cells(speed)
    assert (shown["accuracy (points)"], shown["training is"]) == ("—", "slower")
    (shown,) = cells(accuracy)
    assert (shown["accuracy (points)"], shown["accuracy is"]) == ("+10.0", "inconclusive")
    assert (shown["images/s (%)"], shown["training is"]) == ("—", "—")
    for records in (speed, accuracy):
        with style():
            assert normalisation(part_of(records)) is None


def test_what_may_not_be_compared_is_refused_in_words():
    records = [*PLAIN, *both("cifar-bn", (0.6, 0.6, 0.6), 1.0)]
    records[-1] = replace(records[-1], settings={**records[-1].settings, "affinity": [3]})
    (row,) = rows(records)
    assert np.isnan(row["ratio"])
    assert row["difference"] > 0  # the trainings had equal terms
    (section,) = sections(TABLE, records)
    assert any("affinity [3] against [0, 1]" in note for note in section.notes)


def test_what_is_uncertified_is_not_held_against_anything():
    assert rows([*PLAIN, *both("cifar-bn", (0.6,), 1.0, parity=FAILED_PARITY)]) == []


def drawn(records):
    with style():
        drawing = normalisation(part_of(records))
    left, right = drawing.figure.axes
    return left, right, drawing


def test_a_mark_stands_at_both_changes_in_the_framework_s_colour_and_the_normalisation_s_shape():
    records = [
        *PLAIN,
        *both("cifar-bn", (0.58, 0.60, 0.62), 1.25),
        *both("cifar-lrn", (0.53, 0.55, 0.57), 1.6),
        *both("cifar-plain", (0.50, 0.52, 0.54), 1.0, framework="keras-jax"),
        *both("cifar-bn", (0.59, 0.61, 0.63), 1.25, framework="keras-jax"),
    ]
    left, right, drawing = drawn(records)
    both_marks = [[m for m in axes.lines if m.get_marker() in "Ds"] for axes in (left, right)]
    assert [[m.get_marker() for m in marks] for marks in both_marks] == [["D", "D", "s"]] * 2
    costs, gains = ([m.get_xdata()[0] for m in marks] for marks in both_marks)
    assert costs == pytest.approx([-20, -20, -37.5])
    assert gains == pytest.approx([8, 9, 3])
    assert [m.get_ydata()[0] for m in both_marks[0]] == [m.get_ydata()[0] for m in both_marks[1]]
    tints = [m.get_color() for m in both_marks[0]]
    assert tints[0] == tints[2] != tints[1]
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend == ["pytorch", "keras-jax", "LRN", "BatchNorm"]
    names = set(row_names(left))
    assert {"9 BN over none", "2 LRN over none"} <= names


def test_the_axis_is_as_wide_as_the_intervals():
    records = [
        *both("cifar-plain", (0.50, 0.50), 1.0),
        *both("cifar-bn", (0.50, 0.60), 1.25),  # +5 points, ±64
    ]
    left, right, _ = drawn(records)
    assert not {line.get_marker() for axes in (left, right) for line in axes.lines} & {"<", ">"}
    low, high = right.get_xlim()
    assert low < 5 - 63 < 5 + 63 < high


def test_an_interval_far_beyond_all_others_is_cut_with_an_arrow():
    records = [
        *both("cifar-plain", (0.50, 0.50), 1.0),
        *both("cifar-bn", (0.50, 0.60), 1.25),  # +5 points, ±64
        *both("cifar-lrn", (0.539, 0.541), 1.25),
        *both("cifar-bn2", (0.54, 0.541), 1.25),
    ]
    _, right, _ = drawn(records)
    arrows = {line.get_marker(): line.get_xdata()[0] for line in right.lines}
    low, high = right.get_xlim()
    assert (low, high) == pytest.approx((arrows["<"], arrows[">"]), rel=0.15)
    assert high < 50


def test_pairs_of_seeds_and_of_blocks_are_two_columns():
    (shown,) = cells([*PLAIN, *both("cifar-bn", (0.58, 0.60, 0.62), 1.25)])
    assert (shown["pairs of seeds"], shown["pairs of blocks"]) == ("3", "4")
