"""Speed-up of training on several devices: its rows, its sentence, its plot."""

from dataclasses import replace

import pytest

from bench.report.chapters.speed.scaling import TABLE
from bench.report.first_screen.answers import answers, lines
from bench.report.plot_style import style
from bench.report.tables import frame, sections
from tests.support.parts import part_of, row_names
from tests.support.synthetic_records.scaling import RUN


def test_strong_and_weak_scaling_have_their_own_base() -> None:
    rows = frame(TABLE, RUN).set_index(["framework", "scaling", "batch_size"])
    speed_up = rows["speed_up"].to_dict()
    assert speed_up == {
        ("pytorch", "strong", 128): pytest.approx(1.5),
        ("pytorch", "strong", 256): pytest.approx(1900 / 1100),
        ("pytorch", "weak", 256): pytest.approx(1.9),
        ("keras-jax", "strong", 128): pytest.approx(1.2),
    }
    assert (rows["efficiency"] == rows["speed_up"] / 2).all()
    assert rows["communication"].unique() == pytest.approx([0.25])
    within = rows["efficiency_low"] <= rows["efficiency"]
    within &= rows["efficiency"] <= rows["efficiency_high"]
    assert within.all()


def test_the_chapter_begins_with_both_ways_to_scale() -> None:
    (section,) = sections(TABLE, RUN)
    strong, weak = section.lead.split(". Efficiency ")
    assert strong.startswith("Efficiency in strong scaling: 60.0 % [")
    assert "(cifar-bn in keras-jax on 2 devices) to 86.4 % [" in strong
    assert weak.startswith("in weak scaling: 95.0 % [")
    assert weak.endswith("] (cifar-bn in pytorch on 2 devices).")


def test_strong_and_weak_scaling_stand_apart_in_the_plot() -> None:
    with style():
        drawing = TABLE.charts[0].draw(part_of(RUN))
    (axes,) = drawing.figure.axes
    names = row_names(axes)
    assert [name for name in names if name.endswith("scaling")] == [
        "strong scaling",
        "weak scaling",
    ]
    assert sum("2 devices" in name for name in names) == 4
    words = [text.get_text() for text in axes.texts]
    assert sum("speed-up 1." in word or "speed-up 2." in word for word in words) == 4


def test_one_device_alone_has_no_plot() -> None:
    with style():
        assert TABLE.charts[0].draw(part_of(RUN[:2])) is None


def test_a_run_on_several_devices_has_one_more_answer() -> None:
    """On the first screen and at the end of the run in the terminal."""
    without, found = ([a.question for a in answers(of)] for of in (RUN[:2], RUN))
    assert len(found) == len(without) + 1
    (line,) = [line for line in lines(RUN) if line.startswith("What do several devices bring?")]
    assert "Efficiency in strong scaling: 60.0 % [" in line
    (alone,) = [a for a in answers(RUN[2:3]) if a.question == "What do several devices bring?"]
    assert alone.sentence == "Nothing was measured on one device to compare with."
    unchecked = [replace(record, parity={"status": "unchecked"}) for record in RUN]
    (alone,) = [a for a in answers(unchecked) if a.question == "What do several devices bring?"]
    assert alone.sentence == "What was measured has no parity certificate."


def test_disturbed_efficiencies_are_no_lead_and_each_data_set_has_its_own() -> None:
    busy = [replace(r, metrics={**r.metrics, "disturbed": 0.5}) for r in RUN]
    (section,) = sections(TABLE, busy)
    assert section.lead == ""
    other = [replace(r, dataset={**r.dataset, "fingerprint": "f" * 64}) for r in RUN]
    (answer,) = [a for a in answers([*RUN, *other]) if "several devices" in a.question]
    assert "On synthetic records (ffffffffffff): Efficiency in strong scaling" in answer.sentence


def test_devices_of_two_machines_have_no_efficiency() -> None:
    other = {**RUN[0].environment, "cpu": "Another CPU"}
    apart = [replace(r, environment=other) if r.case.devices == 1 else r for r in RUN]
    assert frame(TABLE, apart)["efficiency"].isna().all()
    (section,) = sections(TABLE, apart)
    assert section.lead == ""
    (answer,) = [a for a in answers(apart) if a.question == "What do several devices bring?"]
    assert answer.sentence.startswith("What was measured may not be compared")
    told = "pytorch is not compared with itself on one device on cifar-bn"
    assert any(note.startswith(told) and "cpu " in note for note in section.notes)
