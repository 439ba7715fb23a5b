"""The chapter on several devices: its rows, its sentence and its plot."""

import pytest

from bench.report.chapters.speed.scaling import TABLE
from bench.report.plot_style import style
from bench.report.tables import frame, sections
from tests.support.parts import part_of, row_names
from tests.support.synthetic_records.synthetic import make_record
from tests.support.synthetic_records.synthetic_scaling import EFFICIENCY, make_scaling


@pytest.fixture(scope="module")
def records():
    return make_scaling()


def test_efficiency_is_the_speed_up_over_the_number_of_devices(records):
    found = frame(TABLE, records).set_index(["framework", "batch_size"])
    assert found.loc[("pytorch", 128), "scaling"] == "strong"
    assert found.loc[("pytorch", 256), "scaling"] == "weak"
    for place, expected in EFFICIENCY.items():
        row = found.loc[place]
        assert row["efficiency"] == pytest.approx(expected, rel=0.02)
        assert row["speed_up"] == pytest.approx(2 * row["efficiency"])
        assert row["low"] < row["efficiency"] < row["high"]


def test_the_chapter_begins_with_the_lowest_and_the_highest_efficiency(records):
    (section,) = sections(TABLE, records)
    assert section.lead.startswith("Efficiency on several devices: 77.")
    assert "(cifar-bn in pytorch) to" in section.lead
    assert section.lead.endswith("(cifar-bn in keras-jax).")


def test_strong_and_weak_scaling_stand_apart_in_the_plot(records):
    with style():
        drawing = TABLE.charts[0].draw(part_of(records))
    (axes,) = drawing.figure.axes
    names = row_names(axes)
    assert [name for name in names if name.endswith("scaling")] == [
        "strong scaling",
        "weak scaling",
    ]
    assert sum("2 devices" in name for name in names) == 4
    words = [text.get_text() for text in axes.texts]
    assert sum("speed-up 1." in word or "speed-up 2." in word for word in words) == 4


def test_one_device_alone_has_no_plot():
    with style():
        assert TABLE.charts[0].draw(part_of([make_record(kind="train_throughput")])) is None
