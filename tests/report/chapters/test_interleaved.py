"""Ratios of what took turns: pair by pair in the tables, and by process in a comparison."""

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.clock import MISSING_SYNC, lacks_sync, sync_audit_of
from bench.analysis.comparison.compare import compare
from bench.analysis.experiments import Experiment
from bench.core.records import Record
from bench.report.tables import TABLES, frame, sections
from bench.stats import intervals
from tests.support.synthetic_records.synthetic import make_record, make_run

TABLE = {table.name: table for table in TABLES}


def taken(framework: str, samples: list[list[float]], match: str = "m", **told: Any) -> Record:
    """A record whose processes have these samples, 100 images each."""
    blocks = [[p, turn, 1] for p, some in enumerate(samples) for turn in range(len(some))]
    turns = {"group": match, "blocks": blocks, "stopped": "precision", "precision_goal": 0.03}
    record = make_record(framework=framework, kind="train_throughput")
    metrics = {**record.metrics, "interleaving": {**turns, "group_seconds": 45.0, **told}}
    flat = tuple(sample for some in samples for sample in some)
    return replace(record, samples=flat, images_per_sample=100, metrics=metrics)


def drifting(factor: float) -> list[list[float]]:
    """A machine that becomes three times slower, and processes that hardly differ."""
    return [[factor * (1 + turn + 0.001 * p) for turn in range(3)] for p in range(3)]


def test_a_drift_that_both_saw_is_no_part_of_the_ratio() -> None:
    records = [taken("pytorch", drifting(1.0)), taken("keras-jax", drifting(1.25))]
    (row,) = frame(TABLE["interleaved"], records).to_dict("records")
    assert row["framework"] == "keras-jax"
    assert row["ratio"] == pytest.approx(0.8)
    assert 0.75 < row["ratio_low"] <= 0.8 <= row["ratio_high"] < 0.85
    assert row["verdict"] == "slower"
    assert (row["pairs"], row["processes"]) == (9, 3)
    # The throughput table says the same, and does not see it as two independent runs would.
    shown = frame(TABLE["throughput"], records).set_index("framework").loc["keras-jax"]
    assert shown["ratio"] == row["ratio"]
    assert shown["processes"] == 3


def test_what_slows_blocks_of_one_framework_is_not_in_the_ratio_of_the_fastest() -> None:
    """Two of three blocks of one take twice as long; its fastest are as fast as the other's."""
    calm = [[1.0 + 0.001 * p] * 3 for p in range(3)]
    slowed = [[2.0 * one, one, 2.0 * one] for one, *_ in calm]
    records = [taken("pytorch", slowed), taken("keras-jax", calm)]
    (row,) = frame(TABLE["interleaved"], records).to_dict("records")
    assert row["ratio"] == pytest.approx(2.0)
    assert row["fastest_ratio"] == pytest.approx(1.0)
    assert 0.9 < row["fastest_ratio_low"] < 1 < row["fastest_ratio_high"] < 1.1
    (section,) = sections(TABLE["interleaved"], records)
    shown = dict(zip(section.headers, section.cells[0], strict=True))
    assert shown["fastest blocks"].startswith("1.00x [0.9")


def test_two_matches_are_held_against_each_other_apart() -> None:
    one, other = taken("pytorch", drifting(1.0)), taken("keras-jax", drifting(1.25), match="n")
    assert frame(TABLE["interleaved"], [one, other]).empty
    shown = frame(TABLE["throughput"], [one, other]).set_index("framework").loc["keras-jax"]
    assert shown["ratio"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"stopped": "precision"}, "goal reached (± 3.0 %)"),
        ({"stopped": "time limit"}, "time limit (45 s)"),
        ({"stopped": "processes"}, "as many as asked for"),
    ],
)
def test_why_no_more_were_taken_is_told(told: dict[str, Any], words: str) -> None:
    records = [taken("pytorch", drifting(1.0)), taken("keras-jax", drifting(1.0), **told)]
    (section,) = sections(TABLE["interleaved"], records)
    row = dict(zip(section.headers, section.cells[0], strict=True))
    assert row["stopped at"] == words
    assert row["verdict"] == "tie"
    assert row["detectable"].startswith("± 5.")  # mostly what is assumed of three


def test_a_process_that_the_reference_lost_is_in_the_rows_of_all_others() -> None:
    lost = "round 3: killed by SIGKILL"
    records = [taken("pytorch", drifting(1.0), lost=lost), taken("keras-jax", drifting(1.0))]
    (row,) = frame(TABLE["interleaved"], records).to_dict("records")
    assert row["lost"] == f"pytorch: {lost}"


def test_every_framework_stands_beside_pytorch_in_every_kind_that_takes_turns() -> None:
    rows = frame(TABLE["interleaved"], make_run())
    assert set(rows["reference"]) == {"pytorch"}
    assert set(rows["framework"]) == {"keras-tensorflow", "keras-jax", "keras-torch"}
    assert set(rows["kind"]) == {"train_throughput", "inference"}
    assert set(rows["track"]) == {"closed", "idiomatic"}


def test_an_early_clock_is_told_beside_the_speed_it_spoils() -> None:
    honest = make_record(kind="train_throughput")
    clock = {**honest.metrics["clock"], "synced_seconds_per_step": [1e-6] * 3}
    early = replace(honest, metrics={**honest.metrics, "clock": clock})
    assert list(frame(TABLE["clock"], [honest])["clock"]) == ["synchronised"]
    assert list(frame(TABLE["clock"], [early])["clock"]) == ["missing synchronisation"]
    (section,) = sections(TABLE["throughput"], [early])
    assert "missing synchronisation" in section.cells[0]
    (section,) = sections(TABLE["throughput"], [honest])
    assert "synchronisation" not in section.headers


@pytest.mark.parametrize(
    ("synced", "said"),
    [
        ((0.88, 0.87, 0.88), "missing synchronisation"),
        ((0.95, 0.94, 0.95), "synchronised"),  # within the tolerance
        ((0.3, 1.0, 1.0), "inconclusive"),  # one disturbed call is no finding
        ((0.85, 1.1, 1.54), "inconclusive"),  # it could have seen neither
        ((-0.1, -0.2, -0.1), "missing synchronisation"),
        ((1.0, 1.1, 2.4), "inconclusive"),  # not early, but no agreement either
        ((1.4, 1.5, 1.3), "inconclusive"),
    ],
)
def test_only_what_is_surely_early_is_said_to_be(synced: tuple[float, ...], said: str) -> None:
    clock = {
        "block_seconds_per_step": [1.0],
        "unsynced_seconds_per_step": [0.1] * 3,
        "synced_seconds_per_step": list(synced),
        "slope_seconds_per_step": [1.0] * 3,
    }
    record = replace(make_record(kind="train_throughput"), metrics={"clock": clock})
    found = sync_audit_of(Experiment(record.case, record.kind, (record,)))
    assert found is not None
    assert found.verdict == said
    assert lacks_sync(record) == (said == MISSING_SYNC)


def test_slopes_that_are_only_noise_say_nothing() -> None:
    clock = {f"{name}_seconds_per_step": [0.1] for name in ("block", "unsynced", "synced")}
    record = replace(
        make_record(kind="train_throughput"),
        metrics={"clock": clock | {"slope_seconds_per_step": [-0.1]}},
    )
    found = sync_audit_of(Experiment(record.case, record.kind, (record,)))
    assert found is not None
    assert found.verdict == "no slope"
    assert not lacks_sync(record)


def test_the_same_again_is_no_difference_and_half_as_long_again_slower() -> None:
    run = [r for r in make_run() if r.kind != "accuracy"]
    run = [r for r in run if "interleaving" in r.metrics]  # two processes each
    assert {row.verdict for row in compare(run, run)} <= {"tie", "inconclusive"}
    slower = [replace(r, samples=tuple(1.5 * s for s in r.samples)) for r in run]
    rows = compare(run, slower)
    assert len(rows) == len(run) > 0
    for row in rows:
        assert row.verdict == "slower"
        assert row.ratio == pytest.approx(1 / 1.5)
        assert row.low is not None
        assert row.high is not None
        assert 0.44 < row.low < 1 / 1.5 < row.high < 1.0


def test_of_two_noisy_measurements_nothing_can_be_said() -> None:
    noisy = [[1.0, 9.0, 3.0], [0.5, 4.0, 2.0]]
    record = taken("pytorch", noisy)
    (row,) = compare([record], [taken("pytorch", [[1.5 * s for s in p] for p in noisy], match="n")])
    assert row.verdict == "inconclusive"


def test_a_comparison_counts_processes_and_not_blocks() -> None:
    """Blocks that agree in processes that do not: no verdict, however many blocks there are."""
    one = taken("pytorch", [[1.0] * 50, [1.1] * 50, [1.2] * 50])
    other = taken("pytorch", [[1.1] * 50, [1.2] * 50, [1.3] * 50], match="n")
    (row,) = compare([one], [other])
    assert row.verdict == "inconclusive"
    assert row.ratio == pytest.approx((1.0 * 1.1 * 1.2 / (1.1 * 1.2 * 1.3)) ** (1 / 3))


def test_one_process_each_says_what_was_assumed() -> None:
    (row,) = compare([taken("pytorch", [[1.0] * 9])], [taken("pytorch", [[1.0] * 9], match="n")])
    reach = 4.303 * math.sqrt(2) * intervals.PROCESS_SPREAD  # one degree of freedom on each side
    assert row.high is not None
    assert math.log(row.high) == pytest.approx(reach, rel=0.01)
    assert "one process" in (row.reason or "")
