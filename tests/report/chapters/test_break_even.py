"""When the faster framework has made up for its slower start."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.chapters.speed.break_even import break_even, break_even_images
from bench.report.plot_style import style
from bench.report.tables import TABLES, frame, sections
from tests.support.parts import part_of
from tests.support.synthetic_records.synthetic import FAILED_PARITY, make_record

TABLE = {table.name: table for table in TABLES}["break_even"]
RATE = st.floats(1, 1e5)


def measured(framework, rate, parts, **changes):
    """Throughput at exactly `rate` images/s, and a start-up of (import, build, first step) s."""
    timed = make_record(framework=framework, kind="train_throughput", **changes)
    started = make_record(framework=framework, kind="startup", **changes)
    names = ("import_seconds", "build_seconds", "first_step_seconds")
    metrics = dict(zip(names, parts, strict=True))
    turns = {"group": f"of {framework}", "blocks": [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]}
    return [
        replace(timed, samples=(1.0,) * 4, images_per_sample=rate, metrics={"interleaving": turns}),
        replace(started, samples=(sum(parts),), metrics=metrics),
    ]


def rows(records):
    return frame(TABLE, records).to_dict("records")


def cells(records):
    found = sections(TABLE, records)
    return [dict(zip(s.headers, row, strict=True)) for s in found for row in s.cells]


SLOW_START = measured("keras-jax", 2000, (4.0, 1.0, 20.0))
QUICK_START = measured("pytorch", 1000, (2.0, 1.0, 2.0))


def test_the_faster_one_catches_up_after_what_its_start_cost():
    records = [*QUICK_START, *SLOW_START]
    (row,) = rows(records)
    # 20 s later, and 1/1000 - 1/2000 s won with every image.
    assert row["images"] == pytest.approx(40_000)
    assert row["epochs"] == pytest.approx(0.8)
    assert (row["framework"], row["reference"]) == ("keras-jax", "pytorch")
    assert row["behind_seconds"] == pytest.approx(20)
    assert row["behind_first_step_seconds"] == pytest.approx(18)
    assert row["verdict"] == "break-even"
    (shown,) = cells(records)
    assert (shown["level after images"], shown["level after epochs"]) == ("40,000", "0.800")
    assert (shown["start-up, difference (s)"], shown["of which first step (s)"]) == (
        "+20.0",
        "+18.0",
    )


def test_who_is_faster_and_starts_sooner_is_ahead_from_the_start():
    records = [*QUICK_START, *measured("keras-jax", 2000, (1.0, 1.0, 1.0))]
    (row,) = rows(records)
    assert (row["framework"], row["verdict"]) == ("keras-jax", "ahead from the start")
    (shown,) = cells(records)
    assert (shown["level after images"], shown["start-up, difference (s)"]) == ("—", "-2.00")


def test_rates_that_were_not_told_apart_have_no_break_even():
    (row,) = rows([*QUICK_START, *measured("keras-jax", 1000, (9.0, 1.0, 1.0))])
    assert row["verdict"] == "tie in images/s"
    assert row["images"] is None
    alone = [
        replace(r, metrics={} if r.kind == "train_throughput" else r.metrics) for r in SLOW_START
    ]
    (row,) = rows([*QUICK_START, *alone])
    assert row["verdict"] == "inconclusive in images/s"  # one process
    assert row["images"] is None


def test_the_ratio_is_that_of_the_throughput_table():
    """Planted: blocks whose pairs say another ratio than their medians do."""
    blocks = [[p, turn, 1] for p in (0, 1) for turn in range(3)]
    pairs = {"pytorch": (1.0, 2.0, 4.0) * 2, "keras-jax": (0.5, 0.8, 3.9) * 2}
    records = []
    for name, samples in pairs.items():
        timed, started = measured(name, 100, (1.0, 1.0, 1.0))
        turns = {"interleaving": {"group": "m", "blocks": blocks}}
        records += [replace(timed, samples=samples, metrics=turns), started]
    (row,) = rows(records)
    table = next(t for t in TABLES if t.name == "throughput")
    other = frame(table, records).set_index("framework").loc["keras-jax"]
    assert row["framework"] == "keras-jax"
    assert [row[k] for k in ("ratio", "ratio_low", "ratio_high")] == [
        other[k] for k in ("ratio", "ratio_low", "ratio_high")
    ]
    assert row["ratio"] == pytest.approx(2.0)  # medians alone: 2.5


def test_start_up_is_the_mean_over_seeds():
    again = measured("keras-jax", 2000, (4.0, 1.0, 40.0), seed=1)[1]
    (row,) = rows([*QUICK_START, *SLOW_START, again])
    assert row["behind_seconds"] == pytest.approx(30)
    assert row["images"] == pytest.approx(60_000)


def test_every_pair_has_a_row_and_networks_and_tracks_stay_apart():
    records = [*QUICK_START, *SLOW_START, *measured("keras-torch", 500, (9.0, 1.0, 1.0))]
    assert len(rows(records)) == 3
    others = [*measured("keras-jax", 9, (1, 1, 1), track="idiomatic")]
    assert rows([*QUICK_START, *others]) == []
    assert rows([*QUICK_START, *measured("keras-jax", 9, (1, 1, 1), variant="cifar-lrn")]) == []


def test_both_measurements_are_needed_and_the_start_up_of_the_same_case():
    assert rows([*QUICK_START, SLOW_START[0]]) == []
    other = measured("keras-jax", 2000, (4.0, 1.0, 20.0), batch_size=64)[1]
    assert rows([*QUICK_START, SLOW_START[0], other]) == []
    silent = replace(SLOW_START[1], metrics={})
    assert rows([*QUICK_START, SLOW_START[0], silent]) == []


def test_what_may_not_be_compared_is_refused_in_words():
    settings = {**SLOW_START[0].settings, "threads": {"intra_op": 1}}
    records = [*QUICK_START, *(replace(record, settings=settings) for record in SLOW_START)]
    (row,) = rows(records)
    assert (row["verdict"], row["images"]) == ("not comparable", None)
    (section,) = sections(TABLE, records)
    assert any("threads.intra_op 1 against 2" in note for note in section.notes)
    axes = drawn(records)
    assert len(axes.lines) == 2  # and no crossing
    assert "no break-even, the ratio is not comparable" in " ".join(axes.get_xlabel().split())


def test_what_is_uncertified_has_no_break_even():
    assert rows([*QUICK_START, *(replace(r, parity=FAILED_PARITY) for r in SLOW_START)]) == []


def drawn(records):
    with style():
        drawing = break_even(part_of(records))
    (axes,) = drawing.figure.axes
    return axes


def test_a_crossing_is_drawn_where_the_faster_one_is_decided():
    axes = drawn([*QUICK_START, *SLOW_START])
    *lines, crossing = axes.lines
    assert len(lines) == 2
    assert crossing.get_xdata()[0] == pytest.approx(40_000)
    assert crossing.get_ydata()[0] == pytest.approx(45)
    assert crossing.get_gid() == "hover: keras-jax is ahead of pytorch from 40,000 images on"
    assert axes.get_xlim()[1] > 40_000
    assert axes.get_xlabel() == "training images after the first step"


def test_an_undecided_ratio_has_thin_lines_and_no_crossing_and_says_so():
    records = [*QUICK_START, *measured("keras-jax", 1020, (9.0, 1.0, 1.0))]
    assert rows(records)[0]["images"] is None
    axes = drawn(records)
    thick = drawn([*QUICK_START, *SLOW_START]).lines[0].get_linewidth()
    assert [line.get_linewidth() < thick for line in axes.lines] == [True, True]
    assert axes.get_xlim()[1] < 20_000  # medians would cross after 306,000 images
    words = " ".join(axes.get_xlabel().split())
    why = "no break-even, the ratio is inconclusive"
    assert words.endswith(f"keras-jax and pytorch: {why}")
    alike = [r for name in ("jax", "torch") for r in measured(f"keras-{name}", 1000, (9, 1, 1))]
    words = " ".join(drawn([*QUICK_START, *alike]).get_xlabel().split())
    assert words.endswith("no break-even: every ratio is a tie")


def test_rows_of_one_framework_are_told_by_what_it_is_compared_with():
    slower = measured("keras-torch", 500, (9.0, 1.0, 1.0))
    (section,) = sections(TABLE, [*QUICK_START, *SLOW_START, *slower])
    assert len(set(section.names)) == len(section.cells) == 3


def test_two_precisions_of_a_framework_are_named():
    slow, fast = (
        [
            replace(r, case=replace(r.case, track="idiomatic", precision=precision))
            for r in measured("pytorch", rate, start)
        ]
        for precision, rate, start in (
            ("float32", 1000, (3.0, 0.5, 0.5)),
            ("bfloat16", 2000, (9.0, 1.0, 14.0)),
        )
    )
    (section,) = sections(TABLE, [*slow, *fast])
    assert section.lead.startswith("cifar-bn: pytorch bfloat16 is ahead of pytorch float32 from ")
    crossing = drawn([*slow, *fast]).lines[-1]
    assert "pytorch bfloat16 is ahead of pytorch float32" in crossing.get_gid()


def test_the_sentence_says_who_is_ahead_from_which_image_on():
    (section,) = sections(TABLE, [*QUICK_START, *SLOW_START])
    ahead = "cifar-bn: keras-jax is ahead of pytorch from 40,000 images on."
    assert section.lead == ahead
    slower = measured("keras-jax", 500, (9.0, 1.0, 1.0))
    (section,) = sections(TABLE, [*QUICK_START, *slower])
    assert section.lead == "cifar-bn: pytorch is ahead of keras-jax from the start."
    alike = measured("keras-torch", 1000, (9.0, 1.0, 1.0))
    (section,) = sections(TABLE, [*QUICK_START, *alike])
    assert section.lead == "cifar-bn: no break-even, tie in images/s (pytorch and keras-torch)."
    more = measured("keras-tensorflow", 500, (9.0, 1.0, 1.0))
    (section,) = sections(TABLE, [*QUICK_START, *SLOW_START, *alike, *more])
    names = "pytorch, keras-jax, keras-torch and keras-tensorflow"
    assert section.lead.startswith(f"cifar-bn in {names}, 6 pairs: 2 ahead from the start, ")
    assert ahead[:-1] in section.lead


@given(st.floats(0, 100), st.floats(0, 100), RATE, st.floats(1.01, 10))
@settings(max_examples=40, deadline=None)
def test_at_the_break_even_both_have_taken_as_long(ours, theirs, slower, factor):
    faster = slower * factor
    images = break_even_images((ours, theirs), (faster, slower))
    if ours <= theirs:
        assert images == 0
    else:
        assert ours + images / faster == pytest.approx(theirs + images / slower)


def test_the_first_rate_must_be_the_higher():
    with pytest.raises(ValueError, match="higher"):
        break_even_images((1.0, 0.0), (10.0, 10.0))
