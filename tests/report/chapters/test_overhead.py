"""The table of what the harness costs: every network, and a framework's together."""

from dataclasses import replace
from typing import Any

import pytest

from bench.core.records import Record
from bench.report.tables import TABLES, frame, sections
from tests.support.synthetic_records.synthetic import make_record

TABLE = next(table for table in TABLES if table.name == "overhead")


def measured(
    variant: str, *shares: float, framework: str = "pytorch", kind: str = "train_throughput"
) -> Record:
    """Pairs of which the bare loop took these shares of the harness's second."""
    record = make_record(variant, framework, kind)
    pairs = {"harness": [1.0] * len(shares), "bare": list(shares), "images_per_sample": 100}
    return replace(record, metrics={**record.metrics, "overhead": pairs})


def test_a_framework_with_several_networks_has_a_row_of_all_its_networks() -> None:
    records = [
        measured("cifar-bn", 0.90, 0.91, 0.92),
        measured("cifar-lrn", 0.98, 0.99),
        measured("cifar-bn", 1.0, 1.0, framework="keras-tensorflow"),
        measured("cifar-lrn", 1.0, kind="inference"),
    ]
    rows = frame(TABLE, records).to_dict("records")
    mean = (0.91 * 0.985) ** 0.5
    found = {(r["kind"], r["framework"], r["variant"]): (r["pairs"], r["share"]) for r in rows}
    assert found == {
        ("train_throughput", "pytorch", "cifar-bn"): (3, pytest.approx(0.91)),
        ("train_throughput", "pytorch", "cifar-lrn"): (2, pytest.approx(0.985)),
        ("train_throughput", "keras-tensorflow", "cifar-bn"): (2, 1.0),
        ("inference", "pytorch", "cifar-lrn"): (1, 1.0),
        ("train_throughput", "pytorch", "all of them"): (5, pytest.approx(mean, abs=1e-4)),
    }


def test_the_row_of_all_pairs_shows_no_speed_and_no_size() -> None:
    records = [measured("cifar-bn", 0.9), measured("imagenet-bn", 0.8)]
    (section,) = sections(TABLE, records)
    shown = dict(zip(section.headers, section.cells[-1], strict=True))
    assert shown["network"] == "all of them"
    assert shown["suite / bare"] == "84.9 %"
    assert {shown[name] for name in ("suite images/s", "bare loop images/s", "input px")} == {"—"}


@pytest.mark.parametrize(
    ("other", "change"),
    [
        ("cifar-lrn", {"precision": "bfloat16"}),
        ("cifar-lrn", {"recipe": "other"}),
        ("cifar-bn", {"batch_size": 64}),
        ("cifar-bn", {"seed": 1}),
    ],
)
def test_only_networks_under_the_same_conditions_stand_together(
    other: str, change: dict[str, Any]
) -> None:
    records = [measured("cifar-bn", 0.9), measured(other, 0.8)]
    records[1] = replace(records[1], case=replace(records[1].case, **change))
    assert "all of them" not in set(frame(TABLE, records)["variant"])


def test_a_result_without_pairs_has_no_row() -> None:
    assert frame(TABLE, [make_record("cifar-bn", "keras-jax", "inference")]).empty
