"""The one line about the machine: on the first screen and at the end of the terminal's output."""

from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.machine_state import machine_line
from bench.core.records import Record
from bench.core.system.machine import BlockState, machine_metrics
from bench.report.html import write_results
from tests.support.synthetic_records.synthetic import make_record

CALM = BlockState(1.0, 2.0, 2, others=0.01, steal=0.0, throttled=0.0, load=1.0)


def record(*states: BlockState, kind: str = "inference", **state: Any) -> Record:
    made = make_record(kind=kind)
    found = {**made.metrics, **machine_metrics(states)}
    environment = {**made.environment, "machine_state": {"others": 0.02, **state}}
    return replace(made, metrics=found, environment=environment)


def test_what_is_not_known_of_the_machine_is_not_said():
    assert machine_line([make_record()]) is None  # an older record
    unknown = replace(CALM, others=None, steal=None, throttled=None)
    assert machine_line([record(unknown, others=None)]) is None


def test_a_quiet_run_says_so_with_the_load_of_whole_groups():
    noisy = replace(CALM, seconds=0.01, others=0.6)  # one tick of a short block
    line = machine_line([record(CALM, noisy), record(CALM, others=0.04)])
    assert line == "The machine was quiet: others used at most 4 % of the CPUs."


def test_a_group_that_went_on_after_its_last_block_has_the_mean_of_its_blocks():
    long = replace(CALM, seconds=3.0, others=0.048)
    line = machine_line([record(CALM, long, others=None)])
    assert line == "The machine was quiet: others used at most 4 % of the CPUs."  # not 3 %


def test_a_run_next_to_others_is_not_called_quiet():
    short = replace(CALM, seconds=0.01, others=0.6)
    line = machine_line([record(CALM), record(short, others=0.87)])
    assert line.startswith("Other processes used up to 87 % of the CPUs, although ")
    line = machine_line([record(CALM, steal=0.04)])
    assert line.startswith("A hypervisor took up to 4 % of the CPUs, although ")


def test_a_disturbed_run_says_by_what():
    busy = replace(CALM, others=0.34, steal=0.05, throttled=0.01)
    line = machine_line([record(busy, busy), record(CALM), record(CALM)])
    assert line.startswith("DISTURBED: 1 of 3 measurements gives no verdict on speed: ")
    assert "other processes used up to 34 % of the CPUs" in line
    assert "a hypervisor took up to 5 % of the CPUs" in line
    assert "quota" not in line
    throttled = replace(CALM, throttled=0.5)
    assert "the CPU quota held the processes back for up to 50 %" in machine_line(
        [record(throttled)]
    )


def test_swapping_is_mentioned():
    line = machine_line([record(CALM, swapped_bytes=3 << 20)])
    assert line.endswith(" The machine swapped 3 MiB meanwhile.")


@pytest.mark.usefixtures("undrawn")
def test_the_first_screen_of_a_report_has_the_line(tmp_path):
    busy = replace(CALM, others=0.34)
    page = write_results([record(busy)], tmp_path).read_text(encoding="utf-8")
    start = page[: page.index("<h2")] if "<h2" in page else page
    assert "DISTURBED: 1 of 1 measurement gives" in start
    assert "machine_state" not in page
