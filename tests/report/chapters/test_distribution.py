"""Distribution of block times, memory, and the sentences of chapters."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.report.chapters import TABLES
from bench.report.chapters.speed.blocks import blocks
from bench.report.chapters.speed.memory import memory
from bench.report.leads import counted, extremes
from bench.report.plot_style import style
from bench.report.report import Report
from bench.report.tables import frame, sections
from tests.support.parts import part_of
from tests.support.synthetic_records.synthetic import make_record, make_run

TABLE = {table.name: table for table in TABLES}


def timed(samples, **changes):
    return make_record(kind="train_throughput", samples=samples, images_per_sample=256, **changes)


def drawn(function, records):
    with style():
        return function(part_of(records))


def test_blocks_have_their_quartiles_in_seconds_per_step():
    (row,) = frame(TABLE["blocks"], [timed((2.0, 4.0, 6.0, 8.0, 20.0))]).to_dict("records")
    assert row["blocks"] == 5
    assert row["median"] == pytest.approx(3.0)  # a block has two steps of 128 images
    assert (row["quartile_low"], row["quartile_high"]) == pytest.approx((2.0, 4.0))
    assert row["spread"] == pytest.approx(2 / 3)
    assert row["slowest"] == pytest.approx(20 / 6)


def test_disturbed_blocks_are_in_the_table_of_blocks():
    record = timed((2.0, 2.0, 2.0, 2.0, 20.0), metrics={"disturbed": 0.2})
    (section,) = sections(TABLE["blocks"], [record])
    assert dict(zip(section.headers, section.cells[0], strict=True))["disturbed blocks"] == "20 %"


def test_every_block_is_drawn_and_none_is_outside():
    samples = (0.2, 0.21, 0.22, 0.23, 3.0)
    (axes,) = drawn(blocks, [timed(samples)]).figure.axes
    (points,) = [line for line in axes.lines if line.get_marker() == "D"]
    assert sorted(points.get_xdata()) == pytest.approx([500 * s for s in samples])
    low, high = axes.get_xlim()
    assert low < 100 < 1500 < high
    assert axes.get_xscale() == "log"  # more than a factor of four


def test_blocks_that_are_close_have_a_linear_scale():
    (axes,) = drawn(blocks, [timed((1.0, 1.1, 1.2))]).figure.axes
    assert axes.get_xscale() == "linear"


def test_memory_has_host_and_device():
    record = timed((1.0, 1.1), peak_memory_bytes=2 * 2**30)
    record = replace(record, metrics={**record.metrics, "device_memory_bytes": 2**30})
    (section,) = sections(TABLE["memory"], [record])
    cells = dict(zip(section.headers, section.cells[0], strict=True))
    assert cells["peak memory (GiB)"] == "2.00"
    assert cells["peak device memory (GiB)"] == "1.00"
    (axes,) = drawn(memory, [record]).figure.axes
    assert sorted(bar.get_width() for bar in axes.patches) == pytest.approx([1, 2])


def test_no_memory_no_plot():
    assert drawn(memory, [timed((1.0, 1.1), peak_memory_bytes=None)]) is None


@pytest.mark.parametrize("table", [t for t in TABLES if t.name != "failures"], ids=lambda t: t.name)
def test_every_chapter_that_has_rows_has_a_sentence(table):
    for section in sections(table, Report(RUN)):
        assert section.lead.endswith("."), section.title
        assert "nan" not in section.lead


RUN = make_run(seeds=2)


def row(value, **changes):
    return {"variant": "cifar-bn", "framework": "pytorch", "value": value, **changes}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ""),
        ([row(3)], "It takes 3 s (cifar-bn in pytorch)."),
        (
            [row(3), row(1, caveats="x")],
            "It takes 1 s (cifar-bn in pytorch ‡) to 3 s (cifar-bn in pytorch).",
        ),
        ([row(3), row(None), row(math.nan)], "It takes 3 s (cifar-bn in pytorch). 2 of 3: never."),
        ([row(None)], "1 of 1: never."),
    ],
)
def test_extremes_name_their_rows_with_their_caveats(rows, words):
    assert extremes("It takes", "value", lambda v: f"{v} s", missing="never")(rows) == words


def test_words_are_counted_the_undecided_last():
    rows = [row(1, v=word) for word in ("tie", "slower", "inconclusive", "faster", "slower", "—")]
    name = "cifar-bn in pytorch"
    assert counted("v", "pair")(rows) == (
        f"Of 5 pairs: 1 faster ({name}), 2 slower, 1 tie ({name}) and 1 inconclusive ({name})."
    )
    assert counted("v", "pair")([row(1, v="tie")]) == "1 pair: tie."
    assert counted("v", "pair")([row(1, v="reference"), row(1, v="")]) == ""
