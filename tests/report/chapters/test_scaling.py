"""Speed-up of training on several devices: its rows, its sentence, its plot."""

from dataclasses import replace

import pytest

from bench.analysis.experiments import Data
from bench.analysis.results import Results
from bench.core.records import Record
from bench.report.chapters.speed.scaling import TABLE, scaling
from bench.report.first_screen.answers import answers, lines
from bench.report.report import Part, Report
from bench.report.tables import frame, sections
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
    within = (rows["low"] <= rows["efficiency"]) & (rows["efficiency"] <= rows["high"])
    assert within.all()


def test_the_chapter_begins_with_both_ways_to_scale() -> None:
    (section,) = sections(TABLE, RUN)
    strong, weak = section.lead.split(". Efficiency ")
    assert strong.startswith("Efficiency in strong scaling: 60.0 % [")
    assert "(cifar-bn in keras-jax on 2 devices) to 86.4 % [" in strong
    assert weak.startswith("in weak scaling: 95.0 % [")
    assert weak.endswith("] (cifar-bn in pytorch on 2 devices).")


def part_of(records: list[Record]) -> Part:
    (results,) = Report.of(records).datasets
    assert isinstance(results, Results)
    assert isinstance(results.data, Data)
    return Part(results, "closed")


def test_every_row_is_drawn_with_its_interval() -> None:
    drawing = scaling(part_of(RUN))
    assert drawing is not None
    (axes,) = drawing.figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == len(frame(TABLE, RUN))
    assert "pytorch, weak, 2 devices, batch 256" in names
    low, high = axes.get_xlim()
    assert low == 0
    assert high >= 1
    assert scaling(part_of(RUN[:2])) is None


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
