"""The summary of a record, by its kind; metrics of several processes as one."""

import pytest

from bench.core.errors import UserError
from bench.core.kinds import KINDS
from bench.core.schema.metrics import METRICS
from bench.harness.interleaving.pooling import pooled
from bench.stats.summaries import summary_of


def test_throughput_summary_is_the_median_rate_over_blocks():
    summary = summary_of("train_throughput", [[1.0, 2.0, 4.0]], 100)
    assert summary["images_per_second"] == 50
    assert summary["blocks"] == 3
    assert summary["processes"] == 1
    assert summary["low"] == 25
    assert summary["high"] == 100


def test_latency_summary_interpolates_between_calls():
    summary = summary_of("latency", [[float(i) for i in range(101)]], 1)
    assert summary == {"p50": 50, "p90": 90, "p99": 99, "calls": 101}


def test_startup_and_accuracy_summaries():
    assert summary_of("startup", [[3.5]], None) == {"seconds": 3.5}
    assert summary_of("accuracy", [[0.65]], None) == {"fraction": 0.65}


def test_a_record_without_samples_has_an_empty_summary():
    assert summary_of("train_throughput", [], None) == {}


def test_an_unknown_kind_is_named():
    with pytest.raises(UserError, match="'energy'"):
        summary_of("energy", [[1.0]], 1)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_summary(name: str) -> None:
    assert summary_of(name, [[0.5], [0.25]], 10)


def test_metrics_are_pooled_as_their_rows_say() -> None:
    one = {
        "first_step_seconds": 3.0,
        "steps_per_sample": 7,
        "device_memory_bytes": 10,
        "energy": {"joules": 1.0, "reason": None, "source": "x", "images": 5},
        "clock": {"seconds": 1.0},
        "somebody_elses_seconds": 1.0,
    }
    other = {
        "first_step_seconds": 1.0,
        "steps_per_sample": 9,
        "device_memory_bytes": 30,
        "energy": {"joules": 2.0, "reason": None, "source": "x", "images": 6},
    }
    assert pooled([one, other]) == {
        "first_step_seconds": 2.0,
        "steps_per_sample": 7,
        "device_memory_bytes": 30,
        "energy": {"joules": 3.0, "reason": None, "source": "x", "images": 11},
        "clock": {"seconds": 1.0},
        "somebody_elses_seconds": 1.0,
    }


def test_the_parts_of_a_startup_add_up_to_its_mean() -> None:
    names = ("import_seconds", "build_seconds", "first_step_seconds")
    processes = [
        dict(zip(names, seconds, strict=True)) for seconds in ((9, 1, 2), (3, 1, 2), (3, 4, 2))
    ]
    totals = [sum(process.values()) for process in processes]
    assert sum(pooled(processes).values()) == pytest.approx(sum(totals) / 3)


def test_a_metric_that_was_not_measured_stays_empty() -> None:
    assert pooled([{"overhead": None}, {"overhead": None}]) == {"overhead": None}


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_every_metric_can_be_pooled(row: object) -> None:
    value = {"energy": {"joules": 1.0, "images": 1}, "joined": [1.0]}.get(row.pooled, 1.0)
    assert row.name in pooled([{row.name: value}])
