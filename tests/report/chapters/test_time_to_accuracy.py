"""Time to accuracy: Kaplan-Meier curves, what follows from them, the table and the plot."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.records import RecordStore
from bench.report.blocks import stale
from bench.report.chapters.learning.time_to_accuracy import time_to_accuracy
from bench.report.plot_style import style
from bench.report.tables import TABLES, as_markdown, frame, sections
from bench.stats.survival import Seed, median_time, restricted_mean, survival_curve
from tests.support.parts import part_of
from tests.support.synthetic_records.synthetic import (
    FAILED_PARITY,
    STARTUP,
    make_failure,
    make_record,
)

TABLE = {table.name: table for table in TABLES}["time_to_accuracy"]
QUICK = settings(max_examples=40, deadline=None)
TIMES = st.floats(0.5, 1000)
SEEDS = st.lists(st.builds(Seed, TIMES, st.booleans()), min_size=1, max_size=8)


def reached(*times):
    return [Seed(time, True) for time in times]


def test_a_seed_that_ended_early_leaves_the_others_to_count_for_it():
    seeds = [*reached(1.0, 3.0, 4.0), Seed(2.0, False)]
    # 3 of 4 are left at 1; at 3 two are still followed, one of them arrives; at 4 the last does.
    curve = survival_curve(seeds)
    assert curve.times == (1, 2, 3, 4)
    assert curve.shares == pytest.approx((3 / 4, 3 / 4, 3 / 8, 0))
    assert median_time(seeds) == 3
    # 1 · 1 + 2 · 3/4 + 1 · 3/8
    assert restricted_mean(seeds, 4.0) == pytest.approx(2.875)
    assert restricted_mean(seeds, 2.0) == pytest.approx(1.75)


def test_who_never_arrives_counts_as_the_horizon():
    seeds = [*reached(10.0), Seed(100.0, False), Seed(100.0, False)]
    assert median_time(seeds) is None
    assert restricted_mean(seeds, 100.0) == pytest.approx((10 + 100 + 100) / 3)


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ((1.0, 3.0), 2.0),
        ((1.0, 3.0, None), 3.0),
        ((1.0, None), None),
        ((None,), None),
        ((5.0,), 5.0),
        ((1.0, 2.0, None, None), None),
        ((1.0, 2.0, 4.0, None), 3.0),
    ],
)
def test_the_median_is_that_of_times_where_never_is_infinite(times, median):
    seeds = [Seed(9.0, False) if time is None else Seed(time, True) for time in times]
    assert median_time(seeds) == median


def test_without_a_seed_or_beyond_what_is_known_there_is_no_answer():
    with pytest.raises(ValueError, match="needs a seed"):
        survival_curve([])
    with pytest.raises(ValueError, match=r"followed up to 5.0 only"):
        restricted_mean([Seed(5.0, False)], 6.0)
    assert restricted_mean(reached(5.0), 6.0) == 5  # all have arrived: nothing is left to know


@given(st.lists(TIMES, min_size=1, max_size=12))
@QUICK
def test_without_censoring_it_is_the_empirical_distribution(times):
    curve = survival_curve(reached(*times))
    for time, share in zip(curve.times, curve.shares, strict=True):
        assert share == pytest.approx(np.mean(np.array(times) > time), abs=1e-9)
    horizon = max(times)
    assert restricted_mean(reached(*times), horizon) == pytest.approx(np.mean(times))
    assert restricted_mean(reached(*times), horizon / 2) == pytest.approx(
        np.minimum(times, horizon / 2).mean()
    )


@given(SEEDS, st.floats(0, 1))
@QUICK
def test_the_restricted_mean_lies_between_0_and_the_horizon(seeds, part):
    horizon = part * max(seed.time for seed in seeds)
    assert 0 <= restricted_mean(seeds, horizon) <= horizon * (1 + 1e-9)


@given(SEEDS, st.integers(0, 7), st.floats(0, 500))
@QUICK
def test_who_arrives_later_makes_the_restricted_mean_no_smaller(seeds, place, more):
    # All are followed up to one end: past a seed that left earlier, a later arrival can weigh more.
    end = 1000.0
    seeds = [seed if seed.reached else Seed(end, False) for seed in seeds]
    place %= len(seeds)
    later = list(seeds)
    later[place] = later[place]._replace(time=min(seeds[place].time + more, end))
    assert restricted_mean(later, end) >= restricted_mean(seeds, end) - 1e-9 * end


@given(SEEDS)
@QUICK
def test_a_curve_only_falls_and_stays_a_share(seeds):
    shares = survival_curve(seeds).shares
    assert list(shares) == sorted(shares, reverse=True)
    assert all(0 <= share <= 1 for share in shares)


def run(seconds, *, goal=0.5, end=100.0, startup=STARTUP, **changes):
    """A training of 1,000 images/s that reaches `goal` after `seconds` (None: never)."""
    record = make_record(kind="accuracy", **changes)
    images = None if seconds is None else round(1000 * seconds)
    metrics = {
        **record.metrics,
        "startup": startup,
        "thresholds": [
            {"accuracy": goal, "seconds": seconds, "images": images},
            {"accuracy": 0.9, "seconds": None, "images": None},
        ],
        "train_seconds": end,
        "train_images": round(1000 * end),
    }
    return replace(record, metrics=metrics)


def old(seconds, **changes):
    """The same, of a record from before start-up was kept."""
    record = run(seconds, **changes)
    return replace(record, metrics={k: v for k, v in record.metrics.items() if k != "startup"})


def diverged(record):
    return replace(record, metrics={**record.metrics, "diverged": True})


def rows(records):
    return {row["framework"]: row for row in frame(TABLE, records).to_dict("records")}


def cells(records):
    found = sections(TABLE, records)
    return [dict(zip(s.headers, row, strict=True)) for s in found for row in s.cells]


def test_seconds_count_from_the_empty_process_and_images_do_not():
    records = [run(s, seed=seed) for seed, s in enumerate((10.0, None, 30.0))]
    row = rows(records)["pytorch"]
    before = 3.0 + 0.5  # the first step is in the training's seconds already
    assert (row["reached"], row["seeds"]) == (2, 3)
    assert row["median_seconds"] == 30 + before
    assert row["mean_seconds"] == pytest.approx((10 + 30 + 100) / 3 + before)
    assert row["horizon_seconds"] == 100 + before
    assert row["median_images"] == 30_000
    assert row["mean_images"] == pytest.approx(140_000 / 3)
    assert (row["startup_seconds"], row["first_step_seconds"]) == (5.0, 1.5)
    (shown,) = cells(records)  # nobody reached 90 %
    assert (shown["accuracy"], shown["reached"]) == ("50 %", "2 of 3")
    assert (shown["median (s)"], shown["mean (s)"], shown["horizon (s)"]) == (
        "33.5",
        "≥ 50.2",
        "104",
    )
    assert (shown["start-up (s)"], shown["of which first step (s)"]) == ("5.00", "1.50")


def evaluated(record, *, every, thresholds):
    """The same, evaluated every so many images; (accuracy, images or None) of its thresholds."""
    curve = [{"images": every}, {"images": 2 * every}]
    found = [
        {"accuracy": goal, "images": images, "seconds": images and images / 1000}
        for goal, images in thresholds
    ]
    return replace(record, metrics={**record.metrics, "curve": curve, "thresholds": found})


def test_accuracies_of_one_evaluation_share_a_row_that_says_what_is_known_of_them():
    """12.9 s stood for 30 % and 40 %, which the first of two evaluations had found."""
    goals = [(0.3, 5000), (0.4, 5000), (0.5, 10_000), (0.6, None)]
    records = [evaluated(run(1.0), every=5000, thresholds=goals)]
    assert list(frame(TABLE, records)["threshold"]) == [0.3, 0.4, 0.5]
    first, second = cells(records)
    assert (first["accuracy"], first["median (s)"]) == ("30, 40 %", "≤ 8.50")
    assert (first["mean (s)"], first["median images"]) == ("≤ 8.50", "≤ 5,000")
    assert (second["accuracy"], second["median (s)"]) == ("50 %", "13.5")
    (section,) = sections(TABLE, records)
    assert "evaluated every 5,000 images" in section.notes[0]
    assert "50 % test accuracy was reached after 13.5 s" in section.lead
    text = as_markdown(TABLE, records)
    assert "≤ says" in text
    assert "≥ says" not in text


def test_an_accuracy_of_the_first_evaluation_was_there_before():
    records = [evaluated(run(1.0), every=5000, thresholds=[(0.3, 5000)])]
    (section,) = sections(TABLE, records)
    assert "30 % test accuracy was there at the first evaluation, after 8.50 s" in section.lead


def test_frameworks_share_the_horizon_of_the_one_that_ended_first():
    records = [run(40.0, end=200.0), run(None, end=60.0, framework="keras-jax")]
    found = rows(records)
    assert {row["horizon_seconds"] for row in found.values()} == {63.5}
    assert found["pytorch"]["mean_seconds"] == pytest.approx(43.5)
    assert found["keras-jax"]["mean_seconds"] == pytest.approx(63.5)
    assert found["keras-jax"]["median_seconds"] is None or np.isnan(
        found["keras-jax"]["median_seconds"]
    )
    assert [row["median (s)"] for row in cells(records)] == ["43.5", "never"]


def test_seeds_of_one_framework_share_the_horizon_of_the_one_that_ended_first():
    """A longer seed that had arrived and a shorter one that had not lost the whole table."""
    records = [run(50.0, end=105.0), run(None, end=100.0, seed=1)]
    row = rows(records)["pytorch"]
    assert row["horizon_seconds"] == 103.5
    assert row["mean_seconds"] == pytest.approx((53.5 + 103.5) / 2)


def test_a_seed_behind_the_horizon_makes_the_mean_a_floor():
    records = [run(90.0, end=200.0), run(20.0, end=60.0, framework="keras-jax")]
    assert [row["mean (s)"] for row in cells(records)] == ["≥ 63.5", "23.5"]
    assert [row["reached"] for row in cells(records)] == ["1 of 1", "1 of 1"]


@pytest.mark.parametrize(
    ("found", "bounds"),
    [
        ((5000, 5000, 10000), ("≤", "≤")),  # the middle one was there at the first evaluation
        ((5000, 10000, 10000), ("", "≤")),
        ((10000, 10000, 10000), ("", "")),
        ((5000, None, None), ("", "")),  # never in half of the seeds, and no bound of the mean
        ((10000, None, None), ("", "≥")),
    ],
)
def test_a_seed_that_the_first_evaluation_found_makes_an_upper_bound(found, bounds):
    records = [
        evaluated(run(1.0, seed=seed), every=5000, thresholds=[(0.5, images)])
        for seed, images in enumerate(found)
    ]
    row = rows(records)["pytorch"]
    assert (row["median_images_bound"], row["mean_images_bound"]) == bounds


def test_a_bound_is_one_on_every_page(tmp_path):
    """A page had 63.5 where the report has ≥ 63.5."""
    records = [run(90.0, end=200.0), run(20.0, end=60.0, framework="keras-jax")]
    RecordStore(tmp_path / "results" / "one").append(*records)
    page = tmp_path / "page.md"
    block = "table: run=one name=time_to_accuracy framework=pytorch columns='mean_seconds'"
    page.write_text(f"<!-- {block} -->\n<!-- /table -->\n", encoding="utf-8")
    stale(page, write=True)
    assert " ≥ 63.5 |" in page.read_text(encoding="utf-8")


def test_a_diverged_seed_is_known_never_to_arrive_and_cuts_nothing_short():
    records = [
        *(run(s, seed=seed) for seed, s in enumerate((50.0, 60.0))),
        diverged(run(None, end=5.0, seed=2)),
        run(70.0, framework="keras-jax"),
    ]
    row = rows(records)["pytorch"]
    assert row["horizon_images"] == 100_000
    # As censored at 5 s it would leave the mean of the other two.
    assert row["mean_images"] == pytest.approx((50_000 + 60_000 + 100_000) / 3)
    assert row["diverged"] == 1


def test_records_from_before_have_seconds_of_training_alone_and_say_so():
    records = [old(10.0), run(20.0, framework="keras-jax"), run(20.0, variant="cifar-lrn")]
    (section,) = sections(TABLE, records)
    shown = cells(records)
    # Both frameworks of the network: with start-up in one of them they could not be compared.
    assert [row["median (s)"] for row in shown] == ["10.0", "20.0", "23.5"]
    assert [row["start-up (s)"] for row in shown] == ["n/a", "5.00", "5.00"]
    (note,) = [line for line in section.notes if "start-up" in line]
    assert note.startswith("cifar-bn: seconds are of training alone")
    assert not any("start-up" in n for n in sections(TABLE, [run(20.0)])[0].notes)


def test_accuracies_that_no_framework_of_a_network_reached_are_left_out():
    assert rows([run(None), run(None, framework="keras-jax")]) == {}


def test_what_is_uncertified_neither_shares_nor_shortens_a_horizon():
    apart = run(10.0, end=20.0, framework="keras-jax", parity=FAILED_PARITY)
    found = rows([run(10.0), apart])
    assert found["pytorch"]["horizon_seconds"] == 103.5
    assert found["keras-jax"]["horizon_seconds"] == 23.5


def test_failed_seeds_are_counted():
    (shown,) = cells([run(10.0), make_failure(seed=1)])
    assert (shown["seeds"], shown["reached"]) == ("1 of 2 (1 failed)", "1 of 1")


def test_the_plot_rises_where_seeds_arrive_and_ends_where_they_end():
    records = [
        *(run(s, seed=seed) for seed, s in enumerate((10.0, 20.0, None, None))),
        old(30.0, framework="keras-jax", variant="cifar-lrn"),
    ]
    with style():
        drawing = time_to_accuracy(part_of(records))
    with_startup, without = drawing.figure.axes
    curve, arrivals, ends, horizon = with_startup.lines
    assert list(curve.get_xdata()) == [0, 13.5, 23.5, 103.5]
    assert list(curve.get_ydata()) == pytest.approx([0, 0.25, 0.5, 0.5])
    assert list(arrivals.get_ydata()) == pytest.approx([0.25, 0.5])
    assert (list(ends.get_xdata()), list(ends.get_ydata())) == ([103.5], [0.5])
    assert horizon.get_xdata()[0] == 103.5
    assert with_startup.get_xlabel() == "seconds with start-up"
    assert without.get_xlabel() == "seconds of training"
    assert "without their start-up" in drawing.how


def test_the_sentence_has_the_weights_and_no_goal_of_another_network():
    """64.8 % was published for cifar-bn: for imagenet-lrn it is one accuracy among others."""
    started = {"variant": "imagenet-lrn", "init": "pretrained", "weights": "bvlc@1", "frozen": True}
    own, foreign = run(10.0), run(10.0, **started)
    goals = [{"accuracy": goal, "seconds": 10.0, "images": 10_000} for goal in (0.6, 0.648)]
    own, foreign = (replace(r, metrics={**r.metrics, "thresholds": goals}) for r in (own, foreign))
    (section,) = sections(TABLE, [foreign])
    assert section.lead == (
        "60 % test accuracy was reached after 13.5 s (imagenet-lrn in pytorch, from bvlc weights), "
        "start-up included."
    )
    (note,) = (note for note in section.notes if note.startswith("64.8 %"))
    assert note.startswith("64.8 % is the published accuracy of cifar-bn: Keras BatchNorm")
    (section,) = sections(TABLE, [own])
    assert section.lead.startswith("64.8 % test accuracy was reached after 13.5 s (cifar-bn ")


def test_there_is_no_plot_where_nobody_got_anywhere_or_there_is_one_seed_of_each():
    assert time_to_accuracy(part_of([run(None), run(None, seed=1)])) is None
    assert time_to_accuracy(part_of([run(10.0), run(20.0, framework="keras-jax")])) is None


def test_a_threshold_that_a_record_does_not_have_is_unknown_and_not_never():
    """Planted: a training that ended at 85 %, of a record without the threshold of 50 %."""
    silent = run(None, framework="keras-jax")
    kept = [{"accuracy": 0.9, "seconds": None, "images": None}]
    silent = replace(silent, metrics={**silent.metrics, "thresholds": kept})
    assert set(rows([run(10.0), silent])) == {"pytorch"}
    known = run(30.0, framework="keras-jax", seed=1)
    row = rows([run(10.0), silent, known])["keras-jax"]
    assert (row["reached"], row["seeds"], row["median_images"]) == (1, 1, 30_000)
    with style():
        two = [run(10.0), run(12.0, seed=1)]
        assert time_to_accuracy(part_of([*two, silent])) is not None


def test_a_first_step_that_was_not_recorded_is_in_no_median():
    first = make_record(kind="train_throughput", metrics={"first_step_seconds": 2.5})
    old = make_record(kind="train_throughput", seed=1, metrics={})
    throughput = {table.name: table for table in TABLES}["throughput"]
    (row,) = frame(throughput, [first, old]).to_dict("records")
    assert row["first_step_seconds"] == 2.5


REMOVED = ({"on": "seconds", "why": "trained beside other work"},)


def test_without_valid_seconds_images_alone_are_followed():
    keras = {"framework": "keras-jax"}
    records = [run(10.0), run(20.0, seed=1), run(30.0, **keras), run(None, seed=1, **keras)]
    records = [replace(record, caveats=REMOVED) for record in records]
    (section,) = sections(TABLE, records)
    assert [row["median images"] for row in cells(records)] == ["15,000", "never"]
    assert not any("(s)" in name for name in cells(records)[0])
    assert section.lead == (
        "50 % test accuracy was reached after 15,000 images (cifar-bn in pytorch). 1 of 2: never."
    )
    assert "seconds are left out: trained beside other work" in as_markdown(TABLE, records)
    with style():
        drawing = time_to_accuracy(part_of(records))
    (axes,) = drawing.figure.axes
    assert axes.get_xlabel() == "training images"
    assert list(axes.lines[0].get_xdata()) == [0, 10_000, 20_000]
    assert "not all of these trainings have valid seconds" in drawing.how


def test_a_seed_without_valid_seconds_counts_in_images_and_not_by_the_clock():
    removed = replace(run(90.0, seed=1), caveats=REMOVED)
    (shown,) = cells([run(10.0), removed])
    assert (shown["median (s)"], shown["mean (s)"]) == ("13.5", "13.5")
    assert (shown["median images"], shown["reached"]) == ("50,000", "2 of 2")
    assert (shown["seeds"], shown["seeds with valid seconds"]) == ("2", "1")
    (section,) = sections(TABLE, [run(10.0), removed])
    assert "reached after 50,000 images" in section.lead
    with style():  # by the clock there would be one seed, and no plot
        (axes,) = time_to_accuracy(part_of([run(10.0), removed])).figure.axes
    assert axes.get_xlabel() == "training images"
    other = replace(run(90.0, framework="keras-jax"), caveats=REMOVED)
    first, second = cells([run(10.0), other])
    assert (first["median (s)"], second["median (s)"]) == ("13.5", "—")
    assert (second["mean (s)"], second["start-up (s)"]) == ("—", "—")
